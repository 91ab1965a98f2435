//! Reading and writing exactly so many bytes at an offset, without moving the file's position.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

/// Why bytes were not read or written.
#[derive(Debug, thiserror::Error)]
pub enum ExactError {
    /// The file ends early: it shrank, or was never so long.
    #[error("the file ends after {got} of {wanted} bytes")]
    ShortRead {
        /// How many bytes were to be read.
        wanted: u64,
        /// How many there were.
        got: u64,
    },
    /// The disk, or the user's share of it, is full.
    #[error("no space is left")]
    StorageFull,
    /// Anything else.
    #[error(transparent)]
    Io(io::Error),
}

impl From<Errno> for ExactError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOSPC | Errno::DQUOT => Self::StorageFull,
            errno => Self::Io(errno.into()),
        }
    }
}

/// Fills `buffer` from `offset` on.
///
/// # Errors
/// [`ExactError::ShortRead`] when the file ends early; `buffer` then holds what there was.
pub fn pread_exact(fd: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<(), ExactError> {
    let got = pread_full(fd, buffer, offset)?;
    if got == buffer.len() {
        return Ok(());
    }
    Err(ExactError::ShortRead { wanted: buffer.len() as u64, got: got as u64 })
}

/// Fills `buffer` from `offset` on, or up to the end of the file, and says how many bytes there were.
///
/// # Errors
/// When the file cannot be read.
pub fn pread_full(fd: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<usize, ExactError> {
    let mut got = 0;
    while let Some(rest) = buffer.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match rustix::io::pread(fd, rest, offset.saturating_add(got as u64)) {
            Ok(0) => break,
            Ok(read) => got += read,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(got)
}

/// Writes all of `bytes` at `offset`.
///
/// # Errors
/// [`ExactError::StorageFull`] when there is no space; part of the bytes may be written then.
pub fn pwrite_all(fd: BorrowedFd<'_>, mut bytes: &[u8], mut offset: u64) -> Result<(), ExactError> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(fd, bytes, offset) {
            Ok(0) => return Err(ExactError::Io(io::ErrorKind::WriteZero.into())),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                offset = offset.saturating_add(written as u64);
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn what_was_written_is_read() {
        let file = tempfile::tempfile().expect("a temporary folder");
        pwrite_all(file.as_fd(), b"hello", 3).expect("space");
        let mut buffer = [9; 8];
        pread_exact(file.as_fd(), &mut buffer, 0).expect("eight bytes");
        assert_eq!(&buffer, b"\0\0\0hello");
    }

    #[test]
    fn an_early_end_is_named() {
        let file = tempfile::tempfile().expect("a temporary folder");
        pwrite_all(file.as_fd(), b"hello", 0).expect("space");
        let short = pread_exact(file.as_fd(), &mut [0; 8], 2);
        assert!(matches!(short, Err(ExactError::ShortRead { wanted: 8, got: 3 })));
        assert_eq!(pread_full(file.as_fd(), &mut [0; 8], 2).expect("readable"), 3);
        assert_eq!(pread_full(file.as_fd(), &mut [0; 8], 99).expect("readable"), 0);
    }

    #[test]
    fn a_full_disk_is_named() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("every Linux has it");
        assert!(matches!(pwrite_all(full.as_fd(), b"x", 0), Err(ExactError::StorageFull)));
    }
}
