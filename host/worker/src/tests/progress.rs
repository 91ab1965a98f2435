//! What the progress cell says while a kernel is at work: all that is known of a worker that hangs or crashes.

use taskhost_protocol::ids::BatchId;
use taskhost_protocol::message::Fresh;
use taskhost_protocol::progress::Progress;
use taskhost_protocol::work::{Merge, Piece, Split, Work};

use super::bench::{Bench, assignment, batch, bench, piece, raw_with};

const LOG: &str = r#"(import "taskhost" "log" (func $log (param i32 i32 i32)))"#;

/// Logs at items that begin with `l`, and when it joins parts.
fn logs() -> Bench {
    let body = "
        (if (i32.eq (local.get $first) (i32.const 108))
            (then (call $log (i32.const 1) (local.get $at) (local.get $len))))";
    let join = r#"
        (func (export "taskhost_combine") (param i32 i32) (result i64)
            (call $log (i32.const 1) (i32.const 16) (i32.const 1))
            (i64.const 0))
        (func (export "taskhost_finish") (param i32 i32) (result i64) (i64.const 0))"#;
    bench(raw_with(LOG, body, join).as_bytes(), Fresh::Worker, &[])
}

#[test]
fn the_cell_names_the_item() {
    let mut bench = logs();
    bench.input(b"one\nl\none\n");
    let progress = bench.run_to_log(&batch(Split::Lines, Merge::Lines, 10));
    assert_eq!(progress, Progress { batch: BatchId(0), piece: 0, offset: 4, packed: false });
}

#[test]
fn the_cell_counts_from_the_start_of_the_piece() {
    let mut bench = logs();
    bench.input(b"onesix");
    bench.input_at(1, b"...onelogend");
    let pieces = vec![piece(0, 0, 6, 6), Piece { from: 3, at: 3, ..piece(1, 3, 12, 12) }];
    let mut batch = assignment(Split::Chunks(3), Merge::Concat, Work::Items(pieces));
    batch.batch = BatchId(7);
    let progress = bench.run_to_log(&batch);
    assert_eq!(progress, Progress { batch: BatchId(7), piece: 1, offset: 3, packed: false });
}

#[test]
fn while_results_are_joined_the_cell_names_no_item() {
    let mut bench = logs();
    bench.input(&[b'x'; 20]);
    let progress = bench.run_to_log(&batch(Split::Records(1), Merge::Reduce, 20));
    assert_eq!(progress, Progress { batch: BatchId(0), piece: 0, offset: 16, packed: true });
}
