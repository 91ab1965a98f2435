//! Jobs of items: batches, their order, what is handed back, and how much is made and read ahead.

use taskhost_protocol::ids::{BatchId, JobId, SlotId, SourceId, WorkerId};
use taskhost_protocol::work::{Merge, Piece, Split};

use super::input::{Input, Spec, numbered};
use super::worker::Effort;
use super::world::{Move, World};
use crate::event::{Action, Destination, DirectLength, Event, JobPlan};
use crate::state::window::WINDOW;
use crate::state::{Rules, State};

const A: WorkerId = WorkerId(0);
const B: WorkerId = WorkerId(1);

/// A pool with that many workers, all ready.
fn world(workers: usize) -> World {
    let mut world = World::new(workers);
    world.wait();
    world
}

/// A world whose workers are known to be quick, so that they are given two batches at a time.
fn quick_world(workers: usize) -> World {
    let mut world = world(workers);
    let warm_up = world.add(1000, Spec::lines([numbered(1)]));
    world.finish();
    world.assert_done(warm_up);
    world
}

#[test]
fn one_job_on_one_worker() {
    let mut world = world(1);
    let job = world.add(0, Spec::lines([Input::File(b"one\ntwo\nthree".to_vec())]));
    world.finish();
    world.assert_done(job);
    assert_eq!(world.output(job), "n!e!\nw!o!\nh!r!e!e!\n");
}

#[test]
fn a_worker_has_one_batch_until_batches_are_known_to_be_short() {
    let mut world = world(2);
    world.add(0, Spec::lines([numbered(1000)]));
    world.wait();
    assert_eq!(world.queue(0).len(), 1);
    world.reply(A, Effort { nanos: 1_000_000, ..Effort::FULL });
    assert_eq!(world.queue(0).len(), 2, "one that runs, and one to begin with at once");
    for _ in 0..3 {
        world.reply(A, Effort { nanos: 10_000_000_000, ..Effort::FULL });
    }
    assert_eq!(world.queue(0).len(), 1, "behind a long batch nothing should wait");
    world.finish();
}

/// What it hands back would otherwise come behind what waits for it.
#[test]
fn an_only_worker_runs_the_input_from_its_beginning_to_its_end() {
    let mut world = quick_world(1);
    let job = world.add(0, Spec::lines([numbered(20_000)]));
    world.wait();
    let (mut at, mut batches) = (0, 0);
    while let Some(first) = world.queue(0).first().and_then(|_| world.pieces(0, 0).first().copied()) {
        assert!(first.start >= at, "{first:?} after {at}");
        assert_eq!(world.queue(0).len(), 1);
        at = first.start + 1;
        world.reply(A, if batches % 3 == 1 { Effort::stop_after(2) } else { Effort::FULL });
        world.wait();
        batches += 1;
    }
    assert!(batches > 5, "{batches} batches");
    world.finish();
    world.assert_done(job);
}

#[test]
fn results_are_merged_in_order() {
    let mut world = quick_world(2);
    let job = world.add(0, Spec::new(Split::Records(5), Merge::Lines, [numbered(100)]).batches_of(10));
    world.wait();
    world.reply(B, Effort::FULL);
    world.reply(B, Effort::FULL);
    assert!(world.sink.is_empty(), "the first batch is not there yet");
    world.reply(A, Effort::FULL);
    assert_eq!(world.sink.len(), 2, "the first batch and the one behind it");
    world.finish();
    world.assert_done(job);
}

#[test]
fn without_order_results_are_merged_as_they_come() {
    let mut world = quick_world(2);
    let job = world.add(0, Spec::lines([numbered(20)]).batches_of(5).unordered());
    world.wait();
    let second = world.queue(1)[0];
    world.reply(B, Effort::FULL);
    assert_eq!(world.sink.iter().map(|(_, batch, _)| *batch).collect::<Vec<BatchId>>(), [second]);
    world.finish();
    let (mut lines, mut expected) = (world.output(job), String::from_utf8(world.expected(job)).unwrap());
    assert_ne!(lines, expected);
    for text in [&mut lines, &mut expected] {
        let mut sorted: Vec<&str> = text.lines().collect();
        sorted.sort_unstable();
        *text = sorted.join("\n");
    }
    assert_eq!(lines, expected);
}

#[test]
fn what_is_handed_back_keeps_its_place() {
    let mut world = world(2);
    let job = world.add(0, Spec::lines([numbered(200)]));
    world.wait();
    let (first, second) = (world.pieces(0, 0)[0], world.pieces(1, 0)[0]);
    world.reply(A, Effort::stop_after(3));
    assert_eq!(world.pieces(0, 0)[0].start, first.start + 15, "the rest is the next that is run");
    world.reply(B, Effort::FULL);
    assert!(world.pieces(0, 0)[0].start < second.start);
    assert_eq!(world.sink.len(), 1, "what was run of the first batch, and nothing behind its rest");
    world.finish();
    world.assert_done(job);
}

#[test]
fn files_that_are_handed_back_keep_their_place() {
    let files = [b"one".to_vec(), Vec::new(), Vec::new(), b"four".to_vec()];
    let mut world = World::new(1);
    let job = world.add(0, Spec::new(Split::Whole, Merge::Lines, files.map(Input::File)).batches_of(6));
    world.wait();
    assert_eq!(world.pieces(0, 0).len(), 4);
    world.reply(A, Effort::stop_after(1));
    assert_eq!(world.pieces(0, 0).len(), 3, "empty files too");
    world.finish();
    world.assert_done(job);
    assert_eq!(world.output(job), "n!e!\n\n\no!u!r!\n");
}

#[test]
fn files_on_both_sides_of_a_gap_are_not_gathered() {
    let inputs: Vec<Input> = (0..40).map(|number| Input::File(vec![b'a' + number % 26; 10])).collect();
    let spec = Spec::new(Split::Whole, Merge::Lines, inputs);
    let spec = Spec { plan: crate::event::ItemsPlan { bytes: None, ..spec.plan }, ..spec };
    let mut world = world(2);
    let job = world.add(0, spec);
    world.wait();
    while world.pieces(0, 0).len() < 3 || world.pieces(1, 0).is_empty() {
        world.reply(A, Effort::FULL);
        world.wait();
    }
    // Files that follow are with the other worker, or were run, when these are handed back.
    world.reply(B, Effort::FULL);
    world.wait();
    world.reply(A, Effort::stop_after(1));
    for worker in 0..2 {
        for place in 0..world.queue(worker).len() {
            let sources: Vec<u32> = world.pieces(worker, place).iter().map(|piece| piece.source.0).collect();
            assert!(sources.windows(2).all(|two| two[1] == two[0] + 1), "{sources:?}");
        }
    }
    world.finish();
    world.assert_done(job);
}

#[test]
fn a_full_window_stops_the_work_until_something_is_written() {
    let mut world = quick_world(1);
    // Each line becomes 7 bytes that stand for a megabyte each.
    let job = world.add(0, Spec::lines([numbered(40)]).batches_of(1).scaled(1 << 20));
    world.wait();
    while !world.queue(0).is_empty() {
        world.reply(A, Effort::FULL);
    }
    assert!((WINDOW..WINDOW + (14 << 20)).contains(&world.most_held), "{}", world.most_held);
    while world.queue(0).is_empty() {
        assert_eq!(world.moves(), [Move::Write], "nothing else can happen");
        world.write();
    }
    world.finish();
    world.assert_done(job);
    assert!(world.most_held < WINDOW + (14 << 20));
}

#[test]
fn a_full_window_lets_in_what_the_others_wait_for() {
    let mut world = quick_world(2);
    let job = world.add(0, Spec::lines([numbered(40)]).batches_of(4).scaled(1 << 20));
    world.wait();
    let first = world.pieces(0, 0)[0];
    // One worker is at its first batch for long. The other fills the window behind it.
    while !world.queue(1).is_empty() {
        world.reply(B, Effort::FULL);
    }
    assert!(world.most_held >= WINDOW && world.sink.is_empty());
    // Then the first is cut short. Its rest must be run, or nothing would ever be merged.
    world.reply(A, Effort::stop_after(1));
    world.write();
    let starts: Vec<u64> = (0..2)
        .flat_map(|worker| (0..world.queue(worker).len()).map(move |at| (worker, at)))
        .map(|(worker, at)| world.pieces(worker, at)[0].start)
        .collect();
    assert!(starts.contains(&(first.start + 5)), "{starts:?}");
    world.finish();
    world.assert_done(job);
}

#[test]
fn a_pipe_is_read_only_as_far_as_is_useful() {
    let mut world = world(1);
    let Input::File(bytes) = numbered(200_000) else { unreachable!() };
    let job = world.add(0, Spec::lines([Input::Pipe(bytes)]));
    // One read at a time, until the worker has enough to do.
    for reads in 1.. {
        let Some(next) = world.moves().into_iter().find(|next| !matches!(next, Move::Reply(_))) else { break };
        world.make(next, Effort::FULL, 40_000);
        assert!(reads < 20, "the whole pipe would be in memory");
    }
    assert!(world.reads.is_empty());
    world.reply(A, Effort::FULL);
    assert!(world.reads.contains_key(&job), "there is room again");
    world.finish();
    world.assert_done(job);
}

#[test]
fn a_pipe_that_brings_a_line_at_a_time_does_not_fill_up_blocks() {
    let mut world = World::new(1);
    let Input::File(bytes) = numbered(1000) else { unreachable!() };
    let job = world.add(0, Spec::lines([Input::Pipe(bytes)]));
    while let Some(next) = world.moves().into_iter().find(|next| !matches!(next, Move::Reply(_))) {
        world.make(next, Effort::FULL, 5);
    }
    assert!((100..200).contains(&world.open_inputs(job)), "{}", world.open_inputs(job));
    world.finish();
    world.assert_done(job);
}

#[test]
fn input_is_asked_for_as_soon_as_some_was_given_out() {
    let mut world = World::new(1);
    let Input::File(bytes) = numbered(200_000) else { unreachable!() };
    let job = world.add(0, Spec::lines([Input::Pipe(bytes)]));
    while let Some(next) = world.moves().into_iter().find(|next| !matches!(next, Move::BecomeReady(_))) {
        world.make(next, Effort::FULL, 40_000);
    }
    world.become_ready(A);
    assert!(world.reads.contains_key(&job));
    world.finish();
    world.assert_done(job);
}

#[test]
fn however_many_workers_there_are_no_more_than_the_read_ahead_is_read() {
    let plan = Spec::lines([Input::Pipe(Vec::new())]).plan;
    let (job, source) = (JobId(0), SourceId(0));
    let mut state = State::new(10_000, 10_000, Rules::default());
    let asks = |actions: Vec<Action>| actions.iter().any(|action| matches!(action, Action::Read { .. }));
    assert!(!asks(state.handle(Event::JobAdded { job, plan: JobPlan::Items(plan), resume: None })));
    assert!(asks(state.handle(Event::PipeOpened { job, source, start: 0 })));
    for block in 0..3 {
        let (start, end) = (block * (12 << 20), (block + 1) * (12 << 20));
        let piece = Piece { source, slot: SlotId(0), start, end, from: start, to: end, at: 0, base: 0 };
        assert_eq!(asks(state.handle(Event::Block { job, piece })), block < 2);
    }
}

#[test]
fn a_slow_reader_of_the_output_keeps_a_pipe_from_being_read() {
    let mut world = world(1);
    let Input::File(bytes) = numbered(100) else { unreachable!() };
    let job = world.add(0, Spec::lines([Input::Pipe(bytes)]).batches_of(1).scaled(1 << 20));
    while let Some(next) = world.moves().into_iter().find(|next| *next != Move::Write) {
        world.make(next, Effort::FULL, 5);
    }
    assert!(world.reads.is_empty() && world.most_held < WINDOW + (14 << 20), "{}", world.most_held);
    while !world.reads.contains_key(&job) {
        // What was read before comes first.
        if world.sink.is_empty() { world.reply(A, Effort::FULL) } else { world.write() }
    }
    world.finish();
    world.assert_done(job);
}

#[test]
fn files_are_opened_as_they_are_needed() {
    let mut world = world(1);
    let inputs: Vec<Input> = (0..1000).map(|number| Input::File(format!("{number}\n").into_bytes())).collect();
    let job = world.add(0, Spec::lines(inputs));
    world.wait();
    assert!(world.open_inputs(job) < 20, "{}", world.open_inputs(job));
    world.finish();
    world.assert_done(job);
}

#[test]
fn files_that_are_items_are_gathered() {
    let mut world = world(2);
    let inputs: Vec<Input> = (0..100).map(|number| Input::File(vec![b'a' + number % 26; 10])).collect();
    let spec = Spec::new(Split::Whole, Merge::Lines, inputs);
    let job = world.add(0, Spec { plan: crate::event::ItemsPlan { bytes: None, ..spec.plan }, ..spec });
    world.wait();
    assert_eq!(world.pieces(0, 0).len(), 1, "the first file is not kept waiting");
    world.reply(A, Effort::FULL);
    assert!(world.pieces(0, 0).len() > 1);
    world.finish();
    world.assert_done(job);
}

#[test]
fn results_of_known_length_go_to_their_place() {
    let inputs = [b"abcdefghij".to_vec(), b"klmno".to_vec()].map(Input::File);
    let offset = |world: &World, worker: u32| world.workers[&WorkerId(worker)].queue[0].0.destination;
    let mut world = quick_world(2);
    let exactly = Spec::new(Split::Chunks(4), Merge::Concat, inputs.clone()).direct(DirectLength::Exactly(3));
    let job = world.add(0, exactly.batches_of(1));
    world.wait();
    assert_eq!((offset(&world, 0), offset(&world, 1)), (Destination::Output(0), Destination::Output(3)));
    world.finish();
    world.assert_done(job);
    let same = Spec::new(Split::Chunks(4), Merge::Concat, inputs).direct(DirectLength::Same);
    let job = world.add(1, same.batches_of(1));
    world.wait();
    assert_eq!((offset(&world, 0), offset(&world, 1)), (Destination::Output(0), Destination::Output(4)));
    world.finish();
    world.assert_done(job);
    assert_eq!(world.outcomes[&job].output.len(), 15);
}

#[test]
fn a_header_is_no_item() {
    let inputs = [b"name\none\ntwo\n".to_vec(), b"name\n".to_vec(), b"name\nthree\n".to_vec()].map(Input::File);
    let mut world = world(2);
    let job = world.add(0, Spec { header: true, ..Spec::lines(inputs) });
    world.finish();
    world.assert_done(job);
    assert_eq!(world.outcomes[&job].totals.items, 3);
}

#[test]
fn nothing_in_nothing_out() {
    for (number, spec) in (0..).zip([
        Spec::lines([]),
        Spec::lines([Input::File(Vec::new())]),
        Spec::lines([Input::Pipe(Vec::new())]),
        Spec::new(Split::Chunks(8), Merge::Concat, [Input::File(Vec::new()), Input::Pipe(Vec::new())]),
    ]) {
        let mut world = world(1);
        let job = world.add(number, spec);
        world.finish();
        world.assert_done(job);
        assert_eq!((world.outcomes[&job].totals.items, world.output(job).as_str()), (0, ""));
    }
}

#[test]
fn an_empty_pipe_is_one_whole_item() {
    let mut world = world(1);
    let job = world.add(0, Spec::new(Split::Whole, Merge::Lines, [Input::Pipe(Vec::new())]));
    world.finish();
    world.assert_done(job);
    assert_eq!(world.outcomes[&job].totals.items, 1);
}

#[test]
fn discarded_results_are_counted() {
    let mut world = world(1);
    let job = world.add(0, Spec::new(Split::Lines, Merge::Discard, [numbered(10)]));
    world.finish();
    world.assert_done(job);
    assert_eq!((world.outcomes[&job].totals.output, world.output(job).as_str()), (60, ""));
}

#[test]
fn a_number_of_items_is_a_number_of_items() {
    let sizes = |split, input: Input| {
        let mut world = world(1);
        let job = world.add(0, Spec::new(split, Merge::Concat, [input]).batches_of(10));
        let mut sizes = Vec::new();
        world.wait();
        while let Some(next) = world.moves().first().copied() {
            if let Move::Reply(worker) = next {
                sizes.push(world.answer(worker, Effort::FULL).0.items);
            }
            world.make(next, Effort::FULL, usize::MAX);
        }
        world.assert_done(job);
        sizes
    };
    assert_eq!(sizes(Split::Records(5), numbered(95)), [10, 10, 10, 10, 10, 10, 10, 10, 10, 5]);
    let lines = sizes(Split::Lines, numbered(1000));
    assert!(lines.iter().all(|items| *items <= 10) && lines.len() <= 150, "{lines:?}");
}

#[test]
fn totals_say_what_was_read_and_made() {
    let mut world = world(2);
    let job = world.add(0, Spec::lines([numbered(100)]));
    world.finish();
    let totals = &world.outcomes[&job].totals;
    assert_eq!((totals.items, totals.input, totals.output), (100, 500, 700));
    assert_eq!(world.outcomes[&JobId(0)].output.len(), 700);
}

#[test]
fn what_waits_behind_a_long_item_is_taken_back_for_a_worker_that_has_nothing_to_do() {
    let mut world = world(2);
    let job = world.add(0, Spec::lines([numbered(6)]).batches_of(1));
    // Both work, and another batch waits for each.
    world.wait();
    world.reply(A, Effort::FULL);
    world.reply(B, Effort::FULL);
    while world.queue(0).len() > 1 || !world.queue(1).is_empty() {
        // The first worker is at something long.
        let (before, waiting) = (world.recalls, world.queue(0).len() > 1);
        world.reply(B, Effort::FULL);
        assert!(!waiting || world.queue(0).len() > 1 || world.recalls > before, "nobody else may have it");
    }
    assert_eq!(world.recalls, 1);
    world.finish();
    world.assert_done(job);
}

#[test]
fn the_first_batch_of_a_pipe_leaves_something_for_the_others() {
    let mut world = world(2);
    let Input::File(bytes) = numbered(4) else { unreachable!() };
    let job = world.add(0, Spec::lines([Input::Pipe(bytes)]));
    while world.queue(0).is_empty() {
        let next = world.moves().into_iter().find(|next| !matches!(next, Move::Reply(_) | Move::Write));
        world.make(next.expect("there is input"), Effort::FULL, usize::MAX);
    }
    assert!(!world.queue(1).is_empty(), "the other has some, too");
    world.finish();
    world.assert_done(job);
}
