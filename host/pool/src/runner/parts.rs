//! Partial results of reductions that wait to be joined: small ones here, large ones in a file in memory that nobody maps,
//! so that the accumulators of a large group-by are not the coordinator's own memory.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

use taskhost_os::exact::{self, ExactError};
use taskhost_os::memfd::{self, OutputArena};
use taskhost_os::transfer;

use crate::event::PartId;

/// Parts at least this long go to the file. Shorter ones would leave a page each behind, since only whole pages can be
/// given back.
const LARGE: u64 = 64 << 10;

#[derive(Debug)]
enum Part {
    Small(Vec<u8>),
    Large { offset: u64, len: u64 },
}

/// The parts that wait.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    parts: HashMap<PartId, Part>,
    /// Large parts, end to end; made with the first.
    store: Option<OutputArena>,
    /// Where the next large part goes. Never goes back: 32 TiB are enough, and pages of dropped parts cost nothing.
    next: u64,
}

impl Parts {
    /// Copies a part out of an arena.
    pub(crate) fn take(&mut self, id: PartId, arena: BorrowedFd<'_>, offset: u64, len: u64) -> Result<(), ExactError> {
        let part = if len < LARGE {
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
            exact::pread_exact(arena, &mut bytes, offset)?;
            Part::Small(bytes)
        } else {
            if self.store.is_none() {
                self.store = Some(OutputArena::create().map_err(ExactError::Io)?);
            }
            let store = self.store.as_ref().map(AsFd::as_fd).ok_or(ExactError::StorageFull)?;
            // The store's position is its end, since it is only ever appended to.
            transfer::append_from(store, arena, offset, len)?;
            let at = self.next;
            self.next += len;
            Part::Large { offset: at, len }
        };
        self.parts.insert(id, part);
        Ok(())
    }

    /// Keeps a part that another run has made.
    pub(crate) fn restore(&mut self, id: PartId, bytes: &[u8]) {
        self.parts.insert(id, Part::Small(bytes.to_vec()));
    }

    /// Forgets a part.
    pub(crate) fn drop_part(&mut self, id: PartId) {
        if let (Some(Part::Large { offset, len }), Some(store)) = (self.parts.remove(&id), &self.store) {
            // Memory that cannot be given back is only memory.
            let _ = store.punch(offset, len);
        }
    }

    /// Lays parts end to end in a file of their own, and says how long each is.
    pub(crate) fn join(&self, ids: &[PartId]) -> Result<(OwnedFd, Vec<u64>), String> {
        let failed = |error: &dyn std::fmt::Display| format!("parts cannot be laid out: {error}");
        let file = File::from(memfd::create(c"taskhost-parts").map_err(|error| failed(&error))?);
        let mut lens = Vec::with_capacity(ids.len());
        let mut at = 0;
        for id in ids {
            let len = match self.parts.get(id).ok_or("was to join a part that is gone")? {
                Part::Small(bytes) => {
                    file.write_all_at(bytes, at).map_err(|error| failed(&error))?;
                    bytes.len() as u64
                }
                Part::Large { offset, len } => {
                    let store = self.store.as_ref().ok_or("was to join a part that is gone")?;
                    io::Seek::seek(&mut &file, io::SeekFrom::Start(at)).map_err(|error| failed(&error))?;
                    transfer::append_from(file.as_fd(), store.as_fd(), *offset, *len)
                        .map_err(|error| failed(&error))?;
                    *len
                }
            };
            at += len;
            lens.push(len);
        }
        memfd::seal_read_only(file.as_fd()).map_err(|error| failed(&error))?;
        Ok((file.into(), lens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arena_with(bytes: &[u8]) -> OutputArena {
        let arena = OutputArena::create().expect("memory");
        exact::pwrite_all(arena.as_fd(), bytes, 0).expect("room");
        arena
    }

    #[test]
    fn small_and_large_parts_are_laid_end_to_end() {
        let long = vec![7; 100_000];
        let arena = arena_with(&[b"abc".as_slice(), &long, b"xyz"].concat());
        let mut parts = Parts::default();
        parts.take(PartId(0), arena.as_fd(), 0, 3).expect("inside");
        parts.take(PartId(1), arena.as_fd(), 3, 100_000).expect("inside");
        parts.take(PartId(2), arena.as_fd(), 3, 100_000).expect("inside");
        parts.take(PartId(3), arena.as_fd(), 100_003, 3).expect("inside");
        parts.drop_part(PartId(1));
        let (file, lens) = parts.join(&[PartId(3), PartId(2), PartId(0)]).expect("all there");
        assert_eq!(lens, [3, 100_000, 3]);
        let mut joined = vec![0; 100_006];
        exact::pread_exact(file.as_fd(), &mut joined, 0).expect("whole");
        assert_eq!(joined, [b"xyz".as_slice(), &long, b"abc"].concat());
        assert!(parts.join(&[PartId(1)]).is_err(), "it was dropped");
    }
}
