//! What a descriptor leads to, as far as it decides how bytes get in or out.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, OFlags};

/// What a descriptor leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A file with a length and offsets. Files in memory are such, too.
    Regular,
    /// A pipe, named or not.
    Pipe,
    /// A socket.
    Socket,
    /// A terminal.
    Terminal,
    /// A device other than a terminal: /dev/null, a disk, ….
    Device,
    /// A folder.
    Directory,
}

impl FileKind {
    /// For error messages: `a pipe`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Regular => "a regular file",
            Self::Pipe => "a pipe",
            Self::Socket => "a socket",
            Self::Terminal => "a terminal",
            Self::Device => "a device",
            Self::Directory => "a folder",
        }
    }
}

/// What `fd` leads to.
///
/// # Errors
/// When it is not open.
pub fn kind(fd: BorrowedFd<'_>) -> io::Result<FileKind> {
    Ok(match FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) {
        FileType::RegularFile => FileKind::Regular,
        FileType::Directory => FileKind::Directory,
        FileType::Fifo => FileKind::Pipe,
        FileType::Socket => FileKind::Socket,
        FileType::CharacterDevice if rustix::termios::isatty(fd) => FileKind::Terminal,
        _ => FileKind::Device,
    })
}

/// Whether `fd` is a regular file.
#[must_use]
pub fn is_regular(fd: BorrowedFd<'_>) -> bool {
    kind(fd).is_ok_and(|kind| kind == FileKind::Regular)
}

/// Whether `fd` was opened for appending (`>>`): all writes then go to the end, whatever the offset.
#[must_use]
pub fn is_append(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fcntl_getfl(fd).is_ok_and(|flags| flags.contains(OFlags::APPEND))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd as _;

    #[test]
    fn kinds_are_told_apart() {
        let of = |path: &str| kind(File::open(path).expect("every Linux has it").as_fd()).expect("open");
        assert_eq!(of("/dev/null"), FileKind::Device);
        assert_eq!(of("/"), FileKind::Directory);
        let file = tempfile::tempfile().expect("a temporary folder");
        assert_eq!(kind(file.as_fd()).expect("open"), FileKind::Regular);
        assert!(is_regular(file.as_fd()));
        let (reader, writer) = io::pipe().expect("descriptors are left");
        assert_eq!(kind(reader.as_fd()).expect("open"), FileKind::Pipe);
        assert!(!is_regular(writer.as_fd()));
        let (one, _other) = crate::socket::Socket::pair().expect("descriptors are left");
        assert_eq!(kind(one.as_fd()).expect("open"), FileKind::Socket);
        let terminal = rustix::fs::open("/dev/ptmx", OFlags::RDWR | OFlags::NOCTTY, rustix::fs::Mode::empty());
        assert_eq!(kind(terminal.expect("every Linux has it").as_fd()).expect("open"), FileKind::Terminal);
    }

    #[test]
    fn appending_is_seen() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        let appending = File::options().append(true).create(true).open(&path).expect("a new file");
        assert!(is_append(appending.as_fd()));
        assert!(!is_append(File::open(&path).expect("it exists").as_fd()));
    }
}
