//! Replies that cannot be true: the worker is ended, and what it had is run by another.

use taskhost_protocol::fault::{Fault, ItemFailure, ItemPlace};
use taskhost_protocol::ids::{BatchId, Generation, JobId, SourceId, WorkerId};
use taskhost_protocol::picture::{Cut, Format, PicturePlan, Sample};
use taskhost_protocol::work::{Done, Merge, Partial, Rest, Split};

use super::filter::PictureSpec;
use super::input::{Input, Spec, numbered};
use super::worker::Effort;
use super::world::{Phase, World};
use crate::event::{DirectLength, Event, OnError, PictureJobPlan};
use crate::state::sizing::BatchRule;

const A: WorkerId = WorkerId(0);
const JOB: JobId = JobId(0);

/// Asserts that a worker that answers its first batch this way is ended for this reason, and that the job is done
/// nevertheless.
fn assert_ended(spec: &Spec, reason: &str, forge: impl FnOnce(&mut Done)) {
    let mut world = World::new(1);
    world.add(0, spec.clone());
    world.wait();
    let mut done = world.answer(A, Effort::FULL).0;
    forge(&mut done);
    world.tell(Event::Done { worker: A, done: Box::new(done) });
    assert_eq!(world.kills, [(A, reason.to_owned())]);
    world.finish();
    world.assert_done(JOB);
    assert!(world.spawned <= 2, "one for what is suspected, and one for the rest");
}

fn lines() -> Spec {
    Spec::lines([numbered(8)])
}

fn records() -> Spec {
    Spec::new(Split::Records(5), Merge::Concat, [numbered(8)]).batches_of(4)
}

fn reduction() -> Spec {
    Spec::new(Split::Records(5), Merge::Reduce, [numbered(40)]).batches_of(20)
}

#[test]
fn of_another_batch_job_or_attempt() {
    let reason = "replied to another batch than the one it was given";
    assert_ended(&lines(), reason, |done| done.batch = BatchId(7));
    assert_ended(&lines(), reason, |done| done.job = JobId(7));
    assert_ended(&lines(), reason, |done| done.generation = Generation(1));
}

#[test]
fn that_nobody_asked_for() {
    let mut world = World::new(2);
    world.wait();
    world.add(0, Spec::new(Split::Whole, Merge::Concat, [Input::File(b"a file".to_vec())]));
    world.wait();
    let done = world.answer(A, Effort::FULL).0;
    world.tell(Event::Done { worker: WorkerId(1), done: Box::new(done) });
    assert_eq!(world.kills, [(WorkerId(1), "replied without having been asked".to_owned())]);
    world.finish();
    world.assert_done(JOB);
}

#[test]
fn that_hand_back_what_was_not_given() {
    let reason = "handed back work that it was not given";
    assert_ended(&lines(), reason, |done| done.rest = Some(Rest { piece: 1, start: 0 }));
    assert_ended(&lines(), reason, |done| done.rest = Some(Rest { piece: 0, start: 0 }));
    assert_ended(&lines(), reason, |done| done.rest = Some(Rest { piece: 0, start: u64::MAX }));
    assert_ended(&records(), reason, |done| done.rest = Some(Rest { piece: 0, start: 7 }));
}

#[test]
fn that_count_wrongly() {
    assert_ended(&lines(), "ran more items than there are", |done| done.items = u64::MAX);
    assert_ended(&records(), "ran more items than there are", |done| done.items += 1);
    assert_ended(&records(), "ran fewer items than it says", |done| done.items -= 1);
    assert_ended(&records(), "ran fewer items than it says", |done| {
        done.rest = Some(Rest { piece: 0, start: 15 }).filter(|_| {
            done.items = 2;
            true
        })
    });
    assert_ended(&lines(), "reported an item that it did not run", |done| {
        let place = ItemPlace { source: SourceId(0), offset: 0 };
        done.failures = vec![ItemFailure {
            place,
            ordinal: u64::MAX,
            len: 0,
            at: 0,
            attempts: 1,
            fault: Fault::Failed(String::new()),
        }];
    });
}

/// A failure of an item.
fn failure(offset: u64, ordinal: u64, at: u64) -> ItemFailure {
    let place = ItemPlace { source: SourceId(0), offset };
    ItemFailure { place, ordinal, len: 5, at, attempts: 1, fault: Fault::Failed("so it says".into()) }
}

#[test]
fn that_report_failures_that_cannot_be() {
    let skipping = || records().skipping();
    let unrun = "reported an item that it did not run";
    assert_ended(&skipping(), unrun, |done| done.failures = vec![failure(10, 2, 0), failure(5, 1, 0)]);
    assert_ended(&skipping(), unrun, |done| done.failures = vec![failure(10, 2, 0), failure(10, 2, 0)]);
    assert_ended(&skipping(), unrun, |done| done.failures = vec![failure(1000, 1, 0)]);
    assert_ended(&skipping(), unrun, |done| done.failures = vec![failure(20, 4, 0)]);
    let nowhere = "reported results where there are none";
    assert_ended(&skipping(), nowhere, |done| done.failures = vec![failure(5, 1, done.output + 1)]);
    assert_ended(&skipping(), nowhere, |done| done.failures = vec![failure(5, 1, 4), failure(10, 2, 3)]);
}

#[test]
fn that_leave_out_what_was_to_be_run() {
    let left_out = |offset, ordinal| ItemFailure { fault: Fault::LeftOut, attempts: 0, ..failure(offset, ordinal, 0) };
    for spec in [records(), records().skipping()] {
        let reason = "left out an item that it was to run";
        assert_ended(&spec, reason, |done| done.failures = vec![left_out(0, 0)]);
        assert_ended(&spec, reason, |done| done.failures = vec![left_out(5, 1)]);
    }
}

#[test]
fn that_run_what_was_to_be_left_out() {
    let mut world = World::new(1);
    let input = Input::File(b"DDDDD0001\n0002\n".to_vec());
    world.add(0, Spec::new(Split::Records(5), Merge::Concat, [input]).skipping());
    world.wait();
    world.reply(A, Effort::FULL);
    world.wait();
    let worker = WorkerId(1);
    assert!(world.workers[&worker].queue[0].0.care.leave_out_first);
    let honest = world.answer(worker, Effort::FULL).0;
    assert_eq!((honest.items, honest.failures.len()), (1, 1), "it does nothing else");
    world.tell(Event::Done { worker, done: Box::new(Done { failures: Vec::new(), ..honest }) });
    assert_eq!(world.kills, [(worker, "ran an item that it was to leave out".to_owned())]);
    world.finish();
    world.assert_done(JOB);
}

#[test]
fn that_leave_gaps_in_the_output() {
    let reason = "wrote results of another length";
    let exactly = records().direct(DirectLength::Exactly(2));
    assert_ended(&exactly, reason, |done| done.output -= 1);
    let same = records().direct(DirectLength::Same);
    assert_ended(&same, reason, |done| done.output = 0);
}

#[test]
fn with_partial_results_of_something_else() {
    let other = "returned partial results of other items than its own";
    assert_ended(&reduction(), other, |done| done.partials[0].index += 16);
    assert_ended(&reduction(), other, |done| done.partials.swap(0, 1));
    assert_ended(&reduction(), other, |done| done.partials[0].level = 200);
    assert_ended(&reduction(), other, |done| done.partials.last_mut().unwrap().index = 39);
    let sum = "returned partial results that do not add up";
    assert_ended(&reduction(), sum, |done| done.output += 1);
    assert_ended(&reduction(), sum, |done| done.partials.truncate(1));
    assert_ended(&reduction(), sum, |done| done.partials[0].len = u64::MAX);
    let unasked = "returned partial results that nobody asked for";
    assert_ended(&lines(), unasked, |done| done.partials = vec![Partial { level: 0, index: 0, len: 0 }]);
}

#[test]
fn nothing_that_a_worker_says_afterwards_counts() {
    let mut world = World::new(1);
    world.add(0, lines());
    world.wait();
    let honest = world.answer(A, Effort::FULL).0;
    world.tell(Event::Done { worker: A, done: Box::new(Done { batch: BatchId(7), ..honest.clone() }) });
    world.tell(Event::Done { worker: A, done: Box::new(honest) });
    assert_eq!((world.kills.len(), world.workers[&A].phase), (1, Phase::Killed));
    assert_eq!(world.queue(0).len(), 1, "nothing more is given to it, and what it had is still out");
    world.finish();
    world.assert_done(JOB);
}

#[test]
fn whoever_makes_its_workers_lie_is_found_out() {
    let mut world = World::new(1);
    world.add(0, Spec::new(Split::Whole, Merge::Lines, [Input::File(b"evil".to_vec()), Input::File(b"good".to_vec())]));
    for _ in 0..2 {
        world.wait();
        let has_it = |id: &WorkerId| !world.queue(id.0).is_empty() && world.pieces(id.0, 0)[0].source == SourceId(0);
        let worker = world.workers.keys().copied().find(has_it).unwrap();
        let done = world.answer(worker, Effort::FULL).0;
        world.tell(Event::Done { worker, done: Box::new(Done { items: u64::MAX, ..done }) });
    }
    world.finish();
    let failed = world.first_failed(JOB);
    assert_eq!((failed.place.source, failed.verdict.name(), failed.attempts), (SourceId(0), "protocol-violation", 2));
}

#[test]
fn endless_new_counters_are_not_kept() {
    let mut world = World::new(1);
    world.add(0, Spec::lines([numbered(2000)]).batches_of(10));
    world.wait();
    for number in 0..100 {
        let (mut done, bytes) = world.answer(A, Effort::FULL);
        done.counters.extend((0..10).map(|name| (format!("{number} {name}"), u64::MAX)));
        world.say(A, done, bytes);
    }
    world.finish();
    world.assert_done(JOB);
    assert_eq!(world.outcomes[&JOB].totals.counters.len(), taskhost_protocol::limits::COUNTERS);
}

/// A picture of ten rows.
fn picture(cut: Cut) -> PictureSpec {
    let format = Format { width: 5, height: 10, channels: 1, sample: Sample::U8 };
    let plan = PictureJobPlan {
        format: Some(format),
        planes: 1,
        at: 0,
        direct: true,
        encode: false,
        batch: BatchRule::Items(10),
        on_error: OnError::Fail,
        rows: None,
    };
    PictureSpec { plan, format, kernel: PicturePlan { cut, output: format }, bad: Vec::new() }
}

#[test]
fn of_rows_that_were_not_filtered() {
    let strips = Cut::Strips { halo: 0 };
    let rows = "handed back rows that it was not given";
    let rest = |start| Some(Rest { piece: 0, start });
    for (cut, reason, rest, output) in [
        (strips, rows, rest(0), 0),
        (strips, rows, rest(11), 55),
        (Cut::Whole, rows, rest(5), 25),
        (strips, "wrote results of another length", rest(5), 50),
        (strips, "wrote results of another length", None, 49),
    ] {
        let mut world = World::new(1);
        let job = world.add_picture(0, picture(cut));
        world.wait();
        world.reply(A, Effort::FULL);
        world.wait();
        let done = Done { items: 1, rest, output, ..world.answer(A, Effort::FULL).0 };
        world.tell(Event::Done { worker: A, done: Box::new(done) });
        assert_eq!(world.kills, [(A, reason.to_owned())]);
        world.finish();
        world.assert_done(job);
    }
}

#[test]
fn of_another_kind_than_the_task() {
    let mut world = World::new(1);
    let spec = picture(Cut::Whole);
    let file = PictureSpec { plan: PictureJobPlan { format: None, encode: true, ..spec.plan }, ..spec };
    let job = world.add_picture(0, file);
    world.wait();
    let convert = WorkerId(1);
    let order = &world.workers[&convert].queue[0].0;
    // It is to decode, and says first that a batch is done, then that a file is encoded.
    let done = super::worker::empty_reply(order);
    world.tell(Event::Done { worker: convert, done: Box::new(done) });
    world.wait();
    world.tell(Event::Encoded { worker: WorkerId(2), result: Ok(0) });
    assert_eq!(world.kills.len(), 2);
    world.finish();
    assert!(matches!(world.outcomes[&job].failure, Some(crate::event::JobFailure::Input(_))), "it was lost twice");
}
