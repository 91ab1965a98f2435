//! Pictures with rows that cannot be filtered.

use taskhost_protocol::fault::Fault;
use taskhost_protocol::ids::{SlotId, SourceId};
use taskhost_protocol::message::Fresh;
use taskhost_protocol::picture::{Cut, Format, PicturePlan, Sample};
use taskhost_protocol::work::{Assignment, Care, Merge, Rest, Rows, Split, Work};

use super::bench::{Bench, assignment, bench, failed, skipping, to_file};
use super::component::{component, export};

const FORMAT: Format = Format { width: 4, height: 6, channels: 1, sample: Sample::U8 };

/// A filter that copies and must be prepared first. Own samples of `b` are bad, `t` traps, `a` asks to be tried again;
/// at two or more rows with an `m` in the first it fails, at each of them alone it does not.
fn filters(cut: Cut) -> Bench {
    let (variant, halo) = match cut {
        Cut::Strips { halo } => (0, halo),
        Cut::Whole => (1, 0),
    };
    let prepare = format!(
        "(global.set $prepared (i32.const 1))
        (i32.store (i32.const 16) (i32.const 0))
        (i32.store (i32.const 20) (i32.const {variant})) (i32.store (i32.const 24) (i32.const {halo}))
        (i32.store (i32.const 28) (local.get 0)) (i32.store (i32.const 32) (local.get 1))
        (i32.store (i32.const 36) (local.get 2)) (i32.store (i32.const 40) (local.get 3))
        (i32.const 16)"
    );
    // Parameters: width, height, channels, sample, first row, rows, above, below, pointer, length.
    let filter = "
        (local $at i32) (local $end i32) (local $sample i32)
        (if (i32.eqz (global.get $prepared)) (then unreachable))
        (local.set $at (i32.add (local.get 8) (i32.mul (local.get 6) (local.get 0))))
        (local.set $end (i32.add (local.get $at) (i32.mul (local.get 5) (local.get 0))))
        (if (i32.and (i32.gt_u (local.get 5) (i32.const 1)) (i32.eq (i32.load8_u (local.get $at)) (i32.const 109)))
            (then (return (call $err (i32.const 1)))))
        (loop $more
            (local.set $sample (i32.load8_u (local.get $at)))
            (if (i32.eq (local.get $sample) (i32.const 98)) (then (return (call $err (i32.const 1)))))
            (if (i32.eq (local.get $sample) (i32.const 97)) (then (return (call $err (i32.const 2)))))
            (if (i32.eq (local.get $sample) (i32.const 116)) (then unreachable))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $at) (local.get $end))))
        (call $ok
            (i32.add (local.get 8) (i32.mul (local.get 6) (local.get 0)))
            (i32.mul (local.get 5) (local.get 0)))";
    let functions = [
        "(global $prepared (mut i32) (i32.const 0))".to_owned(),
        export("image-filter", "prepare", "(param i32 i32 i32 i32)", &prepare),
        export("image-filter", "filter", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)", filter),
    ];
    bench(&component(&["image-filter"], &functions.concat()), Fresh::Worker, &[])
}

fn rows(cut: Cut, first: u32, count: u32) -> Assignment {
    let plan = PicturePlan { cut, output: FORMAT };
    let rows = Rows { source: SourceId(3), slot: SlotId(0), at: 0, format: FORMAT, plan, first, count };
    let mut batch = assignment(Split::Whole, Merge::Concat, Work::Rows(rows));
    batch.place = to_file();
    batch
}

const STRIPS: Cut = Cut::Strips { halo: 1 };

#[test]
fn the_first_row_that_fails_is_named() {
    let mut bench = filters(STRIPS);
    bench.input(b"....----..b.----t...----");
    let (done, output) = bench.run(rows(STRIPS, 0, 6));
    assert_eq!((failed(&done), output), (vec![(2, 4, 2, 8, 1)], b"....----".to_vec()));
    assert_eq!((done.items, done.input, done.rest), (3, 12, Some(Rest { piece: 0, start: 3 })));
}

#[test]
fn with_skip_zeros_stand_in_the_place_of_rows_that_fail() {
    let mut bench = filters(STRIPS);
    bench.input(b"....----..b.----t...----");
    let mut batch = rows(STRIPS, 0, 6);
    batch.care = skipping();
    let (done, output) = bench.run(batch);
    assert_eq!(output, b"....----\0\0\0\0----\0\0\0\0----");
    assert_eq!(failed(&done), [(2, 4, 2, 8, 1), (4, 4, 4, 16, 1)]);
    assert_eq!((done.items, done.input, done.rest), (6, 24, None));
}

#[test]
fn a_tile_fails_in_the_name_of_its_first_row_when_no_row_does() {
    let mut bench = filters(STRIPS);
    bench.input(b"....m---....----....----");
    let (done, output) = bench.run(rows(STRIPS, 1, 5));
    assert_eq!((failed(&done), output), (vec![(1, 4, 0, 0, 1)], vec![]));
    assert_eq!(done.rest, Some(Rest { piece: 0, start: 2 }));
    let mut batch = rows(STRIPS, 1, 5);
    batch.care = skipping();
    let (done, output) = bench.run(batch);
    assert_eq!((failed(&done), output), (vec![], b"m---....----....----".to_vec()));
}

#[test]
fn the_first_row_can_be_left_out() {
    let mut bench = filters(STRIPS);
    bench.input(b"....t---....----....----");
    let mut batch = rows(STRIPS, 1, 3);
    batch.care = Care { leave_out_first: true, ..Care::default() };
    let (done, output) = bench.run(batch);
    assert_eq!((failed(&done), output), (vec![(1, 4, 0, 0, 0)], b"\0\0\0\0....----".to_vec()));
    assert_eq!((done.failures[0].fault.clone(), done.rest), (Fault::LeftOut, None));
    assert_eq!(done.items, 2, "the row that was left out, and a tile");
}

#[test]
fn one_by_one_each_row_is_an_item() {
    let mut bench = filters(STRIPS);
    bench.input(b"....m---....----....----");
    let mut batch = rows(STRIPS, 1, 5);
    batch.care = Care { one_by_one: true, ..Care::default() };
    batch.budget.items = 2;
    let (done, output) = bench.run(batch);
    assert_eq!((done.items, output), (2, b"m---....".to_vec()));
    assert_eq!(done.rest, Some(Rest { piece: 0, start: 3 }));
}

#[test]
fn a_row_that_asks_for_it_is_filtered_again_by_an_instance_that_was_prepared() {
    let mut bench = filters(STRIPS);
    bench.input(b"....----a...----....----");
    let mut batch = rows(STRIPS, 0, 6);
    batch.care = Care { retries: 2, ..skipping() };
    let (done, output) = bench.run(batch);
    assert_eq!(output, b"....----\0\0\0\0----....----");
    assert_eq!(failed(&done), [(2, 4, 2, 8, 3)]);
    assert!(matches!(done.failures[0].fault, Fault::Temporary(_)));
}

#[test]
fn a_picture_that_cannot_be_cut_is_one_item() {
    let mut bench = filters(Cut::Whole);
    bench.input(b"....----..b.----t...----");
    let mut batch = rows(Cut::Whole, 0, 6);
    batch.care = skipping();
    let (done, output) = bench.run(batch.clone());
    assert_eq!((failed(&done), output), (vec![(0, 24, 0, 0, 1)], vec![]));
    assert_eq!((done.items, done.rest), (1, None));
    batch.care.leave_out_first = true;
    let (done, output) = bench.run(batch);
    assert_eq!((failed(&done), output), (vec![(0, 24, 0, 0, 0)], vec![]));
}
