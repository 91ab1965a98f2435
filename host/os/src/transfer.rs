//! Moving results from an arena to the output, and making room for them.

use std::os::fd::BorrowedFd;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::exact::{ExactError, pread_full};
use crate::file_kind::{is_append, is_regular};

/// Bytes copied at a time where the kernel does not copy by itself: large enough that calls cost nothing, small enough
/// to stay in the cache.
const COPY_BYTES: usize = 256 * 1024;

/// Most bytes that one `sendfile` moves; the kernel's own limit is just below 2 GiB.
const SEND_BYTES: u64 = 1 << 30;

/// Appends `len` bytes of `input` from `offset` on to `output`, at its file position, and moves that forward.
///
/// Into a regular file the kernel copies. Everywhere else the bytes go through a private buffer, because `sendfile`
/// hands a pipe the *pages* of the arena, which the next batch would overwrite before they are read.
///
/// The answer is the number of bytes written, which is less than `len` only when `output` does not wait (O_NONBLOCK)
/// and is full.
///
/// # Errors
/// [`ExactError::ShortRead`] when `input` ends early, [`ExactError::StorageFull`] when there is no space. What was
/// written up to then stays.
pub fn append_from(output: BorrowedFd<'_>, input: BorrowedFd<'_>, offset: u64, len: u64) -> Result<u64, ExactError> {
    let sent = if is_regular(output) && !is_append(output) { send(output, input, offset, len)? } else { 0 };
    if sent == len {
        return Ok(len);
    }
    copy(output, input, offset + sent, len - sent).map(|copied| sent + copied)
}

/// Copies inside the kernel as far as that is possible here; the rest, if any, is left to [`copy`].
fn send(output: BorrowedFd<'_>, input: BorrowedFd<'_>, offset: u64, len: u64) -> Result<u64, ExactError> {
    let mut position = offset;
    let mut sent = 0;
    while sent < len {
        let step = usize::try_from((len - sent).min(SEND_BYTES)).expect("at most 1 GiB");
        match rustix::fs::sendfile(output, input, Some(&mut position), step) {
            Ok(0) => return Err(ExactError::ShortRead { wanted: len, got: sent }),
            Ok(moved) => sent += moved as u64,
            Err(Errno::INTR) => {}
            // Some file systems cannot, and a non-waiting file system is told apart by the copy.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::AGAIN) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(sent)
}

fn copy(output: BorrowedFd<'_>, input: BorrowedFd<'_>, offset: u64, len: u64) -> Result<u64, ExactError> {
    let mut buffer = vec![0; usize::try_from(len).unwrap_or(COPY_BYTES).min(COPY_BYTES)];
    let mut done = 0;
    while done < len {
        let step = usize::try_from(len - done).unwrap_or(COPY_BYTES).min(COPY_BYTES);
        let got = pread_full(input, buffer.get_mut(..step).unwrap_or_default(), offset + done)?;
        let written = write_some(output, buffer.get(..got).unwrap_or_default())?;
        done += written as u64;
        if written < got {
            return Ok(done);
        }
        if got < step {
            return Err(ExactError::ShortRead { wanted: len, got: done });
        }
    }
    Ok(done)
}

/// Writes all of `bytes`, or as much as there is room for when `output` does not wait; says how much.
///
/// # Errors
/// [`ExactError::StorageFull`] when there is no space; `BrokenPipe` inside [`ExactError::Io`] when the reader is gone.
pub fn write_some(output: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, ExactError> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match rustix::io::write(output, rest) {
            Ok(written) => done += written,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(done)
}

/// Makes `file` `len` bytes long and reserves the space, so that a full disk is found out before any work is done.
/// Where the file system cannot reserve, only the length is set. What is in the file beyond `len` is cut off.
///
/// # Errors
/// [`ExactError::StorageFull`] when there is not so much space.
pub fn preallocate(file: BorrowedFd<'_>, len: u64) -> Result<(), ExactError> {
    if !has_room(file, len)? {
        return Err(ExactError::StorageFull);
    }
    rustix::io::retry_on_intr(|| rustix::fs::ftruncate(file, len))?;
    if len == 0 {
        return Ok(());
    }
    match rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len)) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Reserves the space for `len` bytes from `offset` on without making `file` longer, so that they can be written when
/// the disk is full. Where the file system cannot reserve, this does nothing.
///
/// # Errors
/// [`ExactError::StorageFull`] when there is not so much space.
pub fn reserve(file: BorrowedFd<'_>, offset: u64, len: u64) -> Result<(), ExactError> {
    if len == 0 {
        return Ok(());
    }
    match rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, offset, len)) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether `file` can become `len` bytes long. Asked first because a file system fills itself up before it refuses,
/// and everybody else on it would find it full meanwhile.
fn has_room(file: BorrowedFd<'_>, len: u64) -> Result<bool, ExactError> {
    let system = rustix::fs::fstatvfs(file)?;
    // Counted in units of 512 bytes, whatever the block size.
    let has = u64::try_from(rustix::fs::fstat(file)?.st_blocks).unwrap_or(0).saturating_mul(512);
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    // Memory without a limit counts no blocks.
    Ok(system.f_blocks == 0 || len.saturating_sub(has) <= free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
    use std::os::fd::{AsFd as _, OwnedFd};

    use crate::exact::pwrite_all;
    use crate::memfd;

    /// Bytes that are nowhere alike.
    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at * 31 + at / 251) as u8).collect()
    }

    fn arena(bytes: &[u8], at: u64) -> OwnedFd {
        let arena = memfd::create_sized(c"test", 1 << 30).expect("memory");
        pwrite_all(arena.as_fd(), bytes, at).expect("inside");
        arena
    }

    #[test]
    fn a_file_gets_results_one_after_the_other() {
        let bytes = pattern(1_000_000);
        let arena = arena(&bytes, 4097);
        let mut file = tempfile::tempfile().expect("a temporary folder");
        file.write_all(b"head").expect("space");
        assert_eq!(append_from(file.as_fd(), arena.as_fd(), 4097, 10).expect("space"), 10);
        assert_eq!(append_from(file.as_fd(), arena.as_fd(), 4107, 999_990).expect("space"), 999_990);
        let mut all = Vec::new();
        file.seek(SeekFrom::Start(0)).expect("a file");
        file.read_to_end(&mut all).expect("readable");
        assert_eq!(all, [b"head", &bytes[..]].concat());
    }

    #[test]
    fn a_file_opened_for_appending_gets_them_at_its_end() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        std::fs::write(&path, "head").expect("space");
        let file = File::options().append(true).open(&path).expect("it exists");
        let arena = arena(b"tail", 0);
        assert_eq!(append_from(file.as_fd(), arena.as_fd(), 0, 4).expect("space"), 4);
        assert_eq!(std::fs::read(&path).expect("readable"), b"headtail");
    }

    #[test]
    fn a_slow_pipe_gets_what_was_there_and_not_what_comes_after() {
        let bytes = pattern(50_000);
        let arena = arena(&bytes, 0);
        let (mut reader, writer) = io::pipe().expect("descriptors are left");
        // All of it fits into the pipe, where it stays while the arena is used again.
        assert_eq!(append_from(writer.as_fd(), arena.as_fd(), 0, 50_000).expect("open"), 50_000);
        pwrite_all(arena.as_fd(), &[0; 50_000], 0).expect("inside");
        drop(writer);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).expect("readable");
        assert_eq!(all, bytes);
    }

    #[test]
    fn a_full_pipe_that_does_not_wait_takes_a_part() {
        let bytes = pattern(1_000_000);
        let arena = arena(&bytes, 0);
        let (mut reader, writer) = io::pipe().expect("descriptors are left");
        rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).expect("open");
        let mut all = Vec::new();
        let mut done = 0;
        while done < 1_000_000 {
            let step = append_from(writer.as_fd(), arena.as_fd(), done, 1_000_000 - done).expect("open");
            assert!(step > 0, "the pipe was emptied");
            let mut part = vec![0; step as usize];
            reader.read_exact(&mut part).expect("readable");
            all.extend(part);
            done += step;
        }
        assert_eq!(all, bytes);
    }

    #[test]
    fn a_reader_that_is_gone_is_told() {
        let arena = arena(b"x", 0);
        let (reader, writer) = io::pipe().expect("descriptors are left");
        drop(reader);
        let error = append_from(writer.as_fd(), arena.as_fd(), 0, 1).expect_err("nobody reads");
        assert!(matches!(error, ExactError::Io(error) if error.kind() == io::ErrorKind::BrokenPipe));
    }

    #[test]
    fn an_arena_that_ends_early_is_told() {
        let arena = memfd::sealed_copy(c"test", b"hello").expect("memory");
        let file = tempfile::tempfile().expect("a temporary folder");
        let error = append_from(file.as_fd(), arena.as_fd(), 2, 10).expect_err("three bytes");
        assert!(matches!(error, ExactError::ShortRead { wanted: 10, got: 3 }));
        let (_reader, writer) = io::pipe().expect("descriptors are left");
        let error = append_from(writer.as_fd(), arena.as_fd(), 2, 10).expect_err("three bytes");
        assert!(matches!(error, ExactError::ShortRead { wanted: 10, got: 3 }));
    }

    #[test]
    fn room_is_made_and_missing_room_is_told() {
        let file = tempfile::tempfile().expect("a temporary folder");
        preallocate(file.as_fd(), 100_000).expect("space");
        let metadata = file.metadata().expect("open");
        assert_eq!(metadata.len(), 100_000);
        preallocate(file.as_fd(), 10).expect("space");
        assert_eq!(file.metadata().expect("open").len(), 10);
        let error = preallocate(file.as_fd(), 1 << 62).expect_err("more than any disk has");
        assert!(matches!(error, ExactError::StorageFull), "{error}");
        assert_eq!(file.metadata().expect("open").len(), 10);
    }

    #[test]
    fn space_is_reserved_behind_the_end() {
        let file = tempfile::tempfile().expect("a temporary folder");
        pwrite_all(file.as_fd(), b"hello", 0).expect("space");
        reserve(file.as_fd(), 5, 1 << 20).expect("space");
        reserve(file.as_fd(), 5, 0).expect("nothing");
        assert_eq!(file.metadata().expect("open").len(), 5);
        assert!(matches!(reserve(file.as_fd(), 5, 1 << 62), Err(ExactError::StorageFull | ExactError::Io(_))));
    }
}
