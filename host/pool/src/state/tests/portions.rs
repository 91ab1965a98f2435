//! Portions of a run, each run by itself, are the run.

use taskhost_protocol::ids::{JobId, SourceId};
use taskhost_protocol::work::{Merge, Split};

use super::input::{Input, Spec, numbered};
use super::world::World;
use crate::event::{DirectLength, DoneRange, Placement, Portion};

/// Runs the portion of a single input between two bytes.
fn run(spec: &Spec, (start, end): (u64, u64)) -> World {
    let mut spec = spec.clone();
    let portion = Portion { base: 0, start, last: 0, end };
    spec.plan.portion = Some(portion);
    spec.plan.bytes = Some(end - start);
    let mut world = World::new(2);
    world.add(0, spec);
    world.finish();
    assert_eq!(world.outcomes[&JobId(0)].failure, None);
    world
}

fn whole(spec: &Spec) -> World {
    let mut world = World::new(3);
    let job = world.add(0, spec.clone());
    world.finish();
    world.assert_done(job);
    world
}

/// Every pair of neighbours.
fn between(cuts: &[u64]) -> impl Iterator<Item = (u64, u64)> + '_ {
    cuts.windows(2).map(|pair| (pair[0], pair[1]))
}

#[test]
fn appended_results_follow_each_other() {
    for cuts in [&[0, 1, 7, 500, 501, 750][..], &[0, 375, 750]] {
        let spec = Spec::new(Split::Lines, Merge::Lines, [numbered(150)]).batches_of(9);
        let mut output = Vec::new();
        for range in between(cuts) {
            output.extend_from_slice(&run(&spec, range).outcomes[&JobId(0)].output);
        }
        assert_eq!(output, whole(&spec).outcomes[&JobId(0)].output);
    }
}

#[test]
fn results_that_go_to_their_places_begin_with_the_portion() {
    let mut spec = Spec::new(Split::Records(5), Merge::Concat, [numbered(150)]).batches_of(7);
    for (length, bytes) in [(DirectLength::Same, 0), (DirectLength::Exactly(3), 3)] {
        spec.plan.placement = Placement::Direct(length);
        if let DirectLength::Exactly(len) = length {
            spec.plan.length = taskhost_protocol::kernel::ResultLength::Exactly(len);
        }
        let mut output = Vec::new();
        for range in between(&[0, 5, 300, 750]) {
            let own = run(&spec, range).outcomes[&JobId(0)].output.clone();
            let expected = if bytes > 0 { (range.1 - range.0) / 5 * bytes } else { range.1 - range.0 };
            assert_eq!(own.len() as u64, expected);
            output.extend_from_slice(&own);
        }
        assert_eq!(output, whole(&spec).outcomes[&JobId(0)].output);
    }
}

#[test]
fn a_reduction_of_portions_makes_the_same_calls() {
    for (split, cuts) in [
        (Split::Lines, &[0, 3, 250, 251, 640, 750][..]),
        (Split::Records(5), &[0, 5, 85, 750]),
        (Split::Records(5), &[0, 750]),
        (Split::Blocks(50), &[0, 100, 700, 750]),
    ] {
        let spec = Spec::new(split, Merge::Reduce, [numbered(150)]).batches_of(4);
        let mut merged = World::new(2);
        let mut before = None;
        let mut reduced = Vec::new();
        for (start, end) in between(cuts) {
            let mut world = run(&spec, (start, end));
            let totals = world.outcomes[&JobId(0)].totals.clone();
            let mut fake = world.jobs.remove(&JobId(0)).expect("it was run");
            let (parts, bytes) = fake.handed_over.take().expect("its parts");
            let counters = totals.counters.into_iter().collect();
            let items = totals.items;
            let range = DoneRange { source: SourceId(0), start, end, items, failed: Vec::new(), counters, parts };
            reduced.push((range, bytes));
            before = Some(fake);
        }
        let mut before = before.expect("one at least");
        before.reduced = reduced;
        before.output.clear();
        merged.resume(JobId(0), spec.clone(), before);
        merged.finish();
        // Every call of `combine` shows in the result, and the world compares it with the tree of one pass.
        merged.assert_done(JobId(0));
        assert!(merged.jobs[&JobId(0)].runs.is_empty(), "no item is run again");
    }
}

#[test]
fn an_input_in_the_middle_of_a_run_keeps_its_positions() {
    // Of two inputs, the second alone: its nodes are those of the whole run.
    let spec = Spec::new(Split::Records(5), Merge::Reduce, [Input::File(b"aaaa\nbbbb\ncccc\n".to_vec())]);
    let mut second = spec.clone();
    second.plan.portion = Some(Portion { base: 14, start: 0, last: 0, end: 15 });
    let mut world = World::new(1);
    let job = world.add(0, second);
    world.finish();
    let (parts, _) = world.jobs[&job].handed_over.clone().expect("its parts");
    let nodes: Vec<(u8, u64)> = parts.iter().map(|part| (part.level, part.index)).collect();
    assert_eq!(nodes, [(0, 14), (0, 15), (0, 16)], "14 and 15 belong to one node, 16 to the next");
}
