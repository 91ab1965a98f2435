//! Pictures with rows that cannot be filtered: with `--on-error skip` these rows are zero, and all others are right.

use serde_json::{Value, json};

use super::{component, errors, export};
use crate::harness::Place;
use crate::native::Numbers;

const WIDTH: usize = 48;
const HEIGHT: usize = 700;

/// What the first sample of a row asks for, with the verdict on it.
const WAYS: [(u8, &str); 3] = [(1, "kernel-trap"), (2, "kernel-error"), (3, "kernel-error")];

/// The sample that asks for a loop without end.
const LOOP: u8 = 4;

/// A filter that copies its rows, and does what the first sample of each of them asks for.
fn kernel(place: &Place) {
    let prepare = "
        (i32.store (i32.const 16) (i32.const 0))
        (i32.store (i32.const 20) (i32.const 0)) (i32.store (i32.const 24) (i32.const 1))
        (i32.store (i32.const 28) (local.get 0)) (i32.store (i32.const 32) (local.get 1))
        (i32.store (i32.const 36) (local.get 2)) (i32.store (i32.const 40) (local.get 3))
        (i32.const 16)";
    // Parameters: width, height, channels, sample, first row, rows, above, below, pointer, length.
    let filter = "
        (local $at i32) (local $end i32) (local $asked i32)
        (local.set $at (i32.add (local.get 8) (i32.mul (local.get 6) (local.get 0))))
        (local.set $end (i32.add (local.get $at) (i32.mul (local.get 5) (local.get 0))))
        (loop $more
            (local.set $asked (i32.load8_u (local.get $at)))
            (if (i32.eq (local.get $asked) (i32.const 1)) (then unreachable))
            (if (i32.eq (local.get $asked) (i32.const 2)) (then (return (call $err (i32.const 0)))))
            (if (i32.eq (local.get $asked) (i32.const 3)) (then (return (call $err (i32.const 1)))))
            (if (i32.eq (local.get $asked) (i32.const 4)) (then (loop $ever (br $ever))))
            (local.set $at (i32.add (local.get $at) (local.get 0)))
            (br_if $more (i32.lt_u (local.get $at) (local.get $end))))
        (call $ok
            (i32.add (local.get 8) (i32.mul (local.get 6) (local.get 0)))
            (i32.mul (local.get 5) (local.get 0)))";
    let functions = [
        export("image-filter", "prepare", "(param i32 i32 i32 i32)", prepare),
        export("image-filter", "filter", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)", filter),
    ];
    place.write("kernel.wasm", component(&["image-filter"], &functions.concat()));
}

/// A picture with these rows bad: the picture, and what comes of it.
fn picture(bad: &[(usize, u8)]) -> (Vec<u8>, Vec<u8>) {
    let mut input = Numbers::new(9).bytes(WIDTH * HEIGHT);
    for row in input.chunks_mut(WIDTH) {
        row[0] = 255;
    }
    let mut output = input.clone();
    for (row, asks) in bad {
        input[row * WIDTH] = *asks;
        output[row * WIDTH..(row + 1) * WIDTH].fill(0);
    }
    (input, output)
}

/// Rows, alone and together, the first and the last of all among them.
fn bad_rows() -> Vec<(usize, u8, &'static str)> {
    let rows = [0, 1, 2, 100, 257, 258, 400, 401, 402, 403, 404, 405, 406, 407, 408, 500, 699];
    let ways = WAYS.iter().cycle();
    rows.into_iter().zip(ways).map(|(row, (asks, verdict))| (row, *asks, *verdict)).collect()
}

#[test]
fn rows_that_fail_are_zero_and_the_others_are_right() {
    let place = Place::new();
    kernel(&place);
    let rows = bad_rows();
    let (input, wanted) = picture(&rows.iter().map(|(row, asks, _)| (*row, *asks)).collect::<Vec<_>>());
    place.write("in.raw", input);
    let expected: Vec<Value> = rows.iter().map(|(row, _, verdict)| json!([row, verdict, null, null, null])).collect();
    for workers in ["1", "2", "3"] {
        for batch in ["1", "7", "auto"] {
            let run = place.taskhost("run kernel.wasm in.raw -o out.raw --on-error skip --errors errors -j");
            let run = run.argument(workers).arguments(&format!("--size {WIDTH}x{HEIGHT} --batch {batch}"));
            let outcome = run.run().code(3);
            assert!(place.read("out.raw") == wanted, "-j {workers} --batch {batch}: {}", outcome.stderr);
            let fields = ["row", "verdict", "item", "offset", "line"];
            let told = errors(&place, "errors");
            let told: Vec<Value> =
                told.iter().map(|line| fields.iter().map(|field| line[field].clone()).collect()).collect();
            assert_eq!(told, expected, "-j {workers} --batch {batch}");
        }
    }
}

#[test]
fn a_row_that_never_ends_is_one_row() {
    let place = Place::new();
    kernel(&place);
    let (input, wanted) = picture(&[(13, LOOP), (350, LOOP), (351, 1)]);
    place.write("in.raw", input);
    let run = place.taskhost("run kernel.wasm in.raw -o out.raw --on-error skip --errors errors --timeout 200ms -j 2");
    let outcome = run.arguments(&format!("--size {WIDTH}x{HEIGHT}")).run().code(3);
    assert!(place.read("out.raw") == wanted, "{}", outcome.stderr);
    let told: Vec<Value> = errors(&place, "errors").iter().map(|line| json!([line["row"], line["verdict"]])).collect();
    assert_eq!(told, [json!([13, "deadline"]), json!([350, "deadline"]), json!([351, "kernel-trap"])]);
}

#[test]
fn a_picture_that_is_to_be_whole_is_not_made() {
    let place = Place::new();
    kernel(&place);
    let (input, _) = picture(&[(402, 2), (600, 1)]);
    place.write("in.raw", input);
    for workers in ["1", "3"] {
        let run = place.taskhost("run kernel.wasm in.raw -o out.raw --errors errors -j").argument(workers);
        let outcome = run.arguments(&format!("--size {WIDTH}x{HEIGHT}")).run().code(3);
        assert!(outcome.stderr.contains("in.raw, at row 402: "), "{}", outcome.stderr);
        assert!(!place.path("out.raw").exists());
        assert_eq!(errors(&place, "errors").len(), 1);
    }
}
