//! What the world does when the machine asks for it.

use super::*;

impl World {
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Assign { worker, order } => self.assign(worker, order),
            Action::Recall { worker, batch } => self.recall(worker, batch),
            Action::NextSource { job } => {
                assert!(!self.jobs[&job].is_over);
                assert!(self.feeds.insert(job), "asked twice for the next input");
            }
            Action::Release { job, source, from } => {
                let fake = self.jobs.get_mut(&job).unwrap();
                assert!(fake.open.remove(&(source, from)), "released what is not open: {source} from {from}");
                let reads = |order: &Order| {
                    let Task::Items(pieces) = &order.task else { return false };
                    order.job == job && pieces.iter().any(|piece| (piece.source, piece.from) == (source, from))
                };
                let mut orders = self.workers.values().flat_map(|worker| &worker.queue);
                assert!(!orders.any(|(order, _)| reads(order)), "released what a worker still reads");
            }
            Action::Read { job, bytes } => {
                assert!(self.jobs[&job].pipe.is_some() && bytes > 0);
                assert!(self.reads.insert(job, bytes).is_none(), "asked twice for the pipe to be read");
            }
            Action::OpenOutput { job, plan, planes, .. } => {
                assert!(self.opening.insert(job, (plan, planes)).is_none(), "asked twice for the output");
            }
            Action::Append { job, batch, bytes } => {
                let scale = self.scale(job);
                let held = self.batches.get_mut(&batch).expect("only what was run is appended");
                assert!(!std::mem::replace(&mut held.is_appended, true), "appended twice");
                // Of a batch in which the job failed, what is in front of that is kept.
                assert!(held.results.as_ref().unwrap().len() as u64 * scale >= bytes);
                assert!(bytes > 0, "nothing to append");
                self.jobs.get_mut(&job).unwrap().appended += bytes;
                self.sink.push_back((job, batch, bytes));
            }
            Action::Reduced { job, batch, ranges } => {
                let scale = self.scale(job) as usize;
                let mut results = self.batches[&batch].results.as_ref().unwrap().as_slice();
                for range in ranges {
                    let len: u64 = range.parts.iter().map(|part| part.len).sum();
                    let (own, others) = results.split_at(len as usize / scale);
                    results = others;
                    self.jobs.get_mut(&job).unwrap().reduced.push((range, own.to_vec()));
                }
                assert!(results.is_empty(), "all parts belong to a stretch");
            }
            Action::RestoreParts { job, source, start, parts } => {
                let scale = self.scale(job) as usize;
                let is_it = |(range, _): &&(DoneRange, Vec<u8>)| (range.source, range.start) == (source, start);
                let mut bytes = self.jobs[&job].reduced.iter().find(is_it).unwrap().1.clone();
                for (part, len) in parts {
                    let others = bytes.split_off(len as usize / scale);
                    assert!(self.parts.insert(part, bytes).is_none(), "one part of a number");
                    bytes = others;
                }
                assert!(bytes.is_empty(), "all parts are restored");
            }
            Action::TakeParts { batch, parts } => {
                let held = &self.batches[&batch];
                let (mut at, scale) = (0, self.scale(held.job));
                let results = held.results.as_ref().unwrap();
                for (part, len) in parts {
                    let end = at + (len / scale) as usize;
                    assert!(self.parts.insert(part, results[at..end].to_vec()).is_none(), "one part of a number");
                    at = end;
                }
                assert_eq!(at, results.len(), "all parts are taken");
            }
            Action::WriteParts { job, parts } => {
                let bytes: Vec<u8> =
                    parts.iter().flat_map(|(part, _)| self.parts.remove(part).expect("it is there")).collect();
                let partials = parts.iter().map(|(_, partial)| *partial).collect();
                let fake = self.jobs.get_mut(&job).unwrap();
                assert!(fake.handed_over.is_none(), "handed over twice");
                let count = bytes.len() as u64;
                fake.handed_over = Some((partials, bytes));
                self.tell(Event::Written { job, bytes: count });
            }
            Action::DropParts { parts } => {
                for part in parts {
                    assert!(self.parts.remove(&part).is_some(), "dropped a part that is not there");
                }
            }
            Action::ReleaseBatch { batch } => {
                let held = self.batches.remove(&batch).expect("released what is not held");
                assert!(!held.is_appended, "what was appended is released when it is written");
            }
            Action::FinishJob { job, totals } => self.over(job, totals, None),
            Action::FailJob { job, failure, totals } => self.over(job, totals, Some(failure)),
            Action::Stop { worker, batch } => {
                let fake = self.workers.get_mut(&worker).expect("it lives");
                assert_eq!(fake.queue.front().map(|(order, _)| order.batch), Some(batch), "it is at something else");
                // It never finishes what it is at.
                fake.phase = Phase::Killed;
                fake.reason = Some(Reason::Retired("was at work for nobody any more"));
            }
            Action::Kill { worker, reason } => {
                let fake = self.workers.get_mut(&worker).expect("it lives");
                fake.phase = Phase::Killed;
                fake.reason = Some(reason.clone());
                match reason {
                    Reason::Violation(what) => self.kills.push((worker, what)),
                    Reason::Retired(_) => {
                        assert!(fake.queue.is_empty(), "it has something to do");
                        self.retired.push(worker);
                    }
                    Reason::Deadline(_) | Reason::Stopped => panic!("this is for others to find out: {reason:?}"),
                }
            }
            Action::Spawn { post, after } => {
                assert!(!self.draining, "a worker that will get nothing");
                assert!(self.state.is_wanted(post), "a worker that nobody needs");
                self.spawned += 1;
                self.delays.push(after);
                self.start(post);
                let count = self.workers.values().filter(|worker| worker.post == post).count();
                let most = if post == Post::Isolation { 1 } else { self.target };
                assert!(count <= most, "more workers than wanted");
            }
            Action::ItemFailed { job, item } => {
                let fake = self.jobs.get_mut(&job).unwrap();
                assert!(!fake.is_over && fake.on_error() == OnError::Skip);
                fake.failed.push(*item);
            }
            Action::Merged { job, prefix, totals } => {
                let fake = self.jobs.get_mut(&job).unwrap();
                assert!(prefix >= fake.prefix, "{prefix:?} is behind {:?}", fake.prefix);
                let is_checked = fake.is_checked();
                let is_direct = match &fake.kind {
                    Kind::Items(spec) => matches!(spec.plan.placement, Placement::Direct(_)),
                    Kind::Picture(spec) => spec.plan.direct,
                };
                assert!(
                    is_direct || is_checked || prefix.output == fake.appended,
                    "what was merged was asked to be appended"
                );
                assert!(totals.failed == fake.failed.len() as u64 && totals.items >= totals.failed);
                fake.prefix = prefix;
                fake.totals = *totals;
            }
        }
    }

    pub(super) fn assign(&mut self, id: WorkerId, order: Order) {
        let job = &self.jobs[&order.job];
        assert!(!job.is_over, "work for a job that is over");
        assert!(!self.draining, "nothing new is begun");
        assert_eq!(order.care.retries, self.rules.retries);
        assert_eq!(order.care.skip_failed, job.on_error() == OnError::Skip);
        let held = Held { job: order.job, results: None, is_appended: false };
        assert!(self.batches.insert(order.batch, held).is_none(), "a batch is with one worker at a time");
        let mut parts = Vec::new();
        match &order.task {
            Task::Items(pieces) => {
                assert!(!pieces.is_empty() && pieces.len() <= PIECES_PER_BATCH);
                for piece in pieces {
                    assert!(job.open.contains(&(piece.source, piece.from)), "the input is open: {piece:?}");
                }
            }
            Task::Combine(ids) => parts = ids.iter().map(|id| self.parts[id].clone()).collect(),
            Task::Finish(id) => parts = vec![self.parts[id].clone()],
            Task::Rows(_) | Task::Prepare(_) | Task::Decode | Task::Encode(_) => {}
        }
        let worker = self.workers.get_mut(&id).expect("work for a worker that lives");
        let post = self.state.batches[&order.batch].pick.post();
        assert_eq!((worker.phase, worker.post), (Phase::Ready, post), "{order:?}");
        worker.given += 1;
        assert!(post != Post::Isolation || worker.given == 1, "what is suspected needs a fresh worker");
        worker.queue.push_back((order, parts));
        assert!(worker.queue.len() <= 2, "two batches in flight");
    }

    /// A batch that its worker is at cannot be taken back, and sometimes one has just been begun.
    fn recall(&mut self, id: WorkerId, batch: BatchId) {
        const JUST_BEGUN: u64 = 5;
        let worker = self.workers.get_mut(&id).expect("a worker that lives");
        let place = worker.queue.iter().position(|(order, _)| order.batch == batch);
        if let Some(place) = place.filter(|place| *place > 0 && !batch.0.is_multiple_of(JUST_BEGUN)) {
            worker.queue.remove(place);
            self.recalled.push_back((id, batch));
        }
    }

    pub(super) fn over(&mut self, id: JobId, totals: JobTotals, failure: Option<JobFailure>) {
        let job = self.jobs.get_mut(&id).unwrap();
        assert!(!std::mem::replace(&mut job.is_over, true), "a job is over once");
        let is_out = |worker: &FakeWorker| worker.queue.iter().any(|(order, _)| order.job == id);
        if failure.is_none() {
            assert!(!self.workers.values().any(is_out), "work of a finished job is out");
            assert!(!self.sink.iter().any(|(job, ..)| *job == id), "a finished job is written");
        }
        self.reads.remove(&id);
        self.opening.remove(&id);
        let outcome = Outcome { failure, totals, output: job.output.clone() };
        assert!(self.outcomes.insert(id, outcome).is_none());
    }
}
