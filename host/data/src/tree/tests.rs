//! Both sides of the tree together, against the tree built in one pass.

use std::collections::BTreeMap;

use proptest::prelude::*;
use taskhost_protocol::work::Partial;

use super::*;

/// An operation whose result shows which calls made it.
fn bracket(parts: &[&[u8]]) -> Vec<u8> {
    let mut text = b"(".to_vec();
    text.extend(parts.join(&b' '));
    text.push(b')');
    text
}

/// The result and the calls of the tree by its definition: level by level over all items.
fn direct(items: &BTreeMap<u64, Vec<u8>>) -> (Option<Vec<u8>>, Vec<Vec<u8>>) {
    let mut calls = Vec::new();
    let mut nodes = items.clone();
    for _ in 0..TOP_LEVEL {
        let mut parents: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
        for (index, bytes) in nodes {
            parents.entry(index / 16).or_default().push(bytes);
        }
        nodes = parents
            .into_iter()
            .map(|(index, mut parts)| {
                if parts.len() == 1 {
                    return (index, parts.remove(0));
                }
                let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                calls.push(bracket(&slices));
                (index, bracket(&slices))
            })
            .collect();
    }
    (nodes.into_values().next(), calls)
}

/// A batch of items as a worker runs it.
fn local(items: &BTreeMap<u64, Vec<u8>>, start: u64, end: u64, calls: &mut Vec<Vec<u8>>) -> Vec<LocalPartial> {
    let mut combine = |parts: &[&[u8]]| {
        assert!(parts.len() >= 2, "a single part passes through");
        calls.push(bracket(parts));
        Ok::<_, std::convert::Infallible>(bracket(parts))
    };
    let mut tree = LocalTree::new(start);
    for (position, bytes) in items.range(start..end) {
        tree.push(*position, bytes, &mut combine).expect("cannot fail");
    }
    tree.finish(end, &mut combine).expect("cannot fail")
}

/// Makes the joins that are due.
fn join_all(plan: &mut TreePlan<Vec<u8>>, calls: &mut Vec<Vec<u8>>) {
    while let Some((node, parts)) = plan.next_join() {
        let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        calls.push(bracket(&slices));
        plan.joined(node, bracket(&slices));
    }
}

/// Items named after their positions.
fn items_at(positions: impl IntoIterator<Item = u64>) -> BTreeMap<u64, Vec<u8>> {
    positions.into_iter().map(|position| (position, position.to_string().into_bytes())).collect()
}

#[test]
fn a_batch_returns_its_largest_nodes() {
    let mut calls = Vec::new();
    let partials = local(&items_at(14..35), 14, 35, &mut calls);
    let nodes: Vec<(u8, u64)> = partials.iter().map(|partial| (partial.node.level, partial.node.index)).collect();
    assert_eq!(nodes, [(0, 14), (0, 15), (1, 1), (0, 32), (0, 33), (0, 34)]);
    assert_eq!(calls.len(), 1, "one call for the sixteen items of node (1, 1)");
}

#[test]
fn a_lonely_item_rises_to_the_largest_node() {
    let mut calls = Vec::new();
    let partials = local(&items_at([300]), 0, 4096, &mut calls);
    assert_eq!(partials, [LocalPartial { node: NodeId { level: 3, index: 0 }, bytes: b"300".to_vec() }]);
    assert!(calls.is_empty());
}

#[test]
fn no_items_have_no_result() {
    let mut plan = TreePlan::<Vec<u8>>::new();
    assert_eq!(plan.result(), None);
    plan.end(0);
    assert_eq!(plan.result(), Some(None));
    let mut plan = TreePlan::<Vec<u8>>::new();
    plan.end(100);
    assert_eq!(plan.result(), None, "positions below 100 may still have items");
    plan.cover(0, 100);
    assert_eq!(plan.into_result(), Some(None));
}

#[test]
fn one_item_is_the_result() {
    let mut plan = TreePlan::new();
    plan.add(NodeId { level: 0, index: 7 }, "seven");
    plan.end(8);
    assert_eq!(plan.result(), None);
    plan.cover(0, 8);
    assert_eq!(plan.next_join(), None);
    assert_eq!(plan.result(), Some(Some(&"seven")));
}

#[test]
fn the_last_positions_of_all_have_a_place() {
    let last = u64::MAX - 1;
    let mut plan = TreePlan::new();
    plan.add(NodeId { level: 0, index: 0 }, "first");
    plan.add(NodeId { level: 0, index: last }, "last");
    plan.cover(0, u64::MAX);
    plan.end(u64::MAX);
    let (node, parts) = plan.next_join().expect("two items");
    assert_eq!((node, parts), (NodeId::TOP, vec!["first", "last"]));
    plan.joined(node, "both");
    assert_eq!(plan.result(), Some(Some(&"both")));
    let mut calls = Vec::new();
    assert_eq!(local(&items_at([0, last]), 0, u64::MAX, &mut calls).len(), 2);
}

proptest! {
    #[test]
    fn however_it_is_cut_the_calls_are_the_same(
        positions in prop::collection::btree_set(prop_oneof![0u64..100, 0u64..5000, 0u64..1_000_000], 0..200),
        cuts in prop::collection::vec((prop_oneof![0u64..100, 0u64..5000, 0u64..1_000_000], any::<u32>()), 0..12),
        first in any::<u32>(),
        join_late: bool,
        end_early: bool,
    ) {
        let items = items_at(positions);
        let total = 1_000_000;
        // Ranges of positions, and a rank each: the order in which they end.
        let mut edges: Vec<(u64, u32)> = cuts;
        edges.extend([(0, first), (total, 0)]);
        edges.sort_unstable();
        let mut batches: Vec<(u64, u64, u32)> = edges.windows(2).map(|two| (two[0].0, two[1].0, two[0].1)).collect();
        batches.sort_unstable_by_key(|(.., rank)| *rank);

        let mut calls = Vec::new();
        let mut plan = TreePlan::new();
        if end_early {
            plan.end(total);
        }
        for (start, end, _) in batches {
            let partials = local(&items, start, end, &mut calls);
            let said: Vec<Partial> = partials
                .iter()
                .map(|partial| {
                    let len = partial.bytes.len() as u64;
                    Partial { level: partial.node.level, index: partial.node.index, len }
                })
                .collect();
            let written = said.iter().map(|partial| partial.len).sum();
            prop_assert_eq!(check_partials(start, end, &said, written), Ok(()));
            for partial in partials {
                plan.add(partial.node, partial.bytes);
            }
            plan.cover(start, end);
            if !join_late {
                join_all(&mut plan, &mut calls);
            }
        }
        if !end_early {
            prop_assert!(plan.result().is_none());
            plan.end(total);
        }
        join_all(&mut plan, &mut calls);

        let (expected, mut expected_calls) = direct(&items);
        prop_assert_eq!(plan.into_result(), Some(expected));
        calls.sort_unstable();
        expected_calls.sort_unstable();
        prop_assert_eq!(calls, expected_calls);
    }
}
