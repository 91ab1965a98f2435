//! Holding what is on the disk of an output against what was committed.

use std::fs::File;
use std::io;

use taskhost_os::exact::ExactError;

use super::print::hash_range;
use super::record::Commit;

/// How an output differs from what was committed.
#[derive(Debug, thiserror::Error)]
pub enum Mismatch {
    /// Other bytes are in it.
    #[error("bytes {from} to {to} of the output are not those that were written")]
    Content {
        /// Where the range begins.
        from: u64,
        /// Where it ends.
        to: u64,
    },
    /// It is shorter.
    #[error("the output has only {bytes} of the {committed} bytes that were written")]
    Short {
        /// Its bytes.
        bytes: u64,
        /// The bytes that were committed.
        committed: u64,
    },
    /// A commit makes no sense.
    #[error("a commit ends at byte {to} of the output, in front of its begin at {from}")]
    Range {
        /// Where it begins.
        from: u64,
        /// Where it ends.
        to: u64,
    },
    /// It cannot be read.
    #[error("the output cannot be read: {0}")]
    Io(io::Error),
}

/// Reads all committed bytes of an output again and compares their digests. `commits` are those of this output alone.
///
/// # Errors
/// The first difference.
pub fn verify_output(file: &File, commits: &[Commit]) -> Result<(), Mismatch> {
    let bytes = file.metadata().map_err(Mismatch::Io)?.len();
    let committed = commits.iter().map(|commit| commit.output).max().unwrap_or(0);
    if bytes < committed {
        return Err(Mismatch::Short { bytes, committed });
    }
    for commit in commits {
        let (from, to) = (commit.output_from, commit.output);
        let len = to.checked_sub(from).ok_or(Mismatch::Range { from, to })?;
        let mut hasher = blake3::Hasher::new();
        match hash_range(&mut hasher, file, from, len) {
            Ok(()) => {}
            Err(ExactError::ShortRead { got, .. }) => return Err(Mismatch::Short { bytes: from + got, committed }),
            Err(ExactError::Io(error)) => return Err(Mismatch::Io(error)),
            Err(error @ ExactError::StorageFull) => return Err(Mismatch::Io(io::Error::other(error))),
        }
        if hasher.finalize().as_bytes() != &commit.digest {
            return Err(Mismatch::Content { from, to });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::os::fd::AsFd as _;

    use taskhost_os::exact::pwrite_all;
    use taskhost_protocol::ids::{JobId, SourceId};

    fn commit(output_from: u64, output: u64, bytes: &[u8]) -> Commit {
        let digest = *blake3::hash(bytes).as_bytes();
        let (job, source, counters) = (JobId(0), SourceId(0), Vec::new());
        let (offset, complete, items, input, source_items) = (0, false, 0, 0, 0);
        Commit {
            job,
            source,
            offset,
            complete,
            output_from,
            output,
            items,
            input,
            source_items,
            counters,
            digest,
            read: None,
        }
    }

    #[test]
    fn committed_bytes_are_held_against_their_digests() {
        let file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..2_500_000_u32).map(|at| (at ^ at >> 8) as u8).collect();
        pwrite_all(file.as_fd(), &bytes, 0).unwrap();
        let mut commits =
            vec![commit(0, 10, &bytes[..10]), commit(10, 10, &[]), commit(10, 2_400_000, &bytes[10..2_400_000])];
        verify_output(&file, &commits).unwrap();
        verify_output(&file, &[]).unwrap();
        // What comes behind was never committed.
        pwrite_all(file.as_fd(), b"x", 2_450_000).unwrap();
        verify_output(&file, &commits).unwrap();
        pwrite_all(file.as_fd(), &[!bytes[2_399_999]], 2_399_999).unwrap();
        let changed = verify_output(&file, &commits).unwrap_err();
        assert_eq!(changed.to_string(), "bytes 10 to 2400000 of the output are not those that were written");
        file.set_len(1000).unwrap();
        let short = verify_output(&file, &commits).unwrap_err();
        assert_eq!(short.to_string(), "the output has only 1000 of the 2400000 bytes that were written");
        commits[2].output = 5;
        assert!(matches!(verify_output(&file, &commits), Err(Mismatch::Range { from: 10, to: 5 })));
    }
}
