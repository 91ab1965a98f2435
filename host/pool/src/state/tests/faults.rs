//! Workers that die and items that fail.

use taskhost_protocol::fault::{Fault, ItemFailure, ItemPlace};
use taskhost_protocol::ids::{SourceId, WorkerId};
use taskhost_protocol::work::{Done, Merge, Split};

use super::input::{Input, Spec, numbered};
use super::worker::Effort;
use super::world::World;
use crate::event::{JobFailure, Task};

const A: WorkerId = WorkerId(0);
const B: WorkerId = WorkerId(1);

/// Records of five bytes, of which those in `bad` fail.
fn records(count: usize, bad: &[usize]) -> Input {
    let record = |number| if bad.contains(&number) { b"XXXXX".to_vec() } else { format!("{number:05}").into_bytes() };
    Input::File((0..count).flat_map(record).collect())
}

/// Batches of five records on two workers that have two batches each.
fn started(bad: &[usize]) -> World {
    let mut world = World::new(2);
    world.wait();
    world.add(1000, Spec::lines([numbered(1)]));
    world.finish();
    world.add(0, Spec::new(Split::Records(5), Merge::Lines, [records(100, bad)]).batches_of(5));
    world.wait();
    assert_eq!((world.queue(0).len(), world.queue(1).len()), (2, 2));
    world
}

const JOB: taskhost_protocol::ids::JobId = taskhost_protocol::ids::JobId(0);

#[test]
fn what_a_lost_worker_had_is_run_again() {
    let mut world = started(&[]);
    let before = world.queue(0);
    let lost = [world.pieces(0, 0).to_vec(), world.pieces(0, 1).to_vec()];
    world.exit(A, "was in the way");
    world.wait();
    assert_eq!([world.pieces(2, 0), world.pieces(2, 1)], lost, "by its replacement, in the same order");
    assert!(world.queue(2).iter().all(|batch| !before.contains(batch)), "late replies are told by their number");
    world.finish();
    world.assert_done(JOB);
}

#[test]
fn a_dead_worker_of_a_failed_job_leaves_nothing_behind() {
    let mut world = started(&[0]);
    world.reply(A, Effort::FULL);
    assert!(world.outcomes.contains_key(&JOB));
    world.exit(B, "was in the way");
    world.finish();
    assert_eq!(world.failed_item(JOB), (0, 0, 0));
}

#[test]
fn what_comes_before_a_failed_item_is_completed() {
    let mut world = started(&[7]);
    world.reply(B, Effort::FULL);
    assert!(world.outcomes.is_empty() || !world.outcomes.contains_key(&JOB), "another item may fail before");
    let before = world.queue(0).len() + world.queue(1).len();
    assert_eq!(before, 3, "nothing new is begun");
    world.finish();
    assert_eq!(world.failed_item(JOB), (7, 0, 35));
    assert_eq!(world.output(JOB).lines().count(), 7, "in its own batch too");
}

#[test]
fn of_several_failed_items_the_first_of_the_input_is_named() {
    let mut world = started(&[2, 7, 12]);
    world.reply(B, Effort::FULL);
    world.reply(A, Effort::stop_after(1));
    // The rest of the first batch, in which an item will fail too, goes to a worker before anything else.
    world.finish();
    assert_eq!(world.failed_item(JOB), (2, 0, 10));
}

#[test]
fn the_number_of_a_failed_item_counts_what_was_handed_back() {
    let mut world = started(&[14]);
    for worker in [A, B, A, B, A, B, A, B, A, B, A, B] {
        if !world.workers[&worker].queue.is_empty() {
            world.reply(worker, Effort::stop_after(2));
        }
    }
    world.finish();
    assert_eq!(world.failed_item(JOB), (14, 0, 70));
}

#[test]
fn files_behind_a_failed_item_are_not_run() {
    let mut world = World::new(1);
    let inputs = ["one", "X", "three", "four"].map(|text| Input::File(text.as_bytes().to_vec()));
    let job = world.add(0, Spec::new(Split::Whole, Merge::Lines, inputs).batches_of(1));
    world.finish();
    assert_eq!(world.failed_item(job), (1, 1, 0));
    assert_eq!(world.outcomes[&job].totals.items, 2);
}

#[test]
fn without_order_a_failed_item_ends_the_job_at_once() {
    let mut world = World::new(2);
    let spec = Spec::new(Split::Records(5), Merge::Lines, [records(100, &[7])]).batches_of(5).unordered();
    let job = world.add(0, spec);
    world.wait();
    world.reply(B, Effort::FULL);
    world.write();
    let failed = world.first_failed(job);
    assert_eq!((failed.place.offset, failed.number), (35, None));
    world.finish();
}

#[test]
fn a_reduction_with_a_failed_item_has_no_result() {
    let mut world = World::new(2);
    let job = world.add(0, Spec::new(Split::Records(5), Merge::Reduce, [records(100, &[33])]).batches_of(5));
    world.finish();
    assert_eq!(world.failed_item(job), (33, 0, 165));
    assert_eq!(world.output(job), "");
}

#[test]
fn a_combine_that_fails_is_the_kernels_fault() {
    let mut world = World::new(1);
    let job = world.add(0, Spec::new(Split::Records(5), Merge::Reduce, [records(20, &[])]).batches_of(5));
    world.wait();
    while !matches!(world.workers[&A].queue[0].0.task, Task::Combine(_)) {
        world.reply(A, Effort::FULL);
    }
    let place = ItemPlace { source: SourceId(0), offset: 0 };
    let failure =
        ItemFailure { place, ordinal: 0, len: 0, at: 0, attempts: 1, fault: Fault::Failed("too many".into()) };
    let done = Done { output: 0, failures: vec![failure], ..world.answer(A, Effort::FULL).0 };
    world.say(A, done, Vec::new());
    world.finish();
    let expected = JobFailure::Kernel("the kernel's `combine` failed: too many".into());
    assert_eq!(world.outcomes[&job].failure, Some(expected));
}

#[test]
fn workers_that_never_get_ready_are_given_up() {
    let mut world = World::with_started(4, 0);
    let job = world.add(0, Spec::lines([numbered(10)]));
    while world.moves().contains(&super::world::Move::OpenNext(job)) {
        world.make(super::world::Move::OpenNext(job), Effort::FULL, 0);
    }
    while let Some(worker) = world.workers.keys().next().copied() {
        world.exit(worker, "broke at once");
    }
    let expected = "workers cannot be started: the last one broke at once";
    assert_eq!(world.outcomes[&job].failure, Some(JobFailure::Lost(expected.into())));
    assert!(world.spawned <= 6, "{}", world.spawned);
    // A later job may be luckier.
    let next = world.add(1, Spec::lines([numbered(10)]));
    world.finish();
    world.assert_done(next);
}

#[test]
fn with_one_worker_that_works_the_run_goes_on() {
    let mut world = World::with_started(4, 1);
    world.become_ready(A);
    let job = world.add(0, Spec::lines([numbered(1000)]));
    while !world.workers.contains_key(&WorkerId(1)) {
        world.make(super::world::Move::OpenNext(job), Effort::FULL, 0);
    }
    while let Some(worker) = world.workers.keys().nth(1).copied() {
        world.exit(worker, "broke at once");
    }
    world.finish();
    world.assert_done(job);
}
