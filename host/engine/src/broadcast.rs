//! Data that all workers of a run can read (`--broadcast`): slices of one file that nobody can change.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use taskhost_protocol::given::Broadcast;
use taskhost_protocol::limits::cap_text;

/// All of it, by name.
#[derive(Debug, Default)]
pub struct BroadcastData {
    entries: Vec<Broadcast>,
    file: Option<File>,
}

impl BroadcastData {
    /// `file` holds what `entries` say, and never changes.
    #[must_use]
    pub fn new(entries: Vec<Broadcast>, file: Option<File>) -> Self {
        Self { entries: if file.is_some() { entries } else { Vec::new() }, file }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of the entry of this name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.name == name)
    }

    /// Name and bytes of an entry.
    pub(crate) fn entry(&self, index: usize) -> Option<(&str, u64)> {
        self.entries.get(index).map(|entry| (entry.name.as_str(), entry.len))
    }

    /// The number of an entry, and how many of so many bytes there are from `offset` of it.
    pub(crate) fn slice(&self, name: &str, offset: u64, length: u32) -> Result<(usize, u64), String> {
        let found = self.find(name).and_then(|index| Some((index, self.entry(index)?.1)));
        let Some((index, len)) = found else {
            return Err(format!("there is no broadcast data named `{}`", cap_text(name)));
        };
        Ok((index, len.saturating_sub(offset).min(u64::from(length))))
    }

    /// Reads from `offset` of an entry as much as there is and fits; gives the number of bytes.
    pub(crate) fn read(&self, index: usize, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let (Some(entry), Some(file)) = (self.entries.get(index), &self.file) else { return Ok(0) };
        let left = usize::try_from(entry.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = left.min(buffer.len());
        file.read_exact_at(&mut buffer[..len], entry.at.saturating_add(offset))?;
        Ok(len)
    }
}
