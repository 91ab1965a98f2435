//! Which files a worker has open: a table of [`SLOTS`] entries, kept here, since the worker's word is no evidence.

use taskhost_protocol::ids::{BatchId, JobId, SlotId, SourceId};
use taskhost_protocol::limits::SLOTS;

/// What is in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// An input of a job. For a pipe this is the job's arena.
    Source(JobId, SourceId),
    /// The output of a job.
    Output(JobId),
    /// The picture file that is made of the output of a job.
    Encoded(JobId),
    /// Parts to be joined by a batch.
    Parts(BatchId),
    /// Short tables of items, of whatever jobs.
    Tables,
}

impl Content {
    fn owner(self) -> Option<JobId> {
        match self {
            Self::Source(job, _) | Self::Output(job) | Self::Encoded(job) => Some(job),
            Self::Parts(_) | Self::Tables => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    content: Content,
    /// Batches that are out and need it.
    users: u32,
    /// When it was last given out, in assignments.
    last: u64,
}

/// The open files of one worker.
#[derive(Debug)]
pub(crate) struct Slots {
    slots: [Option<Slot>; SLOTS],
    clock: u64,
}

/// What to do to have a content in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Nothing: it is there.
    Open(SlotId),
    /// Open it there, in place of what it held.
    New(SlotId),
}

impl Slots {
    pub(crate) fn new() -> Self {
        Self { slots: [None; SLOTS], clock: 0 }
    }

    /// Finds a slot for `content` and counts one more user. `None` when all slots are in use, which two batches of
    /// [`taskhost_protocol::limits::PIECES_PER_BATCH`] pieces and one output each cannot bring about.
    pub(crate) fn take(&mut self, content: Content) -> Option<Taken> {
        self.clock += 1;
        let open = self.slots.iter().position(|slot| slot.is_some_and(|slot| slot.content == content));
        let index = match open {
            Some(index) => index,
            None => {
                let unused = |slot: &Option<Slot>| slot.is_none_or(|slot| slot.users == 0);
                let candidates = self.slots.iter().enumerate().filter(|(_, slot)| unused(slot));
                candidates.min_by_key(|(_, slot)| slot.map_or(0, |slot| slot.last))?.0
            }
        };
        let users = if open.is_some() { self.slots[index].map_or(0, |slot| slot.users) } else { 0 };
        self.slots[index] = Some(Slot { content, users: users + 1, last: self.clock });
        let slot = SlotId(u8::try_from(index).expect("there are fewer than 256 slots"));
        Some(if open.is_some() { Taken::Open(slot) } else { Taken::New(slot) })
    }

    /// One user less.
    pub(crate) fn release(&mut self, slot: SlotId) {
        if let Some(Some(slot)) = self.slots.get_mut(usize::from(slot.0)) {
            slot.users = slot.users.saturating_sub(1);
        }
    }

    /// Empties the slots of a job that is over and that nobody uses, and says which.
    pub(crate) fn forget(&mut self, job: JobId) -> Vec<SlotId> {
        let mut emptied = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let of_job = slot.is_some_and(|slot| slot.users == 0 && slot.content.owner() == Some(job));
            if of_job {
                *slot = None;
                emptied.push(SlotId(u8::try_from(index).expect("there are fewer than 256 slots")));
            }
        }
        emptied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_slot_is_taken() {
        let mut slots = Slots::new();
        for source in 0..SLOTS as u32 {
            let content = Content::Source(JobId(0), SourceId(source));
            let Some(Taken::New(slot)) = slots.take(content) else { panic!("there is room") };
            slots.release(slot);
        }
        let first = Content::Source(JobId(0), SourceId(0));
        assert_eq!(slots.take(first), Some(Taken::Open(SlotId(0))));
        assert_eq!(slots.take(Content::Output(JobId(0))), Some(Taken::New(SlotId(1))), "slot 0 is in use");
    }

    #[test]
    fn a_slot_in_use_is_never_given_away() {
        let mut slots = Slots::new();
        for source in 0..SLOTS as u32 {
            assert!(slots.take(Content::Source(JobId(0), SourceId(source))).is_some());
        }
        assert_eq!(slots.take(Content::Output(JobId(0))), None);
    }
}
