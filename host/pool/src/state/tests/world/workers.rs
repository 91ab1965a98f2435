//! What the workers of the world do: become ready, run what they have, lie, and die.

use super::*;

impl World {
    pub(in crate::state::tests) fn become_ready(&mut self, id: WorkerId) {
        let worker = self.workers.get_mut(&id).unwrap();
        assert_eq!(worker.phase, Phase::Starting);
        worker.phase = Phase::Ready;
        let post = worker.post;
        self.tell(Event::WorkerReady { worker: id, post });
    }

    /// The worker is killed from outside, and nobody knows what it was at.
    pub(in crate::state::tests) fn exit(&mut self, id: WorkerId, text: &str) {
        self.die(id, Verdict::Killed(text.into()), text, 0);
    }

    /// A worker that was told to end has ended.
    pub(super) fn obey(&mut self, id: WorkerId) {
        let worker = &self.workers[&id];
        let reason = worker.reason.clone().expect("it was told to end");
        // That is what a worker stores when it is between items.
        let cell = worker
            .queue
            .front()
            .map_or(0, |(order, _)| Progress { batch: order.batch, piece: 0, offset: 0, packed: true }.encode());
        let verdict = match &reason {
            Reason::Retired(why) => Verdict::Retired((*why).to_owned()),
            _ => Verdict::ProtocolViolation(reason.to_string()),
        };
        self.die(id, verdict, &reason.to_string(), cell);
    }

    /// The worker's process is gone.
    pub(in crate::state::tests) fn die(&mut self, id: WorkerId, verdict: Verdict, text: &str, cell: u64) {
        let was_ready = self.workers[&id].phase != Phase::Starting;
        if was_ready {
            self.spoil(id);
        }
        let verdict = if was_ready { verdict } else { Verdict::StartUp(text.into()) };
        self.deaths += usize::from(was_ready && !matches!(verdict, Verdict::Retired(_)));
        let post = self.workers.remove(&id).unwrap().post;
        let death = Death { verdict, text: text.into(), was_ready, cell };
        self.tell(Event::WorkerLost { worker: id, post, death });
    }

    /// The worker was in the middle of writing to the output: some of what is there is wrong.
    pub(super) fn spoil(&mut self, id: WorkerId) {
        let Some((order, _)) = self.workers[&id].queue.front() else { return };
        let (Destination::Output(at), job) = (order.destination, order.job) else { return };
        let fake = self.jobs.get_mut(&job).unwrap();
        let is_empty = match (&order.task, &fake.kind) {
            (Task::Items(pieces), Kind::Items(spec)) => {
                let is_same = spec.plan.placement == Placement::Direct(crate::event::DirectLength::Same);
                is_same && pieces.iter().all(|piece| piece.start == piece.end)
            }
            _ => false,
        };
        if !is_empty {
            write_at(&mut fake.output, at, &[0xAA]);
        }
    }

    /// What the worker makes of the order at the head of its queue.
    pub(super) fn attempt(&self, id: WorkerId, effort: Effort) -> Ran {
        let (order, parts) = self.workers[&id].queue.front().expect("the worker has something to do");
        let job = &self.jobs[&order.job];
        match (&job.kind, &order.task) {
            (Kind::Items(spec), Task::Items(_)) => run_items(spec, order, effort, &job.runs),
            (Kind::Items(spec), Task::Combine(_) | Task::Finish(_)) => run_join(spec, order, parts),
            (Kind::Picture(spec), Task::Rows(rows)) => run_rows(spec, order, rows, effort, &job.runs),
            (Kind::Picture(spec), Task::Prepare(format)) => {
                assert_eq!(*format, spec.format);
                let mut ran = Ran::of(order);
                ran.done.plan = Some(spec.kernel);
                ran
            }
            (_, task) => panic!("this job has no such task: {task:?}"),
        }
    }

    /// What the worker answers to the order at the head of its queue, and the bytes it made.
    pub(in crate::state::tests) fn answer(&self, id: WorkerId, effort: Effort) -> (Done, Vec<u8>) {
        let ran = self.attempt(id, effort);
        assert!(ran.death.is_none(), "it does not live to answer");
        (ran.done, ran.output)
    }

    /// The first item that the worker will begin, whether that is well whatever happens, and what its progress cell says
    /// while it is run.
    pub(in crate::state::tests) fn first_item(&self, id: WorkerId) -> Option<((SourceId, u64), bool, Progress)> {
        let (order, _) = self.workers[&id].queue.front()?;
        let progress = |piece, offset| Progress { batch: order.batch, piece, offset, packed: false };
        match (self.jobs[&order.job].kind(), &order.task) {
            (Kind::Items(spec), Task::Items(pieces)) => {
                let key = *self.attempt(id, Effort::FULL).begun.first()?;
                let has_it = |piece: &Piece| piece.source == key.0 && piece.start <= key.1;
                let index = pieces.iter().position(has_it)?;
                let item = spec.items().into_iter().find(|item| (item.source, item.offset) == key)?;
                let is_well = Fate::of(&item.bytes, 0) == Fate::Well;
                Some((key, is_well, progress(index as u32, key.1 - pieces[index].start)))
            }
            (Kind::Picture(spec), Task::Rows(rows)) if rows.plan.cut != taskhost_protocol::picture::Cut::Whole => {
                let key = *self.attempt(id, Effort::FULL).begun.first()?;
                let row = u32::try_from(key.1).unwrap();
                let is_well = spec.fate(key.0.0.into(), row, 0) == Fate::Well;
                Some((key, is_well, progress(0, key.1 - u64::from(rows.first))))
            }
            _ => None,
        }
    }

    /// What is known of the batch at the head of the worker's queue from attempts before.
    pub(in crate::state::tests) fn mark(&self, id: WorkerId) -> Option<&Mark> {
        let (order, _) = self.workers[&id].queue.front()?;
        self.state.batches.get(&order.batch)?.pick.mark.as_ref()
    }

    /// Whether the worker will die of the order at the head of its queue.
    pub(in crate::state::tests) fn is_doomed(&self, id: WorkerId, effort: Effort) -> bool {
        let task = self.workers[&id].queue.front().map(|(order, _)| &order.task);
        !matches!(task, None | Some(Task::Decode | Task::Encode(_))) && self.attempt(id, effort).death.is_some()
    }

    /// The worker dies of what it was at.
    pub(super) fn die_of(&mut self, id: WorkerId, fate: Fate, at: Progress, tells: Tells) {
        let cell = match tells {
            Tells::Truth => at.encode(),
            Tells::Nothing => 0,
            Tells::AnotherBatch => Progress { batch: BatchId(at.batch.0 + 1), ..at }.encode(),
        };
        let (verdict, text) = match fate {
            Fate::Crashes => (Verdict::Crash("died of signal 11".into()), "died of signal 11"),
            Fate::Late => (Verdict::Deadline(Duration::from_secs(1)), "was late"),
            Fate::Killed => (Verdict::Killed("died of signal 9".into()), "died of signal 9"),
            Fate::Well | Fate::Fails => panic!("nobody dies of that"),
        };
        self.die(id, verdict, text, cell);
    }

    /// The worker runs the batch at the head of its queue and says so, or dies of it.
    pub(in crate::state::tests) fn reply(&mut self, id: WorkerId, effort: Effort) {
        let order = &self.workers[&id].queue.front().expect("the worker has something to do").0;
        let job = order.job;
        match &order.task {
            Task::Decode => {
                let Kind::Picture(spec) = &self.jobs[&job].kind else { panic!("no picture to decode") };
                let result = Ok(spec.format);
                self.workers.get_mut(&id).unwrap().queue.pop_front();
                self.tell(Event::Decoded { worker: id, result });
            }
            Task::Encode(_) => {
                self.workers.get_mut(&id).unwrap().queue.pop_front();
                let output = &mut self.jobs.get_mut(&job).unwrap().output;
                output.extend(b"encoded");
                self.tell(Event::Encoded { worker: id, result: Ok(0) });
            }
            _ => {
                let ran = self.attempt(id, effort);
                let runs = &mut self.jobs.get_mut(&job).unwrap().runs;
                ran.begun.iter().for_each(|key| *runs.entry(*key).or_default() += 1);
                match ran.death {
                    None => self.say(id, ran.done, ran.output),
                    Some((fate, at)) => self.die_of(id, fate, at, effort.tells),
                }
            }
        }
    }

    /// The worker gives this answer, having made these bytes.
    pub(in crate::state::tests) fn say(&mut self, id: WorkerId, done: Done, bytes: Vec<u8>) {
        let worker = self.workers.get_mut(&id).unwrap();
        if let Some((order, _)) = worker.queue.pop_front() {
            worker.items += done.items;
            assert!(self.rules.recycle.is_none_or(|share| worker.items <= share), "{id:?} has run more than its share");
            let job = self.jobs.get_mut(&order.job).unwrap();
            self.largest_batch = self.largest_batch.max(done.output);
            let held = self.batches.get_mut(&order.batch).expect("batches are released after they were run");
            held.results = Some(match order.destination {
                Destination::Arena | Destination::Marked => bytes,
                Destination::Nowhere => Vec::new(),
                Destination::Output(at) => {
                    write_at(&mut job.output, at, &bytes);
                    Vec::new()
                }
            });
        }
        self.tell(Event::Done { worker: id, done: Box::new(done) });
    }

    /// The oldest results that were appended are written.
    pub(in crate::state::tests) fn write(&mut self) {
        let (job, batch, bytes) = self.sink.pop_front().expect("something was appended");
        let held = self.batches.remove(&batch).expect("it was not released before");
        let kept = (bytes / self.scale(job)) as usize;
        let (fake, results) = (self.jobs.get_mut(&job).unwrap(), held.results.expect("it was run"));
        if fake.is_checked() {
            let checked = fake.take(&results);
            self.checks.push_back((job, checked));
        } else {
            fake.output.extend(&results[..kept]);
        }
        self.tell(Event::Written { job, bytes });
    }

    /// What is said of the oldest results that were written is heard.
    pub(in crate::state::tests) fn check(&mut self) {
        let (job, checked) = self.checks.pop_front().expect("something was written");
        self.tell(Event::Checked { job, checked });
    }
}
