//! Workers that die of what they run: who is to blame, and what becomes of everybody else.

use std::time::Duration;

use taskhost_protocol::ids::{JobId, SourceId, WorkerId};
use taskhost_protocol::progress::Progress;
use taskhost_protocol::work::{Merge, Split};

use super::input::{Input, Spec, numbered};
use super::worker::{Effort, Tells};
use super::world::{Move, World};
use crate::event::{JobFailure, Post, Task};
use crate::state::Rules;
use crate::verdict::Verdict;

const A: WorkerId = WorkerId(0);
const JOB: JobId = JobId(0);

/// Records of five bytes; those in `bad` have this letter.
fn records(count: usize, bad: &[usize], letter: char) -> Input {
    let letters = letter.to_string().repeat(5);
    let record = |number| if bad.contains(&number) { letters.clone() } else { format!("{number:05}") };
    Input::File((0..count).flat_map(|number| record(number).into_bytes()).collect())
}

/// A job that goes on without failed records.
fn skipping(input: Input) -> Spec {
    Spec::new(Split::Records(5), Merge::Lines, [input]).skipping()
}

/// How often a record was begun.
fn runs(world: &World, record: u64) -> u32 {
    world.jobs[&JOB].runs.get(&(SourceId(0), 5 * record)).copied().unwrap_or(0)
}

/// Has everything happen with this effort.
fn finish_with(world: &mut World, effort: Effort) {
    while let Some(next) = world.moves().first().copied() {
        world.make(next, effort, usize::MAX);
    }
    world.assert_clean();
}

/// Numbers and attempts of the failed items.
fn failed(world: &World) -> Vec<(u64, &'static str, u32)> {
    let reports = world.reports(JOB).into_iter();
    reports.map(|report| (report.number.unwrap(), report.verdict, report.attempts)).collect()
}

#[test]
fn an_item_that_crashes_is_run_once_more_alone_and_then_condemned() {
    let mut world = World::new(1);
    world.add(0, skipping(records(20, &[7], 'C')).batches_of(10));
    world.wait();
    world.reply(A, Effort::FULL);
    world.wait();
    let isolated = *world.workers.iter().find(|(_, worker)| worker.post == Post::Isolation).unwrap().0;
    let order = world.workers[&isolated].queue[0].0.clone();
    assert_eq!((world.pieces(isolated.0, 0)[0].start, order.budget.items), (35, 1));
    world.finish();
    assert_eq!(failed(&world), [(7, "crash", 2)]);
    assert_eq!(runs(&world, 7), 2);
    assert!((8..20).all(|record| runs(&world, record) == 1), "what comes behind it was never near");
    assert!((0..7).all(|record| runs(&world, record) <= 2), "what came before it was lost with the worker");
    assert_eq!(world.deaths, 2, "and nobody else died");
    world.assert_done(JOB);
}

#[test]
fn an_item_that_crashed_once_and_then_passes_has_not_failed() {
    for effort in [Effort::FULL, Effort::PACKED] {
        let mut world = World::new(1);
        world.add(0, skipping(records(20, &[7], 'F')).batches_of(10));
        finish_with(&mut world, effort);
        assert_eq!(failed(&world), []);
        world.assert_done(JOB);
    }
}

#[test]
fn several_items_that_crash_in_one_batch_are_all_found() {
    for effort in [Effort::FULL, Effort::PACKED, Effort { pack: 50, ..Effort::FULL }] {
        let mut world = World::new(2);
        world.add(0, skipping(records(50, &[0, 1, 2, 25, 49], 'C')));
        finish_with(&mut world, effort);
        assert_eq!(failed(&world), [0, 1, 2, 25, 49].map(|number| (number, "crash", 2)));
        world.assert_done(JOB);
    }
}

#[test]
fn a_crash_that_names_nobody_is_narrowed_down() {
    for bad in [0, 7, 19] {
        let mut world = World::new(1);
        world.add(0, skipping(records(20, &[bad], 'C')).batches_of(20));
        finish_with(&mut world, Effort::SILENT);
        assert_eq!(failed(&world), [(bad as u64, "crash", 2)]);
        assert!(world.deaths <= 7, "about as many as halving takes: {}", world.deaths);
        world.assert_done(JOB);
    }
}

#[test]
fn halving_lines_comes_to_an_end_wherever_they_begin() {
    let text = format!("{}\nC\n{}\nlast", "a".repeat(3000), "b".repeat(3000));
    for tells in [Tells::Nothing, Tells::AnotherBatch] {
        let mut world = World::new(1);
        let job = world.add(0, Spec::lines([Input::File(text.clone().into_bytes())]).skipping());
        finish_with(&mut world, Effort { tells, ..Effort::FULL });
        assert_eq!(failed(&world), [(1, "crash", 2)]);
        world.assert_done(job);
    }
}

#[test]
fn blocks_and_files_that_crash_are_found_too() {
    for effort in [Effort::FULL, Effort::SILENT] {
        let mut world = World::new(2);
        let text = "one\ntwo\nthree\nC four\nfive\nsix\n".repeat(3);
        world.add(0, Spec::new(Split::Blocks(8), Merge::Concat, [Input::File(text.into_bytes())]).skipping());
        finish_with(&mut world, effort);
        world.assert_done(JOB);
        let mut world = World::new(2);
        let files = ["one", "", "C", "four", "C"].map(|text| Input::File(text.as_bytes().to_vec()));
        world.add(0, Spec::new(Split::Whole, Merge::Lines, files).batches_of(5).skipping());
        finish_with(&mut world, effort);
        assert_eq!(failed(&world), [(2, "crash", 2), (4, "crash", 2)]);
        world.assert_done(JOB);
    }
}

#[test]
fn a_late_item_is_condemned_at_once() {
    let mut world = World::new(1);
    world.add(0, skipping(records(20, &[7], 'D')).batches_of(10));
    world.finish();
    assert_eq!(failed(&world), [(7, "deadline", 1)]);
    assert_eq!((runs(&world, 7), world.deaths), (1, 1));
    assert_eq!(world.jobs[&JOB].failed[0].verdict, Verdict::Deadline(Duration::from_secs(1)));
    world.assert_done(JOB);
}

#[test]
fn late_in_a_packed_call_its_items_are_run_one_by_one() {
    let mut world = World::new(1);
    world.add(0, skipping(records(20, &[7], 'D')).batches_of(10));
    finish_with(&mut world, Effort::PACKED);
    assert_eq!(failed(&world), [(7, "deadline", 1)]);
    assert_eq!(world.deaths, 2, "the call, and then the item");
    world.assert_done(JOB);
}

#[test]
fn items_that_are_only_slow_together_lose_nothing() {
    let mut world = World::new(2);
    world.add(0, skipping(records(40, &[], '-')).batches_of(10));
    finish_with(&mut world, Effort { slow_packs: true, ..Effort::PACKED });
    assert_eq!(failed(&world), []);
    assert!(world.deaths > 0);
    world.assert_done(JOB);
}

#[test]
fn late_between_items_is_nobodys_fault() {
    let mut world = World::new(1);
    world.add(0, Spec::lines([numbered(20)]));
    world.wait();
    world.die(A, Verdict::Deadline(Duration::from_secs(1)), "was late", 0);
    world.finish();
    world.assert_done(JOB);
}

#[test]
fn an_item_whose_workers_are_killed_is_run_as_often_as_allowed() {
    for (letter, expected, deaths) in [('L', vec![], 2), ('K', vec![(7, "killed", 3)], 3)] {
        let mut world = World::new(1);
        world.add(0, skipping(records(20, &[7], letter)).batches_of(10));
        world.finish();
        assert_eq!((failed(&world), world.deaths), (expected, deaths));
        assert_eq!(runs(&world, 7), 3);
        world.assert_done(JOB);
    }
}

#[test]
fn without_retries_a_killed_item_has_failed() {
    let mut world = World::with_rules(1, 1, Rules { retries: 0, recycle: None });
    let job = world.add(0, Spec::new(Split::Records(5), Merge::Lines, [records(20, &[7], 'L')]));
    world.finish();
    assert_eq!((world.failed_item(job), world.first_failed(job).attempts), ((7, 0, 35), 1));
}

#[test]
fn a_job_that_fails_for_killed_workers_names_the_first_in_its_input() {
    let mut world = World::new(3);
    let spec = Spec::new(Split::Records(5), Merge::Lines, [records(30, &[4, 14, 24], 'K')]);
    let job = world.add(0, spec.batches_of(10));
    while let Some(next) = world.moves().last().copied() {
        world.make(next, Effort::FULL, usize::MAX);
    }
    assert_eq!(world.failed_item(job), (4, 0, 20));
    let failed = world.first_failed(job);
    assert_eq!((failed.verdict.name(), failed.attempts), ("killed", 3));
}

#[test]
fn what_was_only_waiting_is_never_charged() {
    let mut world = World::new(1);
    world.wait();
    world.add(1000, Spec::lines([numbered(1)]));
    world.finish();
    world.add(0, skipping(records(20, &[], '-')).batches_of(10));
    world.wait();
    // Whoever is at the first item of the first batch is killed, again and again; the second waits behind it.
    for _ in 0..3 {
        world.wait();
        let worker = *world.workers.keys().next_back().unwrap();
        let (_, _, at) = world.first_item(worker).unwrap();
        assert_eq!(world.pieces(worker.0, 0)[0].start, 0);
        world.die(worker, Verdict::OutOfMemory, "ran out of memory", at.encode());
    }
    world.finish();
    assert_eq!(failed_places(&world), [0]);
    assert_eq!(world.jobs[&JOB].failed[0].verdict, Verdict::OutOfMemory);
}

/// Places of the failed items.
fn failed_places(world: &World) -> Vec<u64> {
    world.reports(JOB).iter().map(|report| report.offset).collect()
}

#[test]
fn a_packed_call_that_is_too_much_for_the_machine_is_taken_apart() {
    let mut world = World::new(1);
    world.add(0, skipping(records(20, &[7], 'K')).batches_of(20));
    finish_with(&mut world, Effort::PACKED);
    assert_eq!(failed(&world), [(7, "killed", 3)]);
    world.assert_done(JOB);
}

#[test]
fn a_forbidden_system_call_ends_all_jobs() {
    let mut world = World::new(2);
    let jobs = [0, 1, 2].map(|number| world.add(number, Spec::lines([numbered(1000)]).skipping()));
    world.wait();
    world.die(A, Verdict::SandboxViolation, "died of signal 31", 0);
    for job in jobs {
        let Some(JobFailure::Violation(text)) = &world.outcomes[&job].failure else { panic!("{:?}", world.outcomes) };
        assert!(text.contains("system call that is forbidden"), "{text}");
    }
    // Nor is one begun that comes later.
    let late = world.add(3, Spec::lines([numbered(10)]));
    world.wait();
    assert!(matches!(world.outcomes[&late].failure, Some(JobFailure::Violation(_))), "{:?}", world.outcomes);
    world.finish();
}

#[test]
fn a_forbidden_system_call_of_a_worker_without_work_counts_too() {
    let mut world = World::new(2);
    world.wait();
    world.die(A, Verdict::SandboxViolation, "died of signal 31", 0);
    let job = world.add(0, Spec::lines([numbered(1000)]));
    world.finish();
    assert!(matches!(world.outcomes[&job].failure, Some(JobFailure::Violation(_))), "{:?}", world.outcomes);
}

#[test]
fn a_combine_that_crashes_twice_or_is_late_fails_the_job() {
    for (verdict, deaths, expected) in [
        (
            Verdict::Crash("died".into()),
            2,
            "the kernel's `combine` was lost twice: the last worker died; nothing was written for it",
        ),
        (
            Verdict::Killed("died".into()),
            3,
            "the kernel's `combine` was lost 3 times: the last worker died; nothing was written for it",
        ),
        (
            Verdict::Deadline(Duration::from_secs(1)),
            1,
            "the kernel's `combine` failed: it took longer than the 1s that --timeout allows",
        ),
    ] {
        let mut world = World::new(1);
        world.add(0, Spec::new(Split::Records(5), Merge::Reduce, [numbered(20)]).skipping().batches_of(5));
        for _ in 0..deaths {
            let worker = run_up_to_combine(&mut world);
            let batch = world.queue(worker.0)[0];
            let at = Progress { batch, piece: 0, offset: 0, packed: false };
            world.die(worker, verdict.clone(), "died", at.encode());
        }
        world.finish();
        let failure = world.outcomes[&JOB].failure.clone().unwrap();
        assert_eq!(failure.to_string(), expected);
        assert!(world.reports(JOB).is_empty(), "no item is to blame");
    }
}

/// Has everything happen until a worker is to join results. Returns that worker.
fn run_up_to_combine(world: &mut World) -> WorkerId {
    loop {
        let joins = |next: &Move| matches!(next, Move::Reply(id) if matches!(world.workers[id].queue[0].0.task, Task::Combine(_)));
        let next = world.moves()[0];
        match next {
            Move::Reply(id) if joins(&next) => return id,
            _ => world.make(next, Effort::FULL, usize::MAX),
        }
    }
}
