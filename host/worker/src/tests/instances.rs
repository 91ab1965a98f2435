//! How long an instance is kept, and what outlives it.

use taskhost_protocol::fault::Fault;
use taskhost_protocol::message::Fresh;
use taskhost_protocol::work::{Care, Merge, Split};

use super::bench::{FAILS, batch, bench, failed, raw, raw_with, skipping};

/// `n` gives the number of items that this instance has run, as a digit.
const COUNT: &str = "
    (if (i32.eq (local.get $first) (i32.const 110)) (then
        (i32.store8 (i32.const 16) (i32.add (i32.const 48) (global.get $items)))
        (return (call $place (i32.const 16) (i32.const 1)))))";

#[test]
fn an_instance_is_kept_as_long_as_it_was_asked_for() {
    let expected = [
        (Fresh::Worker, "1\n2\n3\n", "4\n5\n6\n"),
        (Fresh::Batch, "1\n2\n3\n", "1\n2\n3\n"),
        (Fresh::Item, "1\n1\n1\n", "1\n1\n1\n"),
    ];
    for (fresh, first, second) in expected {
        let mut bench = bench(raw("", COUNT).as_bytes(), fresh, &[]);
        bench.input(b"n\nn\nn\n");
        let batch = batch(Split::Lines, Merge::Lines, 6);
        assert_eq!(String::from_utf8(bench.run(batch.clone()).1).as_deref(), Ok(first), "{fresh:?}");
        assert_eq!(String::from_utf8(bench.run(batch).1).as_deref(), Ok(second), "{fresh:?}");
    }
}

#[test]
fn a_kernel_that_trapped_or_is_tried_again_has_forgotten_everything() {
    let mut bench = bench(raw("", &format!("{COUNT}{FAILS}")).as_bytes(), Fresh::Worker, &[]);
    bench.input(b"n\nbad\nn\ntrap\nn\nagain\nn\n");
    let mut batch = batch(Split::Lines, Merge::Lines, 23);
    batch.care = Care { retries: 1, ..skipping() };
    let (done, output) = bench.run(batch);
    assert_eq!(output, b"1\n3\n1\n2\n", "the second try of `again` was the first item of its instance");
    assert_eq!(failed(&done).len(), 3);
}

#[test]
fn what_was_counted_and_logged_outlives_the_instance() {
    let imports = r#"(import "taskhost" "counter_add" (func $count (param i32 i32 i64)))
        (import "taskhost" "log" (func $log (param i32 i32 i32)))"#;
    let body = format!(
        "(call $log (i32.const 1) (local.get $at) (local.get $len))
         (call $count (i32.const 32) (i32.const 4) (i64.const 1)) {FAILS}"
    );
    let kernel = raw_with(imports, &body, r#"(data (i32.const 32) "seen")"#);
    for fresh in [Fresh::Worker, Fresh::Item] {
        let mut bench = bench(kernel.as_bytes(), fresh, &[]);
        bench.input(b"one\ntrap\nsix\nbad\nseven\n");
        let mut batch = batch(Split::Lines, Merge::Lines, 23);
        batch.care = skipping();
        let (done, _) = bench.run(batch.clone());
        assert_eq!(done.counters, [("seen".into(), 3)], "without the failed items");
        let logged: Vec<String> = bench.logs().into_iter().map(|line| line.text).collect();
        assert_eq!(logged, ["one", "trap", "six", "bad", "seven"]);
        assert_eq!(bench.run(batch).0.counters, [("seen".into(), 3)], "each batch has its own sums");
    }
}

#[test]
fn a_kernel_that_does_not_start_again_fails_items_and_not_the_worker() {
    // What tells the first start from the others is a setting that is not there any more.
    let start = r#"(func (export "taskhost_start") (result i64)
        (if (i32.eq (call $get (i32.const 48) (i32.const 4) (i32.const 64) (i32.const 8)) (i32.const -1))
            (then unreachable))
        (i64.const 0))
        (data (i32.const 48) "here")"#;
    let imports = r#"(import "taskhost" "config_get" (func $get (param i32 i32 i32 i32) (result i32)))"#;
    let mut bench = bench(raw_with(imports, FAILS, start).as_bytes(), Fresh::Worker, &[("here", "yes")]);
    bench.forget_settings();
    bench.input(b"one\ntrap\nsix\nseven\n");
    let mut batch = batch(Split::Lines, Merge::Lines, 19);
    batch.care = skipping();
    let (done, output) = bench.run(batch);
    assert_eq!(output, b"one\n");
    assert_eq!(failed(&done).len(), 3);
    let Fault::Trap { reason, .. } = &done.failures[1].fault else { panic!("{done:?}") };
    assert!(reason.starts_with("when the kernel was started again: "), "{reason}");
}
