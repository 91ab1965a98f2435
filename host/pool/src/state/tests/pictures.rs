//! Pictures: decoded, planned by the kernel, filtered in strips, encoded.

use taskhost_protocol::ids::WorkerId;
use taskhost_protocol::picture::{Cut, Format, PicturePlan, Sample};

use super::filter::PictureSpec;
use super::worker::Effort;
use super::world::{Move, PICTURE_AT, World};
use crate::event::{Destination, Event, JobFailure, OnError, PictureJobPlan, Post, Task};
use crate::state::sizing::BatchRule;

const A: WorkerId = WorkerId(0);

/// A picture of 90 rows that becomes one of two bytes for each sample.
fn spec() -> PictureSpec {
    let format = Format { width: 5, height: 90, channels: 1, sample: Sample::U8 };
    let kernel = PicturePlan { cut: Cut::Strips { halo: 1 }, output: Format { sample: Sample::U16, ..format } };
    let plan = PictureJobPlan {
        format: Some(format),
        planes: 1,
        at: 128,
        direct: true,
        encode: false,
        batch: BatchRule::Auto,
        on_error: OnError::Fail,
        rows: None,
    };
    PictureSpec { plan, format, kernel, bad: Vec::new() }
}

/// A file that is decoded and whose result is encoded.
fn file_spec() -> PictureSpec {
    let spec = spec();
    PictureSpec { plan: PictureJobPlan { format: None, at: 0, encode: true, ..spec.plan }, ..spec }
}

#[test]
fn rows_go_to_their_places() {
    let mut world = World::new(2);
    let job = world.add_picture(0, spec());
    world.wait();
    assert!(matches!(world.workers[&A].queue[0].0.task, Task::Prepare(_)));
    world.reply(A, Effort::FULL);
    world.wait();
    let (order, _) = &world.workers[&WorkerId(1)].queue[0];
    let Task::Rows(rows) = &order.task else { panic!("rows are next") };
    assert!(rows.first > 0, "the first rows went to the other worker");
    assert_eq!(order.destination, Destination::Output(PICTURE_AT + u64::from(rows.first) * 10));
    world.finish();
    world.assert_done(job);
}

#[test]
fn a_file_goes_through_all_stages() {
    let mut world = World::new(2);
    let job = world.add_picture(0, file_spec());
    let mut stages = Vec::new();
    while let Some(next) = world.moves().first().copied() {
        if let Move::Reply(worker) = next {
            let task = &world.workers[&worker].queue[0].0.task;
            stages.push(match task {
                Task::Decode => "decode",
                Task::Prepare(_) => "prepare",
                Task::Rows(_) => "rows",
                Task::Encode(_) => "encode",
                Task::Items(_) | Task::Combine(_) | Task::Finish(_) => panic!("not of a picture: {task:?}"),
            });
        }
        world.make(next, Effort::FULL, 1);
    }
    world.assert_done(job);
    stages.dedup();
    assert_eq!(stages, ["decode", "prepare", "rows", "encode"]);
    assert_eq!(world.workers.values().filter(|worker| worker.post == Post::Convert).count(), 1);
}

#[test]
fn rows_that_are_appended_keep_their_order() {
    let mut world = World::new(2);
    let spec = PictureSpec { plan: PictureJobPlan { direct: false, planes: 3, ..spec().plan }, ..spec() };
    let job = world.add_picture(0, spec);
    while let Some(next) = world.moves().last().copied() {
        world.make(next, Effort::stop_after(4), 1);
    }
    world.assert_done(job);
    world.assert_clean();
}

#[test]
fn a_picture_that_cannot_be_cut_is_not_cut() {
    let mut world = World::new(2);
    let output = Format { width: 7, height: 3, ..spec().format };
    let spec = PictureSpec { kernel: PicturePlan { cut: Cut::Whole, output }, ..spec() };
    let job = world.add_picture(0, PictureSpec { plan: PictureJobPlan { planes: 2, ..spec.plan }, ..spec });
    world.finish();
    world.assert_done(job);
}

#[test]
fn a_number_of_rows_is_a_number_of_rows() {
    let mut world = World::new(1);
    let spec = PictureSpec { plan: PictureJobPlan { batch: BatchRule::Items(20), ..spec().plan }, ..spec() };
    let job = world.add_picture(0, spec);
    world.wait();
    world.reply(A, Effort::FULL);
    world.wait();
    let Task::Rows(rows) = world.workers[&A].queue[0].0.task else { panic!("rows are next") };
    assert_eq!((rows.first, rows.count), (0, 20));
    world.finish();
    world.assert_done(job);
}

/// The same, going on without rows that fail, of which there are some of each kind.
fn bad_spec() -> PictureSpec {
    let bad =
        vec![(0, 0, b'X'), (0, 7, b'C'), (0, 8, b'D'), (0, 30, b'K'), (0, 31, b'F'), (0, 50, b'L'), (0, 89, b'C')];
    PictureSpec { plan: PictureJobPlan { on_error: OnError::Skip, ..spec().plan }, bad, ..spec() }
}

#[test]
fn rows_that_fail_are_black_and_all_others_are_as_without_them() {
    for effort in [Effort::FULL, Effort::PACKED, Effort { pack: 100, ..Effort::FULL }] {
        for direct in [true, false] {
            let mut world = World::new(2);
            let spec = bad_spec();
            let spec = PictureSpec { plan: PictureJobPlan { direct, ..spec.plan }, ..spec };
            let job = world.add_picture(0, spec);
            while let Some(next) = world.moves().last().copied() {
                world.make(next, effort, 1);
            }
            let verdicts: Vec<_> = world.reports(job).iter().map(|report| (report.offset, report.verdict)).collect();
            let expected = [(0, "kernel-error"), (7, "crash"), (8, "deadline"), (30, "killed"), (89, "crash")];
            assert_eq!(verdicts, expected);
            world.assert_done(job);
        }
    }
}

#[test]
fn a_row_that_crashes_and_is_not_named_is_narrowed_down() {
    let mut world = World::new(1);
    let spec = PictureSpec { bad: vec![(0, 41, b'C')], ..bad_spec() };
    let job = world.add_picture(0, spec);
    while let Some(next) = world.moves().first().copied() {
        world.make(next, Effort::SILENT, 1);
    }
    assert_eq!(world.reports(job).iter().map(|report| report.offset).collect::<Vec<_>>(), [41]);
    world.assert_done(job);
}

#[test]
fn a_row_that_fails_fails_a_picture_that_must_be_whole() {
    for (letter, verdict) in [(b'X', "kernel-error"), (b'C', "crash"), (b'D', "deadline"), (b'K', "killed")] {
        let mut world = World::new(2);
        let job = world.add_picture(0, PictureSpec { bad: vec![(0, 41, letter), (0, 80, b'X')], ..spec() });
        while let Some(next) = world.moves().last().copied() {
            world.make(next, Effort::PACKED, 1);
        }
        let failed = world.first_failed(job);
        assert_eq!((failed.place.offset, failed.verdict.name(), failed.filled), (41, verdict, 0));
    }
}

#[test]
fn a_picture_that_is_not_cut_fails_as_a_whole() {
    let output = Format { width: 7, height: 3, ..spec().format };
    for (letter, verdict, attempts) in
        [(b'X', "kernel-error", 1), (b'C', "crash", 2), (b'D', "deadline", 1), (b'K', "killed", 3)]
    {
        let mut world = World::new(1);
        let kernel = PicturePlan { cut: Cut::Whole, output };
        let job = world.add_picture(0, PictureSpec { kernel, bad: vec![(0, 0, letter)], ..bad_spec() });
        world.finish();
        let failed = world.first_failed(job);
        assert_eq!((failed.verdict.name(), failed.attempts, failed.len), (verdict, attempts, 5 * 90));
        assert!(world.reports(job).is_empty());
    }
}

#[test]
fn a_picture_that_cannot_be_decoded_fails_alone() {
    let mut world = World::new(1);
    let bad = world.add_picture(0, file_spec());
    let good = world.add_picture(1, file_spec());
    world.wait();
    let convert = *world.workers.iter().find(|(_, worker)| worker.post == Post::Convert).unwrap().0;
    assert_eq!(world.workers[&convert].queue.len(), 1, "one picture at a time");
    world.workers.get_mut(&convert).unwrap().queue.pop_front();
    let failure = JobFailure::Input("not a PNG file".into());
    world.tell(Event::Decoded { worker: convert, result: Err(failure.clone()) });
    world.finish();
    assert_eq!(world.outcomes[&bad].failure, Some(failure));
    world.assert_done(good);
}

#[test]
fn a_plan_that_cannot_be_is_the_kernels_fault() {
    let mut world = World::new(1);
    let output = Format { height: 3, ..spec().format };
    let kernel = PicturePlan { cut: Cut::Strips { halo: 1 }, output };
    let job = world.add_picture(0, PictureSpec { kernel, ..spec() });
    world.finish();
    assert!(matches!(world.outcomes[&job].failure, Some(JobFailure::Kernel(_))), "{:?}", world.outcomes[&job]);
}

#[test]
fn a_convert_worker_that_dies_is_replaced() {
    let mut world = World::new(1);
    let job = world.add_picture(0, file_spec());
    world.wait();
    let convert = *world.workers.iter().find(|(_, worker)| worker.post == Post::Convert).unwrap().0;
    world.exit(convert, "was in the way");
    world.finish();
    world.assert_done(job);
    assert_eq!(world.spawned, 2);
}
