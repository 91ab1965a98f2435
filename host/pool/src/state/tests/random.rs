//! Any inputs, any number of workers, anything that may happen in any order: the results are always those of one pass.

use proptest::prelude::*;
use proptest::sample::Index;
use taskhost_protocol::ids::{JobId, WorkerId};
use taskhost_protocol::picture::{Cut, Format, PicturePlan, Sample};
use taskhost_protocol::work::{Merge, Split};

use super::filter::PictureSpec;
use super::input::{Input, Spec};
use super::worker::Effort;
use super::world::{Move, Phase, STEPS, World};
use crate::event::{DirectLength, Event, ItemsPlan, JobFailure, OnError, PictureJobPlan};
use crate::state::sizing::BatchRule;
use crate::state::window::WINDOW;

/// One step of a run: which of the possible moves, and how it goes.
#[derive(Clone, Copy, Debug)]
struct Step {
    which: Index,
    effort: Effort,
    bytes: usize,
    /// Whether a worker dies first.
    death: Option<Index>,
}

fn effort() -> impl Strategy<Value = Effort> {
    let items = prop_oneof![3 => Just(u64::MAX), 1 => 1u64..20];
    // From no time to so long that the next batch is one byte.
    let nanos = prop_oneof![Just(0u64), 1u64..100_000, 1u64..100_000_000, Just(u64::MAX)];
    (items, nanos).prop_map(|(items, nanos)| Effort { items, nanos, ..Effort::FULL })
}

fn step(deaths: bool) -> impl Strategy<Value = Step> {
    let death = if deaths {
        prop_oneof![9 => Just(None), 1 => any::<Index>().prop_map(Some)].boxed()
    } else {
        Just(None).boxed()
    };
    let bytes = prop_oneof![1usize..10, 1usize..500, Just(usize::MAX)];
    (any::<Index>(), effort(), bytes, death).prop_map(|(which, effort, bytes, death)| Step {
        which,
        effort,
        bytes,
        death,
    })
}

/// Lines of any length, and none.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![4 => "[a-c]{0,6}", 1 => "[a-c]{10,60}"];
    (prop::collection::vec(line, 0..60), any::<bool>()).prop_map(|(lines, ends)| {
        let mut text = lines.join("\n").into_bytes();
        if ends && !text.is_empty() {
            text.push(b'\n');
        }
        text
    })
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![2 => text().prop_map(Input::File), 1 => text().prop_map(Input::Pipe)]
}

fn split() -> impl Strategy<Value = Split> {
    prop_oneof![
        2 => Just(Split::Lines),
        1 => (1u64..40).prop_map(Split::Blocks),
        1 => Just(Split::Whole),
        1 => (1u64..10).prop_map(Split::Chunks),
    ]
}

fn batch_rule() -> impl Strategy<Value = BatchRule> {
    prop_oneof![2 => Just(BatchRule::Auto), 1 => (1u64..12).prop_map(BatchRule::Items)]
}

/// A job in which no item fails.
fn spec(merge: impl Strategy<Value = Merge>) -> impl Strategy<Value = Spec> {
    let inputs = prop_oneof![3 => prop::collection::vec(input(), 0..4), 1 => prop::collection::vec(input(), 10..30)];
    let flags = (any::<bool>(), any::<bool>(), 0u8..3, prop_oneof![Just(1u64), Just(1 << 20), Just(4 << 20)]);
    (inputs, split(), merge, batch_rule(), flags).prop_map(|(inputs, split, merge, batch, flags)| {
        let (header, knows_bytes, direct, scale) = flags;
        let mut spec = Spec::new(split, merge, inputs);
        spec.plan.batch = batch;
        spec.plan.bytes = spec.plan.bytes.filter(|_| knows_bytes);
        spec.header = header && matches!(split, Split::Lines | Split::Blocks(_));
        spec.scale = scale;
        if merge == Merge::Concat && matches!(split, Split::Chunks(_) | Split::Whole) && direct < 2 {
            spec.scale = 1;
            let length = if direct == 0 { DirectLength::Same } else { DirectLength::Exactly(3) };
            spec = spec.direct(length);
        }
        spec
    })
}

fn any_merge() -> impl Strategy<Value = Merge> {
    prop_oneof![Just(Merge::Concat), Just(Merge::Lines), Just(Merge::Reduce), Just(Merge::Discard)]
}

/// Has the steps happen, and then whatever is left, until the world comes to rest.
fn run(world: &mut World, steps: &[Step]) {
    let mut starts = 0;
    let mut happened = 0;
    let mut steps = steps.iter();
    loop {
        let moves = world.moves();
        if moves.is_empty() {
            break;
        }
        happened += 1;
        assert!(happened < STEPS, "it does not come to an end");
        let Some(step) = steps.next() else {
            let calm = Effort::FULL;
            // From the back, so that what came first waits longest.
            world.make(moves[moves.len() - 1], calm, 100);
            continue;
        };
        if let Some(death) = step.death {
            let may_die = |world: &World, id: &WorkerId| {
                let worker = &world.workers[id];
                match worker.phase {
                    // More would be a reason to give up.
                    Phase::Starting => starts < 2,
                    // A batch may lose its worker once.
                    Phase::Ready => worker.queue.front().is_none_or(|(order, _)| order.generation.0 == 0),
                    Phase::Killed => false,
                }
            };
            let mortals: Vec<WorkerId> = world.workers.keys().copied().filter(|id| may_die(world, id)).collect();
            if !mortals.is_empty() {
                let id = *death.get(&mortals);
                starts += usize::from(world.workers[&id].phase == Phase::Starting);
                world.exit(id, "was in the way");
                continue;
            }
        }
        let next = *step.which.get(&moves);
        world.make(next, step.effort, step.bytes);
    }
    world.assert_clean();
    assert!(world.kills.is_empty(), "honest workers are never ended: {:?}", world.kills);
}

/// What was held was bounded by the window of each job, and by what was under way when it was full.
fn assert_bounded(world: &World, workers: u64) {
    let jobs = world.jobs.len() as u64;
    let bound = jobs * WINDOW + (2 * workers + jobs) * world.largest_batch;
    assert!(world.most_held <= bound, "{} of {bound}", world.most_held);
}

proptest! {
    #[test]
    fn ordered_results_are_those_of_one_pass(
        specs in prop::collection::vec(spec(any_merge()), 1..4),
        workers in 1usize..5,
        started in 0usize..5,
        steps in prop::collection::vec(step(true), 0..400),
    ) {
        let mut world = World::with_started(workers, started.min(workers));
        for (number, spec) in (0..).zip(specs.clone()) {
            world.add(number, spec);
        }
        run(&mut world, &steps);
        for number in 0..specs.len() as u64 {
            world.assert_done(JobId(number));
        }
        assert_bounded(&world, workers as u64);
    }

    #[test]
    fn without_order_nothing_is_lost_or_made_twice(
        spec in spec(Just(Merge::Lines)),
        workers in 1usize..5,
        steps in prop::collection::vec(step(true), 0..400),
    ) {
        let mut world = World::new(workers);
        let job = world.add(0, spec.unordered());
        run(&mut world, &steps);
        prop_assert_eq!(&world.outcomes[&job].failure, &None);
        let sorted = |text: &[u8]| {
            let mut lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            lines.sort_unstable();
            lines
        };
        prop_assert_eq!(sorted(&world.outcomes[&job].output), sorted(&world.expected(job)));
    }

    #[test]
    fn of_all_failed_items_the_first_is_named(
        spec in spec(prop_oneof![Just(Merge::Lines), Just(Merge::Concat), Just(Merge::Reduce)]),
        bad in prop::collection::vec(any::<Index>(), 1..5),
        workers in 1usize..5,
        steps in prop::collection::vec(step(true), 0..400),
    ) {
        let mut spec = spec;
        let well = spec.clone();
        let places: Vec<(usize, u64)> = spec.items().iter().filter(|item| !item.bytes.is_empty() && item.bytes[0] != b'\n')
            .map(|item| (item.source.0 as usize, item.offset)).collect();
        if places.is_empty() {
            return Ok(());
        }
        for index in bad {
            let (source, offset) = *index.get(&places);
            match &mut spec.inputs[source] {
                Input::File(bytes) | Input::Pipe(bytes) => bytes[offset as usize] = b'X',
            }
        }
        let items = spec.items();
        let first = items.iter().position(|item| item.bytes.contains(&b'X')).expect("there is one");
        let mut world = World::new(workers);
        let job = world.add(0, spec.clone());
        run(&mut world, &steps);
        let named = world.failed_item(job);
        prop_assert_eq!(named, (first as u64, items[first].source.0, items[first].offset));
        if spec.plan.placement == crate::event::Placement::Append && spec.plan.merge != Merge::Reduce {
            // What comes before it was merged in order, and nothing else.
            let expected = Spec { inputs: spec.inputs.clone(), ..well };
            let results = items[..first].iter().flat_map(|item| {
                let end: &[u8] = if spec.plan.merge == Merge::Lines { b"\n" } else { b"" };
                [expected.result(&item.bytes).expect("it is before the first that fails").as_slice(), end].concat()
            });
            let before: Vec<u8> = results.collect();
            prop_assert!(before.starts_with(&world.jobs[&job].output));
        }
    }

    #[test]
    fn a_job_that_breaks_leaves_nothing_behind(
        specs in prop::collection::vec(spec(any_merge()), 2..4),
        workers in 1usize..4,
        steps in prop::collection::vec(step(true), 0..200),
        breaks in 0usize..200,
    ) {
        let mut world = World::new(workers);
        for (number, spec) in (0..).zip(specs.clone()) {
            world.add(number, spec);
        }
        for step in steps.iter().take(breaks) {
            let moves = world.moves();
            if moves.is_empty() {
                break;
            }
            world.make(*step.which.get(&moves), step.effort, step.bytes);
        }
        world.tell(Event::JobBroken { job: JobId(0), failure: JobFailure::ReaderGone });
        run(&mut world, &steps[breaks.min(steps.len())..]);
        prop_assert!(matches!(world.outcomes[&JobId(0)].failure, None | Some(JobFailure::ReaderGone)));
        for number in 1..specs.len() as u64 {
            world.assert_done(JobId(number));
        }
    }

    #[test]
    fn pictures_come_out_whole(
        height in 1u32..200,
        planes in 1u32..4,
        halo in prop::option::of(0u32..30),
        flags in (any::<bool>(), any::<bool>(), any::<bool>()),
        batch in batch_rule(),
        workers in 1usize..5,
        steps in prop::collection::vec(step(true), 0..200),
    ) {
        let (decode, direct, encode) = flags;
        let format = Format { width: 40, height, channels: 1, sample: Sample::U8 };
        let kernel = match halo {
            Some(halo) => PicturePlan { cut: Cut::Strips { halo }, output: Format { channels: 2, ..format } },
            None => PicturePlan { cut: Cut::Whole, output: Format { width: 3, height: 5, ..format } },
        };
        // What is encoded is made in one piece before.
        let plan = PictureJobPlan {
            format: (!decode).then_some(format),
            planes,
            at: if decode { 0 } else { 80 },
            direct: direct || encode,
            encode,
            batch,
            on_error: OnError::Fail,
        };
        let mut world = World::new(workers);
        let jobs = [0, 1].map(|number| world.add_picture(number, PictureSpec { plan, format, kernel, bad: Vec::new() }));
        run(&mut world, &steps);
        for job in jobs {
            world.assert_done(job);
        }
    }
}

#[test]
fn a_slow_reader_is_waited_for() {
    let lines: Vec<u8> = (0..2000).flat_map(|number| format!("{number}\n").into_bytes()).collect();
    let spec = Spec::lines([Input::File(lines)]).batches_of(3).scaled(1 << 20);
    let spec = Spec { plan: ItemsPlan { bytes: None, ..spec.plan }, ..spec };
    let mut world = World::new(3);
    let job = world.add(0, spec);
    // A write happens only when nothing else can.
    while let Some(next) = world.moves().into_iter().min_by_key(|next| *next == Move::Write) {
        world.make(next, Effort::stop_after(2), 100);
    }
    world.assert_done(job);
    assert_bounded(&world, 3);
}
