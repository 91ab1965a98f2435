//! Jobs that go on without items that fail, and those that do not: what is reported, and what is in the output.

use taskhost_protocol::fault::{Fault, ItemFailure, ItemPlace};
use taskhost_protocol::ids::{JobId, SourceId, WorkerId};
use taskhost_protocol::work::{Done, Merge, Split};

use super::input::{Input, Spec, numbered};
use super::worker::Effort;
use super::world::World;
use crate::event::{DirectLength, Event, JobFailure, OnError, Post};
use crate::verdict::Verdict;

const A: WorkerId = WorkerId(0);
const JOB: JobId = JobId(0);

fn file(text: &str) -> Input {
    Input::File(text.as_bytes().to_vec())
}

#[test]
fn failed_items_are_reported_in_order_and_the_others_are_as_without_them() {
    let mut world = World::new(2);
    let inputs = [file("name\none\nX\nthree\n"), file("name\nfour\nXX\nXXX\n")];
    let job = world.add(0, Spec { header: true, ..Spec::lines(inputs) }.skipping().batches_of(2));
    while let Some(next) = world.moves().last().copied() {
        world.make(next, Effort::FULL, 100);
    }
    assert_eq!(world.output(job), "n!e!\nh!r!e!e!\no!u!r!\n");
    let reports = world.reports(job);
    let places: Vec<_> = reports.iter().map(|report| (report.source.0, report.offset, report.len)).collect();
    assert_eq!(places, [(0, 9, 1), (1, 10, 2), (1, 13, 3)]);
    let numbers: Vec<_> = reports.iter().map(|report| (report.number.unwrap(), report.line.unwrap())).collect();
    assert_eq!(numbers, [(1, 1), (4, 1), (5, 2)], "lines are those of each input, without its header");
    assert_eq!(reports.iter().map(|report| report.at.unwrap()).collect::<Vec<_>>(), [5, 21, 21]);
    assert!(reports.iter().all(|report| (report.verdict, report.attempts, report.filled) == ("kernel-error", 1, 0)));
    world.assert_done(job);
}

#[test]
fn zeros_stand_in_the_place_of_results_that_have_one() {
    for (length, output) in [
        (DirectLength::Same, vec![!b'a', !b'b', 0, 0, 0, 0, !b'e', !b'f']),
        (DirectLength::Exactly(1), vec![Spec::sum(b"ab"), 0, 0, Spec::sum(b"ef")]),
    ] {
        for items in [1, 2, 4] {
            let mut world = World::new(2);
            let spec = Spec::new(Split::Chunks(2), Merge::Concat, [file("abXcCdef")]).direct(length).skipping();
            let job = world.add(0, spec.batches_of(items));
            world.finish();
            assert_eq!(world.outcomes[&job].output, output);
            world.assert_done(job);
        }
    }
}

#[test]
fn a_batch_has_no_more_failures_than_a_reply_may_report() {
    let mut world = World::new(1);
    let job = world.add(0, Spec::lines([file(&"X\n".repeat(50))]).skipping());
    world.finish();
    assert_eq!((world.reports(job).len(), world.output(job).as_str()), (50, ""));
    world.assert_done(job);
}

#[test]
fn without_order_failed_items_have_no_numbers() {
    let mut world = World::new(2);
    let job = world.add(0, Spec::lines([file("one\nX\nthree\nC\n")]).skipping().unordered().batches_of(1));
    world.finish();
    assert!(world.reports(job).iter().all(|report| (report.number, report.line) == (None, None)));
    world.assert_done(job);
}

#[test]
fn what_comes_before_the_item_that_fails_a_job_is_in_the_output() {
    for bad in ["X", "C", "D", "K"] {
        for batch in [1, 3, 100] {
            let mut world = World::new(2);
            let job = world.add(0, Spec::lines([file(&format!("one\ntwo\n{bad}\nfour\nX\n"))]).batches_of(batch));
            world.finish();
            assert_eq!(world.output(job), "n!e!\nw!o!\n", "{bad} in batches of {batch}");
            assert_eq!(world.failed_item(job), (2, 0, 8));
            assert_eq!((world.first_failed(job).at, world.first_failed(job).line), (10, Some(2)));
            assert_eq!(world.outcomes[&job].totals.items, 3);
        }
    }
}

#[test]
fn input_that_cannot_be_read_is_no_item_to_be_skipped() {
    let mut world = World::new(1);
    let job = world.add(0, Spec::lines([file("one\nX\nthree\n")]).skipping());
    world.wait();
    let (mut done, bytes) = world.answer(A, Effort::FULL);
    done.failures[0].fault = Fault::Input("reading failed".into());
    world.say(A, done, bytes);
    world.finish();
    assert_eq!(world.first_failed(job).verdict, Verdict::Input("reading failed".into()));
    assert_eq!(world.output(job), "n!e!\n");
}

#[test]
fn what_is_lost_in_front_of_a_broken_input_is_run_again() {
    let mut world = World::new(4);
    world.wait();
    let job = world.add(0, Spec::new(Split::Records(1), Merge::Lines, [file("aXcdefgh")]).skipping().batches_of(1));
    world.wait();
    let workers: Vec<u32> =
        (0..4).map(|place| (0..4).find(|id| world.pieces(*id, 0)[0].start == place).unwrap()).collect();
    world.reply(WorkerId(workers[1]), Effort::FULL);
    let (done, _) = world.answer(WorkerId(workers[3]), Effort::FULL);
    let place = ItemPlace { source: SourceId(0), offset: 3 };
    let fault = Fault::Input("reading failed".into());
    let failures = vec![ItemFailure { place, ordinal: 0, len: 1, at: 0, attempts: 1, fault }];
    world.say(WorkerId(workers[3]), Done { failures, output: 0, ..done }, Vec::new());
    // An item in front was skipped, and is no reason to forget what stands between.
    world.exit(WorkerId(workers[2]), "was in the way");
    world.finish();
    assert_eq!(world.first_failed(job).place.offset, 3);
    assert_eq!(world.output(job), "\n\n", "a and c");
    assert_eq!(world.outcomes[&job].totals.items, 4);
}

#[test]
fn a_reduction_goes_on_without_items_that_fail() {
    let text: String =
        (0..60).map(|number| if number % 7 == 3 { "XX\n".into() } else { format!("{number:02}\n") }).collect();
    let spec = Spec::new(Split::Records(3), Merge::Reduce, [file(&text)]).skipping();
    let mut outputs = Vec::new();
    for (workers, items) in [(1, 1), (2, 5), (3, 16), (1, 100)] {
        let mut world = World::new(workers);
        let job = world.add(0, spec.clone().batches_of(items));
        world.finish();
        world.assert_done(job);
        outputs.push(world.output(job));
    }
    outputs.dedup();
    assert_eq!(outputs.len(), 1, "however it was cut");
}

#[test]
fn a_reduction_of_nothing_but_failed_items_is_that_of_none() {
    let mut world = World::new(2);
    let job = world.add(0, Spec::new(Split::Lines, Merge::Reduce, [file("X\nC\nX\n")]).skipping());
    world.finish();
    assert_eq!(world.output(job), "[()]");
    world.assert_done(job);
}

#[test]
fn results_that_cannot_be_joined_fail_the_job_and_no_item() {
    for on_error in [OnError::Fail, OnError::Skip] {
        let mut world = World::new(1);
        let mut spec = Spec::new(Split::Records(5), Merge::Reduce, [numbered(40)]);
        spec.plan.on_error = on_error;
        world.add(0, spec);
        world.wait();
        let answer = world.answer(A, Effort::FULL).0;
        let joining = Some(Fault::Failed("too many".into()));
        world.say(A, Done { joining, output: 0, partials: Vec::new(), ..answer }, Vec::new());
        world.finish();
        assert_eq!(world.outcomes[&JOB].failure, Some(JobFailure::Kernel("too many".into())));
        assert!(world.kills.is_empty() && world.reports(JOB).is_empty());
    }
}

#[test]
fn a_job_that_breaks_meanwhile_takes_its_marks_along() {
    let mut world = World::new(2);
    world.add(0, Spec::lines([file("C\ntwo\nthree\n")]).skipping());
    let other = world.add(1, Spec::lines([numbered(10)]));
    world.wait();
    world.reply(A, Effort::FULL);
    assert!(world.workers.values().any(|worker| worker.post == Post::Isolation && worker.queue.is_empty()));
    world.tell(Event::JobBroken { job: JOB, failure: JobFailure::ReaderGone });
    world.finish();
    world.assert_done(other);
    assert_eq!(world.jobs[&JOB].runs[&(SourceId(0), 0)], 1, "what is over is not looked into");
}
