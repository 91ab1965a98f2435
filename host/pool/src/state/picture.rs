//! A job whose input is a picture: decode, ask the kernel, filter rows, encode.

use taskhost_data::strips::check_plan;
use taskhost_protocol::ids::{BatchId, JobId, SourceId};
use taskhost_protocol::kernel::ResultLength;
use taskhost_protocol::message::Role;
use taskhost_protocol::picture::{Cut, Format, PicturePlan};
use taskhost_protocol::work::{Budget, Done, Merge, Rows, Split};

use super::check::check_rows;
use super::job::{Job, Pick};
use super::sizing::{BatchRule, Sizing};
use super::window::{Finished, Window};
use crate::event::{Action, Destination, FailedItem, JobFailure, JobTotals, PictureJobPlan, Task};

/// How far a picture job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Waits for a convert worker.
    Decode,
    /// Waits for a worker to answer `prepare`.
    Prepare(Format),
    /// Waits for the output to be opened.
    Open(Format, PicturePlan),
    /// Rows are filtered.
    Rows(Format, PicturePlan),
    /// Waits for a convert worker to encode.
    Encode(Format),
    /// Nothing is left to do but to write what was appended.
    Finished,
}

/// A stretch of rows that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stretch {
    plane: u32,
    first: u32,
    end: u32,
}

/// A job whose input is a picture.
#[derive(Debug)]
pub(crate) struct PictureJob {
    id: JobId,
    plan: PictureJobPlan,
    stage: Stage,
    /// Whether the task of the stage is out.
    asked: bool,
    sizing: Sizing,
    left: Vec<Stretch>,
    window: Window<(u32, u32)>,
    /// Offset of the first result in the output.
    output_at: u64,
    totals: JobTotals,
}

impl PictureJob {
    pub(crate) fn new(id: JobId, plan: PictureJobPlan) -> Self {
        Self {
            id,
            plan,
            stage: plan.format.map_or(Stage::Decode, Stage::Prepare),
            asked: false,
            sizing: Sizing::new(plan.batch),
            left: Vec::new(),
            window: Window::new(true),
            output_at: 0,
            totals: JobTotals::default(),
        }
    }

    /// Which workers the next task needs.
    pub(crate) fn role(&self) -> Role {
        match self.stage {
            Stage::Decode | Stage::Encode(_) => Role::Convert,
            Stage::Prepare(_) | Stage::Open(..) | Stage::Rows(..) | Stage::Finished => Role::Execute,
        }
    }

    /// The picture is decoded.
    pub(crate) fn decoded(&mut self, format: Format) {
        self.asked = false;
        self.stage = Stage::Prepare(format);
    }

    /// The output is ready; the first row goes to `at`.
    pub(crate) fn output_opened(&mut self, at: u64) {
        let Stage::Open(format, plan) = self.stage else { return };
        self.output_at = at;
        // Taken from the end, so the first rows are last.
        self.left = (0..self.plan.planes).rev().map(|plane| Stretch { plane, first: 0, end: format.height }).collect();
        self.stage = Stage::Rows(format, plan);
        self.after_rows();
    }

    /// The result is encoded, and so many bytes of it are still to be written.
    pub(crate) fn encoded(&mut self, bytes: u64) {
        self.stage = Stage::Finished;
        self.window.append(bytes);
    }

    fn take(&mut self, format: Format, plan: PicturePlan, workers: usize) -> Option<Pick> {
        let row = format.row_bytes().unwrap_or(u64::MAX).max(1);
        let left: u64 = self.left.iter().map(|stretch| u64::from(stretch.end - stretch.first)).sum();
        let mut stretch = self.left.pop()?;
        let count = match plan.cut {
            Cut::Whole => stretch.end - stretch.first,
            Cut::Strips { halo } => {
                let wanted = match self.plan.batch {
                    BatchRule::Auto => self.sizing.bytes(Split::Whole, Some(left.saturating_mul(row)), workers) / row,
                    BatchRule::Items(rows) => rows,
                };
                // Strips much lower than their halo would mostly read context.
                let least = u64::from(halo).max(1);
                u32::try_from(wanted.max(least)).unwrap_or(u32::MAX).min(stretch.end - stretch.first)
            }
        };
        let first = stretch.first;
        stretch.first += count;
        if stretch.first < stretch.end {
            self.left.push(stretch);
        }
        self.window.insert((stretch.plane, first));
        let plane_bytes = format.bytes().unwrap_or(0);
        let rows = Rows {
            source: SourceId(0),
            slot: taskhost_protocol::ids::SlotId(u8::MAX),
            at: self.plan.at + u64::from(stretch.plane) * plane_bytes,
            format,
            plan,
            first,
            count,
        };
        let destination = if self.plan.direct {
            let before = u64::from(stretch.plane) * plan.output.bytes().unwrap_or(0);
            let row = if plan.cut == Cut::Whole { 0 } else { u64::from(first) * plan.output.row_bytes().unwrap_or(0) };
            Destination::Output(self.output_at + before + row)
        } else {
            Destination::Arena
        };
        Some(Pick { task: Task::Rows(rows), destination, node: None })
    }

    /// Place of the first rows that are left.
    fn first_left(&self) -> Option<(u32, u32)> {
        self.left.last().map(|next| (next.plane, next.first))
    }

    /// Whether rows can be given out.
    fn can_run(&self) -> bool {
        self.first_left().is_some_and(|first| self.window.has_room_at(first))
    }

    fn plane_of(&self, rows: &Rows) -> u32 {
        let bytes = rows.format.bytes().unwrap_or(1).max(1);
        u32::try_from((rows.at - self.plan.at) / bytes).unwrap_or(u32::MAX)
    }

    fn after_rows(&mut self) {
        if let Stage::Rows(_, plan) = self.stage
            && self.left.is_empty()
            && self.window.is_empty()
        {
            self.asked = false;
            self.stage = if self.plan.encode { Stage::Encode(plan.output) } else { Stage::Finished };
        }
    }

    fn rows_done(
        &mut self,
        batch: BatchId,
        rows: &Rows,
        done: &Done,
        actions: &mut Vec<Action>,
    ) -> Result<(), JobFailure> {
        let plane = self.plane_of(rows);
        let mut end = rows.first + rows.count;
        if let Some(rest) = done.rest {
            let first = u32::try_from(rest.start).unwrap_or(end).clamp(rows.first, end);
            if first < end {
                self.left.push(Stretch { plane, first, end });
                self.left.sort_unstable_by(|a, b| b.cmp(a));
            }
            end = first;
        }
        let input = u64::from(end - rows.first).saturating_mul(rows.format.row_bytes().unwrap_or(0));
        self.sizing.learn(input, done.items, done.spent.total);
        self.totals.input += input;
        self.totals.output = self.totals.output.saturating_add(done.output);
        let failure = done.failures.first().cloned().map(Box::new);
        if failure.is_some() {
            self.left.retain(|stretch| (stretch.plane, stretch.first) < (plane, rows.first));
        }
        let output = if self.plan.direct || failure.is_some() { 0 } else { done.output };
        if output == 0 {
            actions.push(Action::ReleaseBatch { batch });
        }
        self.window.complete((plane, rows.first), Finished { batch, items: done.items, output, failure });
        while let Some(finished) = self.window.pop_before(self.first_left()) {
            if let Some(failure) = finished.failure {
                return Err(JobFailure::Item(Box::new(FailedItem { failure: *failure, number: 0 })));
            }
            if finished.output > 0 {
                actions.push(Action::Append { job: self.id, batch: finished.batch, bytes: finished.output });
            }
        }
        self.after_rows();
        Ok(())
    }
}

impl Job for PictureJob {
    fn pump(&mut self, _workers: usize, actions: &mut Vec<Action>) {
        if let Stage::Open(_, plan) = self.stage
            && !self.asked
        {
            self.asked = true;
            actions.push(Action::OpenOutput { job: self.id, plan, planes: self.plan.planes });
        }
    }

    fn next(&mut self, workers: usize) -> Option<Pick> {
        let task = match self.stage {
            Stage::Rows(format, plan) if self.can_run() => return self.take(format, plan, workers),
            Stage::Decode if !self.asked => Task::Decode,
            Stage::Prepare(format) if !self.asked => Task::Prepare(format),
            Stage::Encode(format) if !self.asked => Task::Encode(format),
            Stage::Decode | Stage::Prepare(_) | Stage::Open(..) | Stage::Rows(..) => return None,
            Stage::Encode(_) | Stage::Finished => return None,
        };
        self.asked = true;
        Some(Pick { task, destination: Destination::Nowhere, node: None })
    }

    fn check(&self, pick: &Pick, done: &Done) -> Result<(), &'static str> {
        match &pick.task {
            Task::Rows(rows) => check_rows(rows, done),
            _ if done.rest.is_some() || !done.partials.is_empty() => Err("handed back work that cannot be divided"),
            _ => Ok(()),
        }
    }

    fn done(
        &mut self,
        batch: BatchId,
        pick: &Pick,
        done: &Done,
        _next_part: &mut u64,
        actions: &mut Vec<Action>,
    ) -> Result<Option<Pick>, JobFailure> {
        match &pick.task {
            Task::Prepare(format) => {
                actions.push(Action::ReleaseBatch { batch });
                if let Some(failure) = done.failures.first() {
                    return Err(JobFailure::Item(Box::new(FailedItem { failure: failure.clone(), number: 0 })));
                }
                let Some(plan) = done.plan else {
                    return Err(JobFailure::Kernel("the worker gave no answer to `prepare`".into()));
                };
                check_plan(*format, &plan).map_err(|error| JobFailure::Kernel(error.to_string()))?;
                self.asked = false;
                self.stage = Stage::Open(*format, plan);
            }
            Task::Rows(rows) => self.rows_done(batch, rows, done, actions)?,
            Task::Items(_) | Task::Combine(_) | Task::Finish(_) | Task::Decode | Task::Encode(_) => {}
        }
        Ok(None)
    }

    fn appended(&mut self, bytes: u64) {
        self.window.append(bytes);
    }

    fn written(&mut self, bytes: u64) {
        self.window.written(bytes);
    }

    fn has_more(&self) -> bool {
        match self.stage {
            Stage::Decode | Stage::Prepare(_) | Stage::Encode(_) => !self.asked,
            Stage::Rows(..) => self.can_run(),
            Stage::Open(..) | Stage::Finished => false,
        }
    }

    fn is_finished(&self) -> bool {
        self.stage == Stage::Finished && self.window.is_written()
    }

    fn abandon(&mut self, actions: &mut Vec<Action>) {
        actions.extend(self.window.abandoned().map(|batch| Action::ReleaseBatch { batch }));
    }

    fn budget(&self, workers: usize) -> Budget {
        self.sizing.budget(workers)
    }

    fn split_and_merge(&self) -> (Split, Merge) {
        (Split::Whole, Merge::Concat)
    }

    fn length(&self) -> ResultLength {
        ResultLength::Unknown
    }

    fn totals_mut(&mut self) -> &mut JobTotals {
        &mut self.totals
    }
}
