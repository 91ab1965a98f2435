//! All stages while items flow: moves results on to where they are items, and puts those that failed in their places.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

use crate::library::error::StageError;
use crate::library::kernel::Kernel;

use super::bell::Bell;
use super::lane::Lane;
use super::report::PipelineReport;
use super::stage::Share;

/// Failed items that wait for what comes before them: beyond, no more items are taken.
const MOST_FAILED: usize = 1 << 12;

/// The stages.
pub(super) struct Line {
    lanes: Vec<Lane>,
    ordered: bool,
    /// Items that failed and were not yet told, by number.
    failed: BTreeMap<u64, StageError>,
    /// Items that were taken, and results and failures of these that were given out.
    taken: u64,
    given: u64,
    /// Failures among what was given out.
    told: u64,
    read_ahead: Option<u64>,
    /// Why it cannot go on.
    broken: Option<StageError>,
    /// It has said why, and has nothing more to say.
    is_given_up: bool,
    bell: Arc<Bell>,
    waker: Waker,
}

impl Line {
    pub(super) fn new<'a>(stages: impl Iterator<Item = (&'a Kernel, Share)>, ordered: bool) -> Self {
        let bell = Arc::<Bell>::default();
        let lanes = stages.enumerate().map(|(stage, (kernel, share))| Lane::new(kernel, share, stage, ordered));
        Self {
            lanes: lanes.collect(),
            ordered,
            failed: BTreeMap::new(),
            taken: 0,
            given: 0,
            told: 0,
            read_ahead: None,
            broken: None,
            is_given_up: false,
            waker: Waker::from(Arc::clone(&bell)),
            bell,
        }
    }

    pub(super) fn set_read_ahead(&mut self, items: u64) {
        self.read_ahead = Some(items.max(1));
    }

    /// Whether one more item may be taken.
    pub(super) fn has_room(&self) -> bool {
        let is_behind = self.read_ahead.is_none_or(|most| self.taken - self.given < most);
        is_behind && self.failed.len() < MOST_FAILED && self.lanes.first().is_some_and(|lane| lane.flow.has_room())
    }

    /// Whether it is time to take more items.
    pub(super) fn wants(&mut self) -> bool {
        self.has_room() && self.lanes.first_mut().is_some_and(|lane| lane.flow.wants())
    }

    /// Takes an item.
    pub(super) fn push(&mut self, write: impl Fn(&mut Vec<u8>) -> Result<(), String>) {
        let number = self.taken;
        self.taken += 1;
        if let Some(lane) = self.lanes.first_mut() {
            lane.push(number, write);
        }
    }

    /// Has the first stage begin with what was taken.
    pub(super) fn flush(&mut self) {
        if let Some(lane) = self.lanes.first_mut() {
            lane.flow.flush();
        }
    }

    /// There are no more items.
    pub(super) fn end(&mut self) {
        if let Some(lane) = self.lanes.first_mut() {
            lane.flow.end();
        }
    }

    /// Moves on what can be moved, from the last stages on so that there is room. Whether that was anything.
    pub(super) fn advance(&mut self) -> bool {
        let mut moved = false;
        for stage in (0..self.lanes.len().saturating_sub(1)).rev() {
            moved |= self.advance_from(stage);
        }
        moved
    }

    /// Moves results of a stage to the next.
    fn advance_from(&mut self, stage: usize) -> bool {
        let Some([from, to]) = self.lanes.get_mut(stage..stage + 2) else { return false };
        if from.is_over || !to.flow.wants() {
            return false;
        }
        let mut moved = false;
        while to.flow.has_room() {
            let result = from.take(|bytes| {
                to.flow.push(|item| {
                    item.extend_from_slice(bytes);
                    Ok(())
                });
                Ok(())
            });
            match result {
                Some((number, Ok(()))) => to.pushed(number),
                Some((number, Err(error))) => {
                    self.failed.insert(number, error);
                }
                None => match from.look() {
                    Ok(true) if from.is_over => {
                        to.flow.end();
                        return true;
                    }
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        self.broken.get_or_insert(error);
                        return true;
                    }
                },
            }
            moved = true;
        }
        to.flow.flush();
        moved
    }

    /// The next result, if it is there.
    pub(super) fn take<R>(
        &mut self,
        read: impl FnOnce(&[u8]) -> Result<R, String>,
    ) -> Option<(u64, Result<R, StageError>)> {
        if self.is_given_up {
            return None;
        }
        let failed = if self.ordered { self.failed.remove_entry(&self.given) } else { self.failed.pop_first() };
        let next = match failed {
            Some((number, error)) => (number, Err(error)),
            None => self.lanes.last_mut()?.take(read)?,
        };
        self.given += 1;
        self.told += u64::from(next.1.is_err());
        Some(next)
    }

    /// Looks whether more has come out of the last stage.
    pub(super) fn look(&mut self) -> bool {
        let Some(lane) = self.lanes.last_mut() else { return false };
        match lane.look() {
            Ok(more) => more,
            Err(error) => {
                self.broken.get_or_insert(error);
                true
            }
        }
    }

    /// Why it cannot go on, if it cannot: told once.
    pub(super) fn broken(&mut self) -> Option<StageError> {
        self.broken.take()
    }

    /// Whether everything was given.
    pub(super) fn is_over(&self) -> bool {
        self.lanes.iter().all(|lane| lane.is_over) && self.failed.is_empty()
    }

    /// Gives everything up.
    pub(super) fn give_up(&mut self) {
        for lane in &mut self.lanes {
            lane.flow.give_up();
            lane.is_over = true;
        }
        self.failed.clear();
        self.is_given_up = true;
    }

    /// Waits until there is something to be moved or taken.
    pub(super) fn wait(&mut self) {
        for stage in 0..self.lanes.len() {
            let Some((lane, next)) = self.lanes.get_mut(stage..).and_then(<[Lane]>::split_first_mut) else { continue };
            // What the next stage has no room for can wait; it is looked at when that has moved on.
            let can_move = next.first_mut().is_none_or(|next| next.flow.wants());
            if !lane.is_over && can_move && !lane.flow.watch(&self.waker) {
                return;
            }
        }
        self.bell.hear();
    }

    pub(super) fn report(&self) -> PipelineReport {
        PipelineReport {
            items: self.taken,
            results: self.given - self.told,
            failed: self.told,
            stages: self.lanes.iter().map(|lane| lane.report.clone()).collect(),
        }
    }
}
