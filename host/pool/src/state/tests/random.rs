//! Any inputs, any number of workers, anything that may happen in any order: the results are always those of one pass.

use proptest::prelude::*;
use proptest::sample::Index;
use taskhost_protocol::ids::JobId;
use taskhost_protocol::picture::{Cut, Format, PicturePlan, Sample};
use taskhost_protocol::work::{Merge, Split};

use super::chaos::{Blow, Step, run};
use super::filter::PictureSpec;
use super::input::{Input, Spec};
use super::outcome::expected_failures;
use super::worker::{Effort, Tells};
use super::world::{Move, RETRIES, World};
use crate::event::{DirectLength, DoneRange, Event, ItemsPlan, JobFailure, OnError, PictureJobPlan, Placement};
use crate::state::Rules;
use crate::state::sizing::BatchRule;
use crate::state::window::WINDOW;

fn effort() -> impl Strategy<Value = Effort> {
    let items = prop_oneof![3 => Just(u64::MAX), 1 => 1u64..20];
    // From no time to so long that the next batch is one byte.
    let nanos = prop_oneof![Just(0u64), 1u64..100_000, 1u64..100_000_000, Just(u64::MAX)];
    let tells = prop_oneof![6 => Just(Tells::Truth), 1 => Just(Tells::Nothing), 1 => Just(Tells::AnotherBatch)];
    let packs = (prop_oneof![Just(1u64), 2u64..8], prop::bool::weighted(0.1));
    (items, nanos, packs, tells).prop_map(|(items, nanos, (pack, slow_packs), tells)| Effort {
        items,
        nanos,
        pack,
        slow_packs,
        tells,
    })
}

fn step(deaths: bool) -> impl Strategy<Value = Step> {
    let blow = prop_oneof![
        2 => Just(Blow::Kill),
        1 => Just(Blow::KillBetweenItems),
        1 => Just(Blow::CrashBetweenItems),
        2 => Just(Blow::KillAtItem),
        2 => Just(Blow::CrashAtItem),
    ];
    let death = if deaths {
        prop_oneof![9 => Just(None), 1 => (any::<Index>(), blow).prop_map(Some)].boxed()
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
        1 => Just(Split::Table),
    ]
}

fn batch_rule() -> impl Strategy<Value = BatchRule> {
    prop_oneof![2 => Just(BatchRule::Auto), 1 => (1u64..12).prop_map(BatchRule::Items)]
}

/// What is wrong with items that are not well, see [`super::worker::Fate::of`].
fn wrongs() -> impl Strategy<Value = Vec<(Index, u8)>> {
    let letter = prop::sample::select(b"XXCDKFL".to_vec());
    prop::collection::vec((any::<Index>(), letter), 0..6)
}

/// Makes items of a job go wrong. Returns false when there is none that could.
fn spoil(spec: &mut Spec, wrongs: &[(Index, u8)]) -> bool {
    let items = spec.items().into_iter().filter(|item| !item.bytes.is_empty() && item.bytes[0] != b'\n');
    let places: Vec<(usize, u64)> = items.map(|item| (item.source.0 as usize, item.offset)).collect();
    for (index, letter) in wrongs.iter().filter(|_| !places.is_empty()) {
        let (source, offset) = *index.get(&places);
        match &mut spec.inputs[source] {
            Input::File(bytes) | Input::Pipe(bytes) => bytes[offset as usize] = *letter,
        }
    }
    !places.is_empty()
}

/// A job in which no item fails.
fn spec(merge: impl Strategy<Value = Merge>) -> impl Strategy<Value = Spec> {
    let inputs = prop_oneof![3 => prop::collection::vec(input(), 0..4), 1 => prop::collection::vec(input(), 10..30)];
    let flags = (any::<bool>(), any::<bool>(), 0u8..3, prop_oneof![Just(1u64), Just(1 << 20), Just(4 << 20)]);
    (inputs, split(), merge, batch_rule(), flags).prop_map(|(inputs, split, merge, batch, flags)| {
        let (header, knows_bytes, direct, scale) = flags;
        let no_pipe = |input| match input {
            // Nobody hands items over through a pipe.
            Input::Pipe(bytes) if split == Split::Table => Input::File(bytes),
            input => input,
        };
        let mut spec = Spec::new(split, merge, inputs.into_iter().map(no_pipe));
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
    prop_oneof![Just(Merge::Concat), Just(Merge::Lines), Just(Merge::Reduce), Just(Merge::Discard), Just(Merge::Framed)]
}

/// What was held was bounded by the window of each job, and by what was under way when it was full.
fn assert_bounded(world: &World, workers: u64) {
    let jobs = world.jobs.len() as u64;
    let bound = jobs * WINDOW + (2 * workers + jobs) * world.largest_batch;
    assert!(world.most_held <= bound, "{} of {bound}", world.most_held);
}

/// Half as many cases as usual: each is a run of some hundred steps.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases / 2, ..usual }
}

proptest! {
    #![proptest_config(config())]

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
    fn bad_items_cost_themselves_and_nothing_else(
        jobs in prop::collection::vec((spec(any_merge()), wrongs(), prop::bool::weighted(0.2)), 1..3),
        workers in 1usize..5,
        recycle in prop::option::weighted(0.3, 1u64..30),
        steps in prop::collection::vec(step(true), 0..400),
    ) {
        let mut world = World::with_rules(workers, workers, Rules { retries: RETRIES, recycle });
        for (number, (spec, wrongs, is_unordered)) in (0..).zip(jobs.clone()) {
            let mut spec = spec.skipping();
            spoil(&mut spec, &wrongs);
            let is_appended = spec.plan.placement == Placement::Append && spec.plan.merge != Merge::Reduce;
            world.add(number, if is_unordered && is_appended { spec.unordered() } else { spec });
        }
        run(&mut world, &steps);
        for number in 0..jobs.len() as u64 {
            world.assert_done(JobId(number));
        }
        assert_bounded(&world, workers as u64);
    }

    #[test]
    fn of_all_failed_items_the_first_is_named(
        spec in spec(prop_oneof![Just(Merge::Lines), Just(Merge::Concat), Just(Merge::Reduce)]),
        wrongs in wrongs(),
        workers in 1usize..5,
        steps in prop::collection::vec(step(true), 0..400),
    ) {
        let mut spec = spec;
        spoil(&mut spec, &wrongs);
        let mut world = World::new(workers);
        let job = world.add(0, spec.clone());
        run(&mut world, &steps);
        let Some(first) = expected_failures(&spec).into_iter().next() else {
            world.assert_done(job);
            return Ok(());
        };
        prop_assert_eq!(&world.failure(job), &first);
        let number = first.number.expect("results have an order") as usize;
        prop_assert_eq!(world.outcomes[&job].totals.items, number as u64 + 1);
        if spec.plan.placement == Placement::Append && spec.plan.merge != Merge::Reduce {
            let before = spec.items()[..number].iter().flat_map(|item| spec.written(&item.bytes)).collect::<Vec<u8>>();
            prop_assert_eq!(&world.outcomes[&job].output, &before, "all that comes before it, and nothing else");
        }
    }

    #[test]
    fn what_does_not_fit_costs_itself_and_nothing_else(
        spec in spec(prop_oneof![Just(Merge::Lines), Just(Merge::Concat)]),
        wrongs in prop::collection::vec((any::<Index>(), prop::sample::select(b"MMMMXCDKFL".to_vec())), 0..8),
        flags in (any::<bool>(), any::<bool>()),
        workers in 1usize..5,
        steps in prop::collection::vec(step(true), 0..400),
    ) {
        let mut spec = spec.checked();
        spoil(&mut spec, &wrongs);
        let (skips, is_ordered) = flags;
        let mut world = World::new(workers);
        let plan = ItemsPlan { on_error: if skips { OnError::Skip } else { OnError::Fail }, ..spec.plan };
        // Without an order, no failure is the first.
        let plan = ItemsPlan { ordered: is_ordered || !skips, ..plan };
        let spec = Spec { plan, ..spec };
        let job = world.add(0, spec.clone());
        run(&mut world, &steps);
        match expected_failures(&spec).into_iter().next() {
            Some(first) if !skips => prop_assert_eq!(&world.failure(job), &first),
            _ => world.assert_done(job),
        }
    }

    #[test]
    fn a_job_goes_on_where_another_run_stopped(
        spec in spec(any_merge()),
        wrongs in wrongs(),
        workers in 1usize..4,
        steps in prop::collection::vec(step(false), 0..200),
        more in prop::collection::vec(step(true), 0..200),
    ) {
        let mut spec = spec.skipping();
        spoil(&mut spec, &wrongs);
        // What a pipe brought before is gone.
        spec.inputs = spec.inputs.into_iter().map(|input| Input::File(input.bytes().to_vec())).collect();
        let job = JobId(0);
        let mut first = World::new(workers);
        first.add(0, spec.clone());
        for step in &steps {
            let moves = first.moves();
            if moves.is_empty() {
                break;
            }
            first.make(*step.which.get(&moves), Effort { tells: Tells::Truth, ..step.effort }, step.bytes);
        }
        if first.outcomes.contains_key(&job) {
            return Ok(());
        }
        let mut before = first.stop(job);
        if spec.plan.merge == Merge::Reduce {
            // They are told again.
            before.failed.clear();
        }
        let prefix = before.prefix;
        let ranges: Vec<DoneRange> = before.reduced.iter().map(|(range, _)| range.clone()).collect();
        let mut second = World::new(workers);
        second.resume(job, spec, before);
        run(&mut second, &more);
        second.assert_done(job);
        for (source, offset) in second.jobs[&job].runs.keys().copied() {
            prop_assert!((source, offset) >= (prefix.source, prefix.offset), "it was merged before");
            let has_it = |range: &DoneRange| range.source == source && (range.start..range.end).contains(&offset);
            prop_assert!(!ranges.iter().any(has_it), "it was done before");
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
    fn pictures_come_out_without_exactly_the_rows_that_fail(
        height in 1u32..200,
        planes in 1u32..4,
        halo in prop::option::weighted(0.8, 0u32..30),
        bad in prop::collection::vec((any::<Index>(), any::<Index>(), prop::sample::select(b"XXCDKFL".to_vec())), 0..5),
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
        let bad: Vec<(u32, u32, u8)> = bad.iter().map(|(plane, row, letter)| {
            (plane.index(planes as usize) as u32, row.index(height as usize) as u32, *letter)
        }).collect();
        // A picture that is not cut is all or nothing.
        let bad = if halo.is_some() { bad } else { Vec::new() };
        let plan = PictureJobPlan {
            format: (!decode).then_some(format),
            planes,
            at: if decode { 0 } else { 80 },
            direct: direct || encode,
            encode,
            batch,
            on_error: OnError::Skip,
            rows: None,
        };
        let mut world = World::new(workers);
        let jobs = [0, 1].map(|number| world.add_picture(number, PictureSpec { plan, format, kernel, bad: bad.clone() }));
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
