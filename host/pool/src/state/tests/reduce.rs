//! Reductions: the same calls of `combine` however the run was cut.

use taskhost_protocol::ids::WorkerId;
use taskhost_protocol::work::{Merge, Split};

use super::input::{Input, Spec, numbered};
use super::worker::Effort;
use super::world::{Move, World};
use crate::event::Task;

#[test]
fn no_items_give_the_identity() {
    for (number, input) in (0..).zip([Input::File(Vec::new()), Input::Pipe(Vec::new())]) {
        let mut world = World::new(2);
        let job = world.add(number, Spec::new(Split::Lines, Merge::Reduce, [input]));
        world.finish();
        world.assert_done(job);
        assert_eq!(world.output(job), "[()]");
    }
}

#[test]
fn a_single_item_passes_through() {
    let mut world = World::new(2);
    let job = world.add(0, Spec::new(Split::Lines, Merge::Reduce, [Input::File(b"abc".to_vec())]));
    world.finish();
    world.assert_done(job);
    assert_eq!(world.output(job), "[b!c!]");
}

#[test]
fn the_result_is_that_of_one_pass_for_any_number_of_workers_and_any_batches() {
    for workers in [1, 2, 3, 7] {
        for items in [1, 10, 1000] {
            let mut world = World::new(workers);
            let spec = Spec::new(Split::Lines, Merge::Reduce, [numbered(150), numbered(33)]);
            let job = world.add(0, spec.batches_of(items));
            world.finish();
            world.assert_done(job);
        }
    }
}

#[test]
fn parts_of_a_node_that_two_batches_share_are_joined_by_a_worker() {
    let mut world = World::new(1);
    let job = world.add(0, Spec::new(Split::Records(5), Merge::Reduce, [numbered(16)]).batches_of(8));
    let mut joins = 0;
    while let Some(next) = world.moves().first().copied() {
        if let Move::Reply(worker) = next
            && let Task::Combine(parts) = &world.workers[&worker].queue[0].0.task
        {
            assert_eq!(parts.len(), 16, "all items of the node, whichever batch they were in");
            joins += 1;
        }
        world.make(next, Effort::FULL, usize::MAX);
    }
    world.assert_done(job);
    assert_eq!(joins, 1);
}

#[test]
fn a_pipe_may_end_in_the_middle_of_a_window() {
    // The last line begins in the window 0..4 and ends in 8..12, where no line begins.
    let mut world = World::new(1);
    let spec = Spec::new(Split::Blocks(4), Merge::Reduce, [Input::Pipe(b"aaaaaaaaa\n".to_vec())]);
    let job = world.add(0, spec);
    world.finish();
    world.assert_done(job);
}

#[test]
fn joins_are_made_even_when_all_workers_are_gone() {
    let mut world = World::new(1);
    let job = world.add(0, Spec::new(Split::Records(5), Merge::Reduce, [numbered(4)]).batches_of(4));
    world.wait();
    world.reply(WorkerId(0), Effort::FULL);
    world.exit(WorkerId(0), "was in the way");
    assert_eq!(world.spawned, 1);
    world.finish();
    world.assert_done(job);
}

#[test]
fn an_early_stop_does_not_lose_a_part() {
    let mut world = World::new(2);
    let job = world.add(0, Spec::new(Split::Lines, Merge::Reduce, [numbered(300)]));
    let mut items = 0;
    while let Some(next) = world.moves().last().copied() {
        items = items % 7 + 1;
        world.make(next, Effort::stop_after(items), usize::MAX);
    }
    world.assert_done(job);
    world.assert_clean();
}
