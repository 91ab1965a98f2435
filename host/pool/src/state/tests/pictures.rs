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
