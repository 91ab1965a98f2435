//! A job whose input is cut into items: what is run next, and what becomes of a finished batch.

mod batches;
mod opening;

use std::collections::BTreeMap;

use taskhost_protocol::ids::{JobId, SourceId};
use taskhost_protocol::kernel::ResultLength;
use taskhost_protocol::limits::MARKED_ITEMS;
use taskhost_protocol::work::{Budget, Done, Merge, Piece, Split};

use super::charge::{again, check_hint, divide};
use super::check::check_items;
use super::checking::Checking;
use super::input::{Input, Next};
use super::job::{Job, Pick, Ran, Regained};
use super::ledger::Ledger;
use super::mark::{Lost, Sentence};
use super::reduction::Reduction;
use super::sizing::{LARGEST, Sizing};
use super::supply::{Key, Supply, Wanted};
use super::window::Window;
use crate::event::{
    Action, Destination, DirectLength, DoneRange, ItemsPlan, JobFailure, JobTotals, OnError, Placement, Post, Prefix,
    Resume, Task,
};

/// Input of a pipe that may be read but not yet run, in bytes.
const READ_AHEAD: u64 = 32 << 20;

/// Files, or blocks of a pipe, in use at once. Files: far below the usual limit of 1024 descriptors, far above what
/// workers can have in flight. Blocks: a pipe that brings a line at a time fills up blocks long before it fills
/// [`READ_AHEAD`]; once it is left to itself for a while, it brings more at a time.
const OPEN: usize = 128;

/// A job whose input is cut into items.
#[derive(Debug)]
pub(crate) struct ItemsJob {
    id: JobId,
    plan: ItemsPlan,
    sizing: Sizing,
    input: Input,
    supply: Supply,
    window: Window<Key>,
    /// What is in order, and not yet taken.
    checking: Checking,
    reduction: Option<Reduction>,
    /// What is merged.
    ledger: Ledger,
    /// What another run had merged.
    merged: Prefix,
    /// What another run has done of each input of a reduction.
    done: BTreeMap<SourceId, Vec<DoneRange>>,
    /// The only items that are to be run, when it is not all.
    only: Option<BTreeMap<SourceId, Vec<(u64, u64)>>>,
    /// The first batch in which an item fails the job, if one does. What comes before it is still run, since another item
    /// may fail there.
    failed: Option<Key>,
    /// What is merged is told, for a journal.
    is_kept: bool,
}

impl ItemsJob {
    pub(crate) fn new(id: JobId, plan: ItemsPlan, resume: Option<Box<Resume>>) -> Self {
        let is_direct = matches!(plan.placement, Placement::Direct(_));
        let mut ledger = Ledger::new(id, plan.split, plan.on_error, plan.ordered).with_direct(is_direct);
        let merged = resume.as_ref().map_or_else(Prefix::default, |resume| resume.prefix);
        let mut only = None;
        let mut done = BTreeMap::new();
        if let Some(resume) = resume {
            ledger.resume(resume.prefix, resume.totals);
            only = resume.only;
            done = resume.done;
        }
        Self {
            id,
            plan,
            sizing: if plan.split == Split::Table { Sizing::of_items(plan.batch) } else { Sizing::new(plan.batch) },
            input: Input::new(plan.split).behind(plan.portion.map_or(0, |portion| portion.base)),
            supply: Supply::default(),
            window: Window::new(plan.ordered),
            checking: Checking::default(),
            reduction: (plan.merge == Merge::Reduce).then(Reduction::new),
            ledger,
            merged,
            done,
            only,
            failed: None,
            is_kept: false,
        }
    }

    /// With `is_kept`, what is merged is told, for a journal.
    pub(crate) fn telling(mut self, is_kept: bool) -> Self {
        self.is_kept = is_kept;
        self
    }

    /// Where the results of a piece go.
    fn destination(&self, piece: &Piece) -> Destination {
        match self.plan.placement {
            // Parts are copied out of the arena.
            _ if self.reduction.is_some() => Destination::Arena,
            Placement::Append => Destination::Arena,
            Placement::Checked => Destination::Marked,
            Placement::Nowhere => Destination::Nowhere,
            Placement::Direct(DirectLength::Exactly(len)) => {
                let portion = self.plan.portion.unwrap_or_default();
                let first = Piece { base: portion.base, ..*piece }.position(self.plan.split, portion.start);
                Destination::Output((piece.position(self.plan.split, piece.start) - first) * u64::from(len))
            }
            Placement::Direct(DirectLength::Same) => {
                let before = self.plan.portion.map_or(0, |portion| portion.start);
                Destination::Output(self.supply.before(piece) + piece.start - before)
            }
        }
    }

    /// Bytes that are left, if that is known.
    fn left(&self) -> Option<u64> {
        match (self.input.next(), self.plan.bytes) {
            (Next::Ended, _) => Some(self.supply.bytes()),
            (_, Some(all)) => Some(all.saturating_sub(self.input.bytes()) + self.supply.bytes()),
            _ => None,
        }
    }

    /// Whether a stretch can be given out.
    fn can_run(&self, post: Post) -> bool {
        self.supply.first_for(post).is_some_and(|first| self.window.has_room_at(first))
    }

    /// Whether all items were run and merged.
    fn is_run(&self) -> bool {
        self.input.next() == Next::Ended && self.supply.len() == 0 && self.window.is_empty() && self.checking.is_empty()
    }

    /// Of a portion, it is told how its lines go on, and what cannot be joined without the rest of the input is the result.
    fn hand_over(&mut self, actions: &mut Vec<Action>) {
        if self.plan.portion.is_none() || self.ledger.has_failed() || !self.is_run() {
            return;
        }
        let prefix = self.ledger.prefix();
        self.ledger.totals_mut().last = (prefix.source_items > 0).then_some((prefix.source, prefix.source_items));
        if let Some(parts) = self.reduction.as_mut().and_then(Reduction::hand_over) {
            let bytes = parts.iter().map(|(_, partial)| partial.len).sum();
            self.ledger.totals_mut().output = bytes;
            self.window.append(bytes);
            actions.push(Action::WriteParts { job: self.id, parts });
        }
    }

    /// Zeros that stand in the place of the result of a failed item of `len` bytes.
    fn filled(&self, len: u64) -> u64 {
        match (self.plan.placement, self.plan.on_error) {
            (Placement::Direct(DirectLength::Same), OnError::Skip) => len,
            (Placement::Direct(DirectLength::Exactly(len)), OnError::Skip) => len.into(),
            (Placement::Direct(_), OnError::Fail)
            | (Placement::Append | Placement::Checked | Placement::Nowhere, _) => 0,
        }
    }
}

impl Job for ItemsJob {
    fn pump(&mut self, workers: usize, actions: &mut Vec<Action>) {
        if self.failed.is_some() {
            return;
        }
        match self.input.next() {
            Next::Idle if self.supply.len() < 4 * workers.max(2) && self.supply.needed_count() < OPEN => {
                self.input.ask();
                actions.push(Action::NextSource { job: self.id });
            }
            Next::Pipe { asked: false, .. } => {
                let bytes = self.sizing.bytes(self.plan.split, None, workers).min(LARGEST);
                // Two batches ahead for each worker, as deep as their queues are.
                let is_enough = self.supply.bytes() >= bytes.saturating_mul(2 * workers as u64);
                let has_room = self.supply.needed_bytes() < READ_AHEAD && self.supply.needed_count() < OPEN;
                if !is_enough && has_room && !self.window.is_full() {
                    self.input.ask();
                    actions.push(Action::Read { job: self.id, bytes });
                }
            }
            Next::Idle | Next::Pipe { .. } | Next::Asked | Next::Ended => {}
        }
        self.hand_over(actions);
    }

    fn next(&mut self, post: Post, workers: usize) -> Option<Pick> {
        if let Some(reduction) = &mut self.reduction
            && self.failed.is_none()
            && post == Post::Execute
            && let Some(pick) = reduction.next()
        {
            return Some(pick);
        }
        if !self.can_run(post) {
            return None;
        }
        // A first batch of a pipe leaves something for the others, too: each of its items may take hours.
        let is_new = self.sizing.is_new() && self.input.next() != Next::Ended;
        let left = if is_new { Some(self.supply.bytes()) } else { self.left() };
        let bytes = self.sizing.bytes(self.plan.split, left, workers);
        // Files are shared out when there are few, whatever their size.
        let files = self.sizing.files().min(self.supply.len().div_ceil(workers.max(1)));
        let (pieces, mark) = self.supply.take(post, self.plan.split, Wanted { bytes, files });
        let first = pieces.first()?;
        self.window.insert((first.source, first.start));
        let destination = self.destination(first);
        Some(Pick { mark, ..Pick::new(Task::Items(pieces), destination) })
    }

    fn check(&self, pick: &Pick, done: &Done) -> Result<(), &'static str> {
        match &pick.task {
            Task::Items(pieces) => check_items(&self.plan, pick, pieces, done),
            _ if done.rest.is_some() || !done.partials.is_empty() => Err("handed back work that cannot be divided"),
            _ => Ok(()),
        }
    }

    fn done(
        &mut self,
        ran: Ran<'_>,
        next_part: &mut u64,
        actions: &mut Vec<Action>,
    ) -> Result<Option<Pick>, JobFailure> {
        let Ran { batch, pick, done, .. } = ran;
        if let Task::Items(pieces) = &pick.task {
            return self.items_done(ran, pieces, next_part, actions).map(|()| None);
        }
        let Some(reduction) = &mut self.reduction else { return Ok(None) };
        if let Some(failure) = done.failures.first() {
            actions.push(Action::ReleaseBatch { batch });
            let what = if matches!(pick.task, Task::Finish(_)) { "finish" } else { "combine" };
            return Err(JobFailure::Kernel(format!("the kernel's `{what}` failed: {}", failure.fault)));
        }
        if let Task::Finish(part) = &pick.task {
            reduction.finished(*part, actions);
            self.ledger.totals_mut().output = done.output;
            self.window.append(done.output);
            actions.push(match done.output {
                0 => Action::ReleaseBatch { batch },
                bytes => Action::Append { job: self.id, batch, bytes },
            });
            return Ok(None);
        }
        let (part, next) = reduction.joined(pick, done.output, next_part);
        actions.push(Action::TakeParts { batch, parts: vec![(part, done.output)] });
        actions.push(Action::ReleaseBatch { batch });
        if let Task::Combine(parts) = &pick.task {
            reduction.drop_parts(parts.clone(), actions);
        }
        Ok(next)
    }

    fn lost(&mut self, pick: Pick, lost: &Lost<'_>) -> Result<Regained, JobFailure> {
        let Task::Items(pieces) = &pick.task else {
            let what =
                if matches!(pick.task, Task::Finish(_)) { "the kernel's `finish`" } else { "the kernel's `combine`" };
            let before = pick.attempts;
            return again(pick, lost, what).map(|again| Regained::whole(again, before));
        };
        let hint = lost.hint().and_then(|hint| check_hint(self.plan.split, pieces, hint));
        let mut sentence = lost.sentence(hint, pick.mark.as_ref());
        if sentence == Sentence::JoinLate && self.reduction.is_none() {
            // Nothing is joined: it was on its way from one item to the next.
            sentence = Sentence::Again;
        }
        let is_explained = sentence.is_progress(hint);
        let divided = divide(self.plan.split, pieces, pick.mark.as_ref(), sentence)?;
        self.take_back(pieces, divided);
        Ok(Regained { again: None, is_explained })
    }

    fn untouched(&mut self, pick: Pick) -> Option<Pick> {
        let Task::Items(pieces) = &pick.task else { return Some(pick) };
        let first = |index: usize| if index == 0 { pick.mark.clone() } else { None };
        self.take_back(pieces, pieces.iter().enumerate().map(|(index, piece)| (*piece, first(index))).collect());
        None
    }

    fn failure(&mut self) -> Option<JobFailure> {
        if self.window.is_written() { self.ledger.take_failure() } else { None }
    }

    fn on_error(&self) -> OnError {
        self.plan.on_error
    }

    fn appended(&mut self, bytes: u64) {
        self.ledger.skip_output(bytes);
        self.window.append(bytes);
    }

    fn written(&mut self, bytes: u64) {
        self.window.written(bytes);
    }

    fn has_more(&self, post: Post) -> bool {
        let is_join =
            post == Post::Execute && self.failed.is_none() && self.reduction.as_ref().is_some_and(Reduction::has_next);
        is_join || self.can_run(post)
    }

    fn width(&self, post: Post, most: usize) -> usize {
        match self.plan.split {
            _ if !self.has_more(post) => 0,
            // What is counted there are items.
            Split::Table => usize::try_from(self.supply.bytes()).unwrap_or(most).clamp(1, most),
            Split::Whole | Split::Lines | Split::Blocks(_) | Split::Records(_) | Split::Chunks(_) => most,
        }
    }

    fn is_finished(&self) -> bool {
        !self.ledger.has_failed()
            && self.is_run()
            && self.window.is_written()
            && self.reduction.as_ref().is_none_or(Reduction::is_finished)
    }

    fn abandon(&mut self, actions: &mut Vec<Action>) {
        actions.extend(self.window.abandoned().map(|batch| Action::ReleaseBatch { batch }));
        if let Some(reduction) = &mut self.reduction {
            reduction.abandon(actions);
        }
    }

    fn budget(&self, workers: usize) -> Budget {
        let budget = self.sizing.budget(workers, self.plan.on_error);
        match self.plan.placement {
            Placement::Checked => Budget { items: budget.items.min(MARKED_ITEMS), ..budget },
            Placement::Append | Placement::Direct(_) | Placement::Nowhere => budget,
        }
    }

    fn split_and_merge(&self) -> (Split, Merge) {
        (self.plan.split, self.plan.merge)
    }

    fn length(&self) -> ResultLength {
        self.plan.length
    }

    fn totals(&self) -> &JobTotals {
        self.ledger.totals()
    }

    fn totals_mut(&mut self) -> &mut JobTotals {
        self.ledger.totals_mut()
    }
}
