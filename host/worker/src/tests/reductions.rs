//! Reductions with failed items in them: partials of what is left, and joins that fail.

use taskhost_data::tree::check_partials;
use taskhost_protocol::message::Fresh;
use taskhost_protocol::work::{Care, Merge, Split};

use super::bench::{Bench, FAILS, batch, bench, failed, raw_with, skipping};

/// Joins parts by laying their bytes end to end behind each other, with `combine` like the contract says.
const JOIN: &str = r#"
    (func (export "taskhost_combine") (param $at i32) (param $len i32) (result i64)
        (local $head i32)
        (local.set $head (i32.add (i32.const 4) (i32.shl (i32.load (local.get $at)) (i32.const 2))))
        (call $place (i32.add (local.get $at) (local.get $head)) (i32.sub (local.get $len) (local.get $head))))
    (func (export "taskhost_finish") (param $at i32) (param $len i32) (result i64)
        (call $place (local.get $at) (local.get $len)))"#;

fn joins() -> Bench {
    bench(raw_with("", FAILS, JOIN).as_bytes(), Fresh::Worker, &[])
}

#[test]
fn partials_are_valid_around_failed_items() {
    let mut bench = joins();
    let mut input = vec![b'x'; 100];
    (input[0], input[20], input[99]) = (b'b', b't', b'b');
    bench.input(&input);
    let mut batch = batch(Split::Records(1), Merge::Reduce, 100);
    batch.care = skipping();
    let (done, output) = bench.run(batch);
    assert_eq!((done.items, done.joining, output.len()), (100, None, 97));
    assert_eq!(check_partials(0, 100, &done.partials, done.output), Ok(()));
    let failures: Vec<u64> = done.failures.iter().map(|failure| failure.place.offset).collect();
    assert_eq!(failures, [0, 20, 99]);
}

#[test]
fn an_item_that_is_left_out_leaves_no_part() {
    let mut bench = joins();
    bench.input(&[b'x'; 20]);
    let mut batch = batch(Split::Records(1), Merge::Reduce, 20);
    batch.care = Care { leave_out_first: true, ..Care::default() };
    let (done, output) = bench.run(batch);
    assert_eq!((failed(&done), output.len()), (vec![(0, 1, 0, 0, 0)], 19));
    assert_eq!(check_partials(0, 20, &done.partials, done.output), Ok(()));
}

#[test]
fn what_fails_in_combine_is_no_items_fault() {
    let traps = r#"
        (func (export "taskhost_combine") (param i32 i32) (result i64) unreachable)
        (func (export "taskhost_finish") (param i32 i32) (result i64) (i64.const 0))"#;
    for (items, when) in [(40, "as items are made"), (16, "at the end")] {
        let mut bench = bench(raw_with("", FAILS, traps).as_bytes(), Fresh::Worker, &[]);
        bench.input(&vec![b'x'; items]);
        let mut batch = batch(Split::Records(1), Merge::Reduce, items as u64);
        batch.care = skipping();
        let (done, _) = bench.run(batch);
        let text = done.joining.expect("it cannot join").to_string();
        assert!(text.contains("(in its `combine`)"), "{when}: {text}");
        assert_eq!((done.failures.len(), done.partials.len()), (0, 0), "{when}");
    }
}

#[test]
fn a_fresh_instance_for_each_item_joins_the_same() {
    let mut output = Vec::new();
    for fresh in [Fresh::Worker, Fresh::Item] {
        let mut bench = bench(raw_with("", FAILS, JOIN).as_bytes(), fresh, &[]);
        bench.input(&(0..70).collect::<Vec<u8>>());
        output.push(bench.run(batch(Split::Records(1), Merge::Reduce, 70)).1);
    }
    assert_eq!(output[0], output[1]);
}
