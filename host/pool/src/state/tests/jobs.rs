//! Several jobs, and how many workers they get.

use taskhost_protocol::ids::WorkerId;
use taskhost_protocol::work::{Merge, Split};

use super::input::{Input, Spec, numbered};
use super::worker::Effort;
use super::world::{Move, World};
use crate::event::{Event, JobFailure};

#[test]
fn the_oldest_job_comes_first_and_others_fill_the_gaps() {
    let mut world = World::new(2);
    let single = || Spec::new(Split::Whole, Merge::Concat, [Input::File(b"a file".to_vec())]);
    let (first, second, third) = (world.add(0, single()), world.add(1, single()), world.add(2, single()));
    world.wait();
    let job_of = |world: &World, worker: u32| world.workers[&WorkerId(worker)].queue[0].0.job;
    assert_eq!((job_of(&world, 0), job_of(&world, 1)), (first, second));
    world.reply(WorkerId(1), Effort::FULL);
    assert_eq!(job_of(&world, 1), third);
    world.finish();
    for job in [first, second, third] {
        world.assert_done(job);
    }
}

#[test]
fn a_job_that_waits_does_not_keep_others_waiting() {
    let mut world = World::new(1);
    let pipe = world.add(0, Spec::lines([Input::Pipe(b"one\ntwo\n".to_vec())]));
    let file = world.add(1, Spec::lines([numbered(100)]));
    // The pipe brings nothing for now.
    while let Some(next) = world.moves().into_iter().find(|next| !matches!(next, Move::ReadPipe(_))) {
        world.make(next, Effort::FULL, 0);
    }
    world.assert_done(file);
    assert!(!world.outcomes.contains_key(&pipe));
    world.finish();
    world.assert_done(pipe);
}

#[test]
fn a_job_that_fails_leaves_the_others_alone() {
    let mut world = World::new(2);
    let bad = world.add(0, Spec::lines([Input::File(b"X\n".to_vec())]));
    let good = world.add(1, Spec::lines([numbered(100)]));
    let broken = world.add(2, Spec::lines([Input::Pipe(b"one\ntwo\n".to_vec())]));
    world.wait();
    world.tell(Event::JobBroken { job: broken, failure: JobFailure::ReaderGone });
    world.finish();
    assert_eq!(world.failed_item(bad), (0, 0, 0));
    world.assert_done(good);
    assert_eq!(world.outcomes[&broken].failure, Some(JobFailure::ReaderGone));
}

#[test]
fn a_job_that_is_cancelled_takes_its_workers_along_and_nothing_else() {
    let mut world = World::new(2);
    let single = || Spec::new(Split::Whole, Merge::Concat, [Input::File(b"a file".to_vec())]);
    let (unwanted, other, third) = (world.add(0, single()), world.add(1, single()), world.add(2, single()));
    world.wait();
    world.tell(Event::JobCancelled { job: unwanted });
    // It may come twice, and late.
    world.tell(Event::JobCancelled { job: unwanted });
    world.finish();
    assert_eq!(world.outcomes[&unwanted].failure, Some(JobFailure::ReaderGone));
    world.assert_done(other);
    world.assert_done(third);
    world.assert_clean();
}

#[test]
fn many_jobs_one_after_the_other() {
    let mut world = World::new(3);
    let jobs: Vec<_> = (0..100).map(|number| world.add(number, Spec::lines([numbered(number as usize)]))).collect();
    world.finish();
    for job in jobs {
        world.assert_done(job);
    }
    assert_eq!(world.spawned, 0);
}

#[test]
fn workers_are_asked_for_when_there_is_more_than_those_there_are_can_take() {
    let mut world = World::with_started(4, 1);
    world.wait();
    let single = world.add(0, Spec::new(Split::Whole, Merge::Concat, [Input::File(b"a file".to_vec())]));
    world.finish();
    world.assert_done(single);
    assert_eq!(world.spawned, 0, "one worker does");
    let many = world.add(1, Spec::lines([numbered(100)]));
    world.wait();
    assert_eq!(world.spawned, 3, "and no more than four");
    world.finish();
    world.assert_done(many);
}

#[test]
fn a_worker_that_is_lost_is_replaced_only_when_it_is_needed() {
    let mut world = World::new(2);
    world.wait();
    world.exit(WorkerId(0), "was in the way");
    assert_eq!(world.spawned, 0);
    let job = world.add(0, Spec::lines([numbered(100)]));
    world.wait();
    assert_eq!(world.spawned, 1);
    world.finish();
    world.assert_done(job);
}

#[test]
fn no_more_workers_are_busy_than_there_are_cores_for() {
    let mut world = World::new(3);
    world.lend(0, false);
    let job = world.add(0, Spec::lines([numbered(1000)]));
    world.wait();
    let busy = |world: &World| world.workers.values().filter(|worker| !worker.queue.is_empty()).count();
    assert_eq!((busy(&world), world.state.wish().wanted), (0, 3));
    world.lend(2, false);
    assert_eq!((busy(&world), world.state.wish().busy), (2, 2));
    // One of them is asked back: whoever replies gets nothing more.
    world.lend(1, true);
    world.reply(WorkerId(0), Effort { items: 1, ..Effort::FULL });
    assert_eq!(busy(&world), 1);
    world.lend(3, false);
    world.finish();
    world.assert_done(job);
    assert_eq!(world.state.wish().wanted, 0);
}

#[test]
fn idle_workers_can_be_dismissed() {
    let mut world = World::new(3);
    world.wait();
    let dismissed = world.state.dismiss(2);
    assert_eq!((dismissed.len(), world.state.wish().idle), (2, 1));
    assert!(world.state.dismiss(5).len() == 1 && world.state.dismiss(1).is_empty());
}
