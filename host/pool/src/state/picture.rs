//! A job whose input is a picture: decode, ask the kernel, filter rows, encode.

use taskhost_data::strips::check_plan;
use taskhost_protocol::fault::ItemPlace;
use taskhost_protocol::ids::{JobId, SourceId};
use taskhost_protocol::kernel::ResultLength;
use taskhost_protocol::picture::{Cut, Format, PicturePlan};
use taskhost_protocol::work::{Budget, Done, Merge, Rows, Split};

use super::charge::again;
use super::check::check_rows;
use super::job::{Job, Pick, Ran, Regained};
use super::ledger::{Ledger, failed_items};
use super::mark::{Lost, Mark, Sentence};
use super::portion::{own_rows, place, result_bytes};
use super::sizing::Sizing;
use super::window::{Finished, Window};
use crate::event::{Action, Destination, FailedItem, JobFailure, JobTotals, OnError, PictureJobPlan, Post, Task};
use crate::verdict::{Next, Verdict};

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
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stretch {
    plane: u32,
    first: u32,
    end: u32,
    mark: Option<Mark>,
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
    /// Which rows these are.
    first: (u32, u32),
    ledger: Ledger,
    /// The first rows in which one fails the job, if one does. What comes before them is still run.
    failed: Option<(u32, u32)>,
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
            first: (0, 0),
            ledger: Ledger::new(id, Split::Whole, plan.on_error, true).with_direct(plan.direct),
            failed: None,
        }
    }

    /// Which workers the next task needs, unless it is suspected.
    pub(crate) fn post(&self) -> Post {
        match self.stage {
            Stage::Decode | Stage::Encode(_) => Post::Convert,
            Stage::Prepare(_) | Stage::Open(..) | Stage::Rows(..) | Stage::Finished => Post::Execute,
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
        let rows = (0..self.plan.planes).rev().map(|plane| (plane, own_rows(self.plan.rows, format, plan.cut, plane)));
        self.left = rows
            .filter(|(_, (first, end))| first < end)
            .map(|(plane, (first, end))| Stretch { plane, first, end, mark: None })
            .collect();
        self.first = self.left.last().map_or((0, 0), |first| (first.plane, first.first));
        if plan.cut == Cut::Whole {
            // The picture is the item: without it there is nothing.
            self.ledger.fail_on_error();
        }
        self.stage = Stage::Rows(format, plan);
        self.after_rows();
    }

    /// The result is encoded, and so many bytes of it are still to be written.
    pub(crate) fn encoded(&mut self, bytes: u64) {
        self.stage = Stage::Finished;
        self.window.append(bytes);
    }

    fn take(&mut self, post: Post, format: Format, plan: PicturePlan, workers: usize) -> Option<Pick> {
        let row = format.row_bytes().unwrap_or(u64::MAX).max(1);
        let left: u64 = self.left.iter().map(|stretch| u64::from(stretch.end - stretch.first)).sum();
        let mut stretch = self.left.remove(self.next_for(post)?);
        let count = match plan.cut {
            Cut::Whole => stretch.end - stretch.first,
            Cut::Strips { halo } => {
                let wanted = self.sizing.rows(row, left, workers);
                // Strips much lower than their halo would mostly read context.
                let least = u64::from(halo).max(1);
                u32::try_from(wanted.max(least)).unwrap_or(u32::MAX).min(stretch.end - stretch.first)
            }
        };
        let is_alone = matches!(stretch.mark, Some(Mark::Suspect(_) | Mark::SuspectStretch | Mark::Unlucky(_)));
        let count = match stretch.mark {
            _ if is_alone => stretch.end - stretch.first,
            // It is not run, and what is known of it must not be lost with what would be run behind it.
            Some(Mark::Condemned(_)) => 1,
            _ => count,
        };
        let (plane, first, mark) = (stretch.plane, stretch.first, stretch.mark.take());
        stretch.first += count;
        if stretch.first < stretch.end {
            self.put_back(Stretch { mark: Mark::of_rest(mark.as_ref()), ..stretch });
        }
        self.window.insert((plane, first));
        let plane_bytes = format.bytes().unwrap_or(0);
        let rows = Rows {
            source: SourceId(0),
            slot: taskhost_protocol::ids::SlotId(u8::MAX),
            at: self.plan.at + u64::from(plane) * plane_bytes,
            format,
            plan,
            first,
            count,
        };
        let destination = if self.plan.direct {
            let place = |(plane, row)| place(plan, plane, row);
            Destination::Output(self.output_at + place((plane, first)) - place(self.first))
        } else {
            Destination::Arena
        };
        Some(Pick { mark, ..Pick::new(Task::Rows(rows), destination) })
    }

    /// Puts rows among those that are left, the first ones last.
    fn put_back(&mut self, stretch: Stretch) {
        let place = (stretch.plane, stretch.first);
        let index = self.left.partition_point(|other| (other.plane, other.first) > place);
        self.left.insert(index, stretch);
    }

    /// Forgets what comes behind rows that fail the job.
    fn drop_behind(&mut self) {
        if let Some(failed) = self.failed {
            self.left.retain(|stretch| (stretch.plane, stretch.first) < failed);
        }
    }

    /// Place of the first rows that are left.
    fn first_left(&self) -> Option<(u32, u32)> {
        self.left.last().map(|next| (next.plane, next.first))
    }

    /// Index of the first rows that are left for this post.
    fn next_for(&self, post: Post) -> Option<usize> {
        self.left.iter().rposition(|stretch| Mark::post(stretch.mark.as_ref()) == post)
    }

    /// Whether rows can be given out.
    fn can_run(&self, post: Post) -> bool {
        self.next_for(post).is_some_and(|index| {
            let next = &self.left[index];
            self.window.has_room_at((next.plane, next.first))
        })
    }

    fn plane_of(&self, rows: &Rows) -> u32 {
        let bytes = rows.format.bytes().unwrap_or(1).max(1);
        u32::try_from((rows.at - self.plan.at) / bytes).unwrap_or(u32::MAX)
    }

    fn after_rows(&mut self) {
        if let Stage::Rows(_, plan) = self.stage
            && self.left.is_empty()
            && self.window.is_empty()
            && self.failed.is_none()
        {
            self.asked = false;
            self.stage = if self.plan.encode { Stage::Encode(plan.output) } else { Stage::Finished };
        }
    }

    fn rows_done(&mut self, ran: Ran<'_>, rows: &Rows, actions: &mut Vec<Action>) {
        let Ran { worker, batch, pick, done } = ran;
        let plane = self.plane_of(rows);
        let mut end = rows.first + rows.count;
        if let Some(rest) = done.rest {
            let first = u32::try_from(rest.start).unwrap_or(end).clamp(rows.first, end);
            if first < end {
                self.put_back(Stretch { plane, first, end, mark: Mark::of_rest(pick.mark.as_ref()) });
            }
            end = first;
        }
        let input = u64::from(end - rows.first).saturating_mul(rows.format.row_bytes().unwrap_or(0));
        if pick.mark.is_none() {
            self.sizing.learn(input, done.items, done.spent.total);
        }
        let row = rows.plan.output.row_bytes().unwrap_or(0);
        let skips = self.plan.on_error == OnError::Skip && rows.plan.cut != Cut::Whole;
        let mut failures = failed_items(ran, |_| if skips { row } else { 0 });
        if let Destination::Output(offset) = pick.destination {
            failures.iter_mut().for_each(|failed| failed.at += offset);
        }
        if failures.iter().any(|failed| !skips || failed.verdict.is_input_output()) {
            let failed = (plane, rows.first);
            self.failed = Some(self.failed.map_or(failed, |before| before.min(failed)));
            self.drop_behind();
        }
        let output = if self.plan.direct { 0 } else { done.output };
        if output == 0 {
            actions.push(Action::ReleaseBatch { batch });
        }
        let finished = Finished {
            worker: Some(worker),
            batch,
            items: done.items,
            input,
            results: done.output,
            output,
            failures,
            counters: done.counters.clone(),
            end: (SourceId(0), 0),
        };
        self.window.complete((plane, rows.first), finished);
        while !self.ledger.has_failed()
            && let Some(finished) = self.window.pop_before(self.first_left())
        {
            let (batch, output) = (finished.batch, finished.output);
            // Rows in front of one that failed are no picture.
            let kept = self.ledger.merge(finished, actions);
            if kept > 0 && !self.ledger.has_failed() {
                self.window.append(kept);
                actions.push(Action::Append { job: self.id, batch, bytes: kept });
            } else if output > 0 {
                actions.push(Action::ReleaseBatch { batch });
            }
        }
        self.after_rows();
    }

    /// Rows that were lost with a worker.
    fn rows_lost(&mut self, pick: &Pick, rows: &Rows, lost: &Lost<'_>) -> Result<Regained, JobFailure> {
        let plane = self.plane_of(rows);
        let end = rows.first + rows.count;
        let hint = lost.hint().filter(|hint| hint.offset < u64::from(rows.count));
        let sentence = lost.sentence(hint, pick.mark.as_ref());
        let is_explained = sentence.is_progress(hint);
        let stretch = |first, end, mark| Stretch { plane, first, end, mark };
        let divided = match sentence {
            Sentence::Again => vec![stretch(rows.first, end, pick.mark.clone())],
            Sentence::All(mark) => vec![stretch(rows.first, end, Some(mark))],
            Sentence::At { offset, mark, .. } => {
                let row = rows.first + u32::try_from(offset).unwrap_or(0);
                let front = Mark::of_front(pick.mark.clone());
                vec![stretch(rows.first, row, front), stretch(row, end, Some(mark))]
            }
            Sentence::Halve(charge) if rows.count == 1 => {
                vec![stretch(rows.first, end, Some(Mark::Condemned(charge)))]
            }
            Sentence::Halve(_) => {
                let middle = rows.first + rows.count / 2;
                let mark = || Some(Mark::SuspectStretch);
                vec![stretch(rows.first, middle, mark()), stretch(middle, end, mark())]
            }
            Sentence::Quarantine => return Err(JobFailure::Violation(Verdict::SandboxViolation.to_string())),
            Sentence::JoinLate => {
                return Err(JobFailure::Kernel("the kernel's `prepare` took longer than --timeout allows".into()));
            }
        };
        self.window.remove((plane, rows.first));
        for stretch in divided {
            if stretch.first < stretch.end && !self.ledger.has_failed() {
                self.put_back(stretch);
            }
        }
        self.drop_behind();
        Ok(Regained { again: None, is_explained })
    }
}

impl PictureJob {
    /// A picture that is not cut was lost with a worker: it is the item.
    fn whole_lost(&self, pick: &Pick, rows: &Rows, lost: &Lost<'_>) -> Result<Regained, JobFailure> {
        let verdict = &lost.death.verdict;
        let attempts = pick.attempts + 1;
        let mut regained = match again(pick.clone(), lost, "the picture") {
            Ok(again) => Regained::whole(again, pick.attempts),
            Err(failure @ JobFailure::Violation(_)) => return Err(failure),
            Err(_) => {
                return Err(JobFailure::Item(Box::new(FailedItem {
                    place: ItemPlace { source: rows.source, offset: 0 },
                    len: rows.format.bytes().unwrap_or(0),
                    number: Some(self.plane_of(rows).into()),
                    line: None,
                    at: if let Destination::Output(at) = pick.destination { at } else { 0 },
                    filled: 0,
                    verdict: verdict.clone(),
                    attempts,
                    worker: Some(lost.worker),
                })));
            }
        };
        if let (Some(again), Next::Isolate) = (&mut regained.again, verdict.judgement().1) {
            again.mark = Some(Mark::Suspect(0));
        }
        Ok(regained)
    }
}

impl Job for PictureJob {
    fn pump(&mut self, _workers: usize, actions: &mut Vec<Action>) {
        if let Stage::Open(format, plan) = self.stage
            && !self.asked
        {
            self.asked = true;
            let planes = self.plan.planes;
            let bytes = result_bytes(self.plan.rows, format, plan, planes);
            actions.push(Action::OpenOutput { job: self.id, plan, planes, bytes });
        }
    }

    fn next(&mut self, post: Post, workers: usize) -> Option<Pick> {
        let task = match self.stage {
            Stage::Rows(format, plan) if self.can_run(post) => return self.take(post, format, plan, workers),
            _ if post != self.post() => return None,
            Stage::Decode if !self.asked => Task::Decode,
            Stage::Prepare(format) if !self.asked => Task::Prepare(format),
            Stage::Encode(format) if !self.asked => Task::Encode(format),
            Stage::Decode | Stage::Prepare(_) | Stage::Open(..) | Stage::Rows(..) => return None,
            Stage::Encode(_) | Stage::Finished => return None,
        };
        self.asked = true;
        Some(Pick::new(task, Destination::Nowhere))
    }

    fn check(&self, pick: &Pick, done: &Done) -> Result<(), &'static str> {
        match &pick.task {
            Task::Rows(rows) => check_rows(rows, self.plan.on_error, pick, done),
            _ if done.rest.is_some() || !done.partials.is_empty() => Err("handed back work that cannot be divided"),
            _ => Ok(()),
        }
    }

    fn done(
        &mut self,
        ran: Ran<'_>,
        _next_part: &mut u64,
        actions: &mut Vec<Action>,
    ) -> Result<Option<Pick>, JobFailure> {
        let Ran { batch, pick, done, .. } = ran;
        match &pick.task {
            Task::Prepare(format) => {
                actions.push(Action::ReleaseBatch { batch });
                if let Some(mut failed) = failed_items(ran, |_| 0).into_iter().next() {
                    failed.number = Some(0);
                    return Err(JobFailure::Item(Box::new(failed)));
                }
                let Some(plan) = done.plan else {
                    return Err(JobFailure::Kernel("the worker gave no answer to `prepare`".into()));
                };
                check_plan(*format, &plan).map_err(|error| JobFailure::Kernel(error.to_string()))?;
                self.asked = false;
                self.stage = Stage::Open(*format, plan);
            }
            Task::Rows(rows) => self.rows_done(ran, rows, actions),
            Task::Items(_) | Task::Combine(_) | Task::Finish(_) | Task::Decode | Task::Encode(_) => {}
        }
        Ok(None)
    }

    fn lost(&mut self, pick: Pick, lost: &Lost<'_>) -> Result<Regained, JobFailure> {
        let what = match &pick.task {
            Task::Rows(rows) if rows.plan.cut == Cut::Whole => return self.whole_lost(&pick, rows, lost),
            Task::Rows(rows) => return self.rows_lost(&pick, rows, lost),
            Task::Decode => "decoding the picture",
            Task::Encode(_) => "encoding the picture",
            _ => "the kernel's `prepare`",
        };
        let before = pick.attempts;
        again(pick, lost, what).map(|again| Regained::whole(again, before))
    }

    fn untouched(&mut self, pick: Pick) -> Option<Pick> {
        let Task::Rows(rows) = &pick.task else { return Some(pick) };
        let plane = self.plane_of(rows);
        self.window.remove((plane, rows.first));
        if !self.ledger.has_failed() {
            let (first, end) = (rows.first, rows.first + rows.count);
            self.put_back(Stretch { plane, first, end, mark: pick.mark });
        }
        self.drop_behind();
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
        match self.stage {
            Stage::Decode | Stage::Prepare(_) | Stage::Encode(_) => !self.asked && post == self.post(),
            Stage::Rows(..) => self.can_run(post),
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
        self.sizing.budget(workers, self.plan.on_error)
    }

    fn split_and_merge(&self) -> (Split, Merge) {
        (Split::Whole, Merge::Concat)
    }

    fn length(&self) -> ResultLength {
        ResultLength::Unknown
    }

    fn totals(&self) -> &JobTotals {
        self.ledger.totals()
    }

    fn totals_mut(&mut self) -> &mut JobTotals {
        self.ledger.totals_mut()
    }
}
