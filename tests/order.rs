//! The same bytes come out for any number of workers, any batch size, from a file and through a pipe.

use std::fmt::Write as _;

use crate::harness::Place;
use crate::native::{Numbers, csv_stats, mandelbrot_row, primes_between, wordcount};

const WORKERS: [&str; 4] = ["1", "2", "3", "7"];
const BATCHES: [&str; 3] = ["1", "10", "auto"];

/// Runs `line` over `input` in every way and asserts that all of them give `wanted`.
#[track_caller]
fn always_gives(line: &str, input: &[u8], wanted: &[u8]) {
    let place = Place::new();
    place.write("input", input);
    for workers in WORKERS {
        for batch in BATCHES {
            let run = format!("run {line} -q -j {workers} --batch {batch}");
            let name = format!("{line}, {workers} workers, batches of {batch}");
            let file = place.taskhost(&run).argument("input").run().success();
            assert!(file.stdout == wanted, "{name}: from a file to a pipe");
            place.taskhost(&run).argument("input").argument("-ooutput").run().success();
            assert!(place.read("output") == wanted, "{name}: from a file to a file");
            let pipe = place.taskhost(&run).input(input).run().success();
            assert!(pipe.stdout == wanted, "{name}: from a pipe to a pipe");
        }
    }
}

#[test]
fn lines_with_uneven_cost() {
    let mut ranges = String::new();
    let mut counts = String::new();
    let mut numbers = Numbers::new(1);
    for _ in 0..600 {
        let low = numbers.below(2000);
        let high = low + numbers.below(300);
        writeln!(ranges, "{low} {high}").unwrap();
        writeln!(counts, "{}", primes_between(low, high)).unwrap();
    }
    always_gives("primes", ranges.as_bytes(), counts.as_bytes());
}

#[test]
fn lines_that_have_no_result() {
    let mut numbers = Numbers::new(2);
    let lines: Vec<String> = (0..2000).map(|_| numbers.below(100_000).to_string()).collect();
    let kept: String = lines.iter().filter(|line| line.contains("77")).map(|line| format!("{line}\n")).collect();
    always_gives("grep -c pattern=77", (lines.join("\n") + "\n").as_bytes(), kept.as_bytes());
}

#[test]
fn bytes_in_records_and_chunks() {
    let bytes = Numbers::new(3).bytes(70_000);
    let inverted: Vec<u8> = bytes.iter().map(|byte| 255 - byte).collect();
    always_gives("invert --split records:700", &bytes, &inverted);
    always_gives("invert --split chunks:3000", &bytes, &inverted);
    always_gives("invert", &bytes, &inverted);
}

#[test]
fn blocks_that_are_joined_into_one_table() {
    let mut numbers = Numbers::new(4);
    let mut text = String::new();
    for _ in 0..6000 {
        let space = [" ", "\n", "\t", "  \r\n"][numbers.below(4) as usize];
        write!(text, "w{}{space}", numbers.below(500)).unwrap();
    }
    let counted = wordcount(text.as_bytes());
    always_gives("wordcount --split blocks:700", text.as_bytes(), &counted);
    always_gives("wordcount", text.as_bytes(), &counted);
}

#[test]
fn rows_below_a_header() {
    let mut numbers = Numbers::new(5);
    let values: Vec<u64> = (0..5000).map(|_| numbers.below(1000)).collect();
    let rows: String = values.iter().enumerate().map(|(id, value)| format!("{id},\"a,b\",{value}\n")).collect();
    let table = format!("id,name,value\n{rows}");
    always_gives("csv-stats --header --split blocks:900", table.as_bytes(), csv_stats(&values).as_bytes());
}

#[test]
fn a_picture_made_of_lines() {
    let size = (60, 40);
    let rows: String = (0..size.1).map(|y| format!("{y}\n")).collect();
    let picture: Vec<u8> = (0..size.1).flat_map(|y| mandelbrot_row(y, size, 200)).collect();
    always_gives("mandelbrot -c width=60 -c height=40 -c iterations=200", rows.as_bytes(), &picture);
}

/// A sum of floating-point numbers depends on the order of its additions, and so on the tree.
#[test]
fn a_sum_of_floating_point_numbers_is_bit_identical() {
    let mut numbers = Numbers::new(6);
    let mut table = String::from("value\n");
    for _ in 0..8000 {
        writeln!(table, "{}", numbers.next() as f64 / 1e7).unwrap();
    }
    let line = "csv-stats --header --split blocks:256";
    let place = Place::new();
    let first = place.taskhost(&format!("run {line} -j 1")).input(&table).run().success().stdout;
    always_gives(line, table.as_bytes(), &first);
    // It does depend on it: the same rows in other blocks give other bits.
    let other = place.taskhost("run csv-stats --header --split blocks:100 -j 1").input(&table).run().success().stdout;
    assert_ne!(first, other);
}

#[test]
fn unordered_results_are_the_same_lines() {
    let mut numbers = Numbers::new(7);
    let ranges: String = (0..1000).map(|_| format!("0 {}\n", numbers.below(400))).collect();
    let sorted = |bytes: &[u8]| {
        let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        lines.sort();
        lines
    };
    let place = Place::new();
    place.write("ranges", &ranges);
    let ordered = place.taskhost("run primes ranges -j 1").run().success().stdout;
    for workers in WORKERS {
        let run = format!("run primes --unordered -j {workers} --batch 7");
        let file = place.taskhost(&run).argument("ranges").run().success();
        let pipe = place.taskhost(&run).input(&ranges).run().success();
        assert_eq!(sorted(&file.stdout), sorted(&ordered), "{workers} workers, from a file");
        assert_eq!(sorted(&pipe.stdout), sorted(&ordered), "{workers} workers, from a pipe");
    }
}
