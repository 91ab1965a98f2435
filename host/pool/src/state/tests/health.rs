//! The health of a pool: workers that are replaced in time, workers that die of nothing in particular, and the end.

use std::time::Duration;

use taskhost_protocol::ids::{JobId, WorkerId};

use super::input::{Spec, numbered};
use super::worker::Effort;
use super::world::{Move, RETRIES, World};
use crate::event::{JobFailure, Post};
use crate::state::Rules;
use crate::state::growth::PATIENCE;
use crate::verdict::Verdict;

const A: WorkerId = WorkerId(0);
const B: WorkerId = WorkerId(1);
const JOB: JobId = JobId(0);

#[test]
fn workers_are_replaced_when_they_have_run_their_share() {
    for share in [1, 3, 10] {
        let mut world = World::with_rules(2, 2, Rules { retries: RETRIES, recycle: Some(share) });
        world.add(0, Spec::lines([numbered(30)]).batches_of(4));
        // The world looks that none runs more than its share.
        world.finish();
        world.assert_done(JOB);
        assert!(world.retired.len() as u64 >= 30 / share, "{:?}", world.retired);
        assert_eq!(world.deaths, 0, "and none is lost otherwise");
        assert!(world.delays.iter().all(|delay| *delay == Duration::ZERO), "that is no sign of anything");
    }
}

#[test]
fn a_worker_that_is_to_be_replaced_gets_nothing_meanwhile() {
    let mut world = World::with_rules(1, 1, Rules { retries: RETRIES, recycle: Some(5) });
    world.add(0, Spec::lines([numbered(30)]).batches_of(5));
    // At the beginning of a line nobody knows how long lines are.
    while world.retired.is_empty() {
        let next = world.moves()[0];
        world.make(next, Effort::FULL, usize::MAX);
    }
    assert!(world.queue(0).is_empty());
    assert!(world.moves().contains(&Move::Exit(A)));
    assert_eq!(world.spawned, 0, "its place is not free before it is gone");
    world.finish();
    world.assert_done(JOB);
}

#[test]
fn workers_that_die_of_nothing_are_replaced_more_and_more_slowly_and_then_no_more() {
    let mut world = World::new(1);
    world.add(0, Spec::lines([numbered(100)]).skipping());
    let others = [1, 2, 3].map(|number| world.add(number, Spec::lines([numbered(100)])));
    while !world.outcomes.contains_key(&JOB) {
        world.wait();
        let worker = *world.workers.keys().next().unwrap();
        world.exit(worker, "was in the way");
    }
    let Some(JobFailure::Lost(text)) = &world.outcomes[&JOB].failure else { panic!("{:?}", world.outcomes) };
    assert_eq!(text, "the pool is not healthy: 10 workers died one after the other; the last one was in the way");
    assert_eq!(world.deaths, 10);
    let millis: Vec<_> = world.delays.iter().map(Duration::as_millis).collect();
    assert_eq!(millis, [0, 50, 100, 200, 400, 800, 1600, 3200, 5000]);
    for other in others {
        assert!(matches!(world.outcomes[&other].failure, Some(JobFailure::Lost(_))), "nor would it be any better");
    }
    // A later job may be luckier.
    let next = world.add(9, Spec::lines([numbered(10)]));
    world.finish();
    world.assert_done(next);
}

#[test]
fn a_reply_makes_up_for_what_was_before() {
    let mut world = World::new(1);
    world.add(0, Spec::lines([numbered(1000)]).batches_of(10));
    for _ in 0..30 {
        world.wait();
        let worker = *world.workers.keys().next().unwrap();
        world.reply(worker, Effort::FULL);
        world.exit(worker, "was in the way");
    }
    assert!(world.delays.iter().all(|delay| *delay == Duration::ZERO), "{:?}", world.delays);
    world.finish();
    world.assert_done(JOB);
}

#[test]
fn crashes_of_items_are_no_sign_of_a_pool_that_is_not_healthy() {
    let mut world = World::new(1);
    let all_bad = super::input::Input::File("C\n".repeat(30).into_bytes());
    world.add(0, Spec::lines([all_bad]).skipping());
    world.finish();
    assert_eq!(world.deaths, 60);
    assert!(world.delays.iter().all(|delay| *delay == Duration::ZERO), "{:?}", world.delays);
    world.assert_done(JOB);
}

#[test]
fn a_worker_that_came_too_late_for_what_there_was_is_not_started() {
    let mut world = World::with_rules(2, 1, Rules { retries: RETRIES, recycle: None });
    world.make(Move::BecomeReady(A), Effort::FULL, usize::MAX);
    world.add(0, Spec::lines([numbered(8)]).batches_of(1));
    world.wait();
    assert_eq!(world.delays, [PATIENCE], "one is at work, and may well do the other item, too");
    world.finish();
    world.assert_done(JOB);
    assert!(!world.state.is_wanted(Post::Execute), "nothing is left to do");
}

#[test]
fn nothing_new_is_begun_in_a_pool_that_ends() {
    let mut world = World::new(2);
    world.add(0, Spec::lines([numbered(1000)]).batches_of(10));
    world.wait();
    world.drain();
    assert!(!world.state.is_quiet());
    world.reply(A, Effort::stop_after(3));
    assert!(!world.state.is_quiet(), "the other is still at it");
    world.reply(B, Effort::FULL);
    assert!(world.state.is_quiet(), "what was handed back is not given out again");
    world.write();
    assert_eq!(world.output(JOB).lines().count(), 3, "what was finished is merged");
    let rest: Vec<Move> = world.moves();
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn workers_that_die_in_a_pool_that_ends_are_not_replaced() {
    let mut world = World::new(2);
    world.add(0, Spec::lines([numbered(1000)]).batches_of(10));
    world.wait();
    world.drain();
    let (_, _, at) = world.first_item(A).unwrap();
    world.die(A, Verdict::Crash("died".into()), "died", at.encode());
    world.reply(B, Effort::FULL);
    assert!(world.state.is_quiet() && world.spawned == 0);
}

#[test]
fn what_is_suspected_does_not_keep_others_waiting() {
    let mut world = World::new(1);
    let input = super::input::Input::File("C\n".bytes().chain((0..200).flat_map(|_| *b"well\n")).collect());
    world.add(0, Spec::lines([input]).skipping().batches_of(10));
    world.wait();
    world.reply(A, Effort::FULL);
    // Two workers are on their way: one for the suspect, one for all others.
    let mut posts: Vec<Post> = world.workers.values().map(|worker| worker.post).collect();
    posts.sort_by_key(|post| *post == Post::Isolation);
    assert_eq!(posts, [Post::Execute, Post::Isolation]);
    world.wait();
    let execute = *world.workers.iter().find(|(_, worker)| worker.post == Post::Execute).unwrap().0;
    world.reply(execute, Effort::FULL);
    assert!(world.sink.is_empty(), "what comes behind the suspect waits for it");
    world.finish();
    world.assert_done(JOB);
}
