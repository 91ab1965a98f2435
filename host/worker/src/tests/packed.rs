//! Packed calls: that they are made when they may, and that blame stays with the item when they fail.

use std::path::Path;

use taskhost_protocol::kernel::ResultLength;
use taskhost_protocol::message::Fresh;
use taskhost_protocol::work::{Care, Merge, Rest, Split};

use super::bench::{batch, bench, failed, skipping, to_file};
use super::component::{component, export};

/// A mapper that gives items back and traps at those that begin with `t`. Its packed calls always trap.
pub(crate) fn kernel() -> Vec<u8> {
    let process = "
        (if (local.get $len)
            (then (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 116)) (then unreachable))))
        (call $ok (local.get $at) (local.get $len))";
    let functions = [
        export("mapper", "process", "(param $at i32) (param $len i32)", process),
        export("packed-mapper", "process", "(param i32 i32 i32 i32)", "unreachable"),
    ];
    component(&["mapper", "packed-mapper"], &functions.concat())
}

#[test]
fn after_a_packed_call_that_failed_each_item_answers_for_itself() {
    let mut bench = bench(&kernel(), Fresh::Worker, &[]);
    bench.input(b"one\ntrap\nsix\nthree\nfour\n");
    let mut batch = batch(Split::Lines, Merge::Lines, 24);
    let (done, output) = bench.run(batch.clone());
    assert_eq!((failed(&done), output), (vec![(4, 4, 1, 4, 1)], b"one\n".to_vec()));
    assert_eq!((done.items, done.rest), (2, Some(Rest { piece: 0, start: 9 })));
    batch.care = skipping();
    let (done, output) = bench.run(batch);
    assert_eq!(output, b"one\nsix\nfour\n");
    assert_eq!(failed(&done), [(4, 4, 1, 4, 1), (13, 5, 3, 8, 1)]);
}

/// The rest must begin behind the item, and not behind the piece.
#[test]
fn the_rest_is_handed_back_when_the_last_item_of_a_packed_call_fails() {
    let mut bench = bench(&kernel(), Fresh::Worker, &[]);
    // The first packed call takes 64 items.
    let input = format!("{}t\n{}", "x\n".repeat(63), "x\n".repeat(10));
    bench.input(input.as_bytes());
    let (done, output) = bench.run(batch(Split::Lines, Merge::Lines, input.len() as u64));
    assert_eq!((done.items, done.rest), (64, Some(Rest { piece: 0, start: 128 })));
    assert_eq!(output.len(), 126);
    let (done, _) = bench.run(batch(Split::Chunks(2), Merge::Concat, input.len() as u64));
    assert_eq!(done.rest.map(|rest| rest.start), Some(128));
}

#[test]
fn results_of_the_wrong_length_are_charged_to_their_items() {
    let kernel = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/dist/grep.wasm");
    let kernel = std::fs::read(kernel).expect("the kernels are built");
    let mut bench = bench(&kernel, Fresh::Worker, &[("pattern", "o")]);
    bench.input(b"foo\nsixo\nroo\nxxx\n");
    let mut batch = batch(Split::Lines, Merge::Concat, 17);
    assert_eq!(bench.run(batch.clone()).1, b"foosixoroo");
    (batch.care, batch.place, batch.length) = (skipping(), to_file(), ResultLength::Exactly(3));
    let (done, output) = bench.run(batch);
    assert_eq!((failed(&done), output), (vec![(4, 4, 1, 3, 1)], b"foo\0\0\0roo".to_vec()));
}

#[test]
fn one_by_one_there_are_no_packed_calls() {
    // The packed call of this one breaks the contract without a sign, so that it shows when it is made.
    let process = "(call $ok (local.get $at) (local.get $len))";
    let packed = "
        (local $at i32)
        (i32.store (i32.const 64) (local.get 0)) (i32.store (i32.const 68) (local.get 1))
        (i32.store (i32.const 72) (local.get 2)) (i32.store (i32.const 76) (local.get 3))
        (i32.store8 (local.get 0) (i32.const 80))
        (i32.store (i32.const 80) (i32.const 8)) (i32.store (i32.const 84) (i32.const 0))
        (i32.store (i32.const 88) (i32.const 8)) (i32.store (i32.const 92) (i32.const 0))
        (i32.const 64)";
    let functions = [
        export("mapper", "process", "(param $at i32) (param $len i32)", process),
        export("packed-mapper", "process", "(param i32 i32 i32 i32)", packed),
    ];
    let kernel = component(&["mapper", "packed-mapper"], &functions.concat());
    let cases = [
        (Fresh::Worker, false, b"Pne\nsix\n"),
        (Fresh::Worker, true, b"one\nsix\n"),
        (Fresh::Item, false, b"one\nsix\n"),
    ];
    for (fresh, one_by_one, expected) in cases {
        let mut bench = bench(&kernel, fresh, &[]);
        bench.input(b"one\nsix\n");
        let mut batch = batch(Split::Lines, Merge::Lines, 8);
        batch.care = Care { one_by_one, ..Care::default() };
        assert_eq!(bench.run(batch).1, expected, "{fresh:?} {one_by_one}");
    }
}
