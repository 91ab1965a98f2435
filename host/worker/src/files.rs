//! The files a worker was given, by slot.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use taskhost_protocol::ids::{JobId, SlotId};
use taskhost_protocol::limits::SLOTS;
use taskhost_protocol::message::Open;

use crate::startup::Fatal;

/// An input.
#[derive(Debug)]
pub(crate) struct Input {
    /// Shared with the batch that reads it, which must not hold on to the table.
    pub(crate) file: Arc<File>,
    pub(crate) job: JobId,
    pub(crate) name: Arc<str>,
    pub(crate) header: Option<Arc<[u8]>>,
}

#[derive(Debug)]
enum Entry {
    Input(Input),
    Other(Arc<File>),
}

/// The table of open files.
#[derive(Debug, Default)]
pub(crate) struct Files {
    slots: [Option<Entry>; SLOTS],
}

impl Files {
    /// Takes a descriptor into a slot.
    pub(crate) fn open(&mut self, slot: SlotId, open: Open, fds: Vec<OwnedFd>) -> Result<(), Fatal> {
        let Ok([fd]) = <[OwnedFd; 1]>::try_from(fds) else {
            return Err(Fatal::Protocol("one descriptor belongs to one slot".into()));
        };
        let file = Arc::new(File::from(fd));
        let entry = match open {
            Open::Input(source) => Entry::Input(Input {
                file,
                job: source.job,
                name: source.name.into(),
                header: source.header.map(Arc::from),
            }),
            Open::Parts | Open::Output => Entry::Other(file),
        };
        *self.slot(slot)? = Some(entry);
        Ok(())
    }

    /// Empties a slot.
    pub(crate) fn close(&mut self, slot: SlotId) -> Result<(), Fatal> {
        *self.slot(slot)? = None;
        Ok(())
    }

    fn slot(&mut self, slot: SlotId) -> Result<&mut Option<Entry>, Fatal> {
        self.slots.get_mut(usize::from(slot.0)).ok_or_else(|| Fatal::Protocol(format!("there is no slot {slot}")))
    }

    /// The input in a slot.
    pub(crate) fn input(&self, slot: SlotId) -> Result<&Input, Fatal> {
        match self.slots.get(usize::from(slot.0)) {
            Some(Some(Entry::Input(input))) => Ok(input),
            _ => Err(Fatal::Protocol(format!("slot {slot} holds no input"))),
        }
    }

    /// The file in a slot, whatever it is.
    pub(crate) fn file(&self, slot: SlotId) -> Result<&Arc<File>, Fatal> {
        match self.slots.get(usize::from(slot.0)) {
            Some(Some(Entry::Input(Input { file, .. }) | Entry::Other(file))) => Ok(file),
            _ => Err(Fatal::Protocol(format!("slot {slot} is empty"))),
        }
    }
}
