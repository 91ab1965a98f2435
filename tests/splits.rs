//! How an input becomes items, and results become one: the same from a file and through a pipe.

use insta::assert_snapshot;

use crate::harness::{Outcome, Place};
use crate::native::Numbers;

/// What `echo` makes of `input`, which is a file in one run and comes through a pipe in the other.
#[track_caller]
fn echo(flags: &str, input: impl AsRef<[u8]>) -> Vec<u8> {
    let place = Place::new();
    place.write("input", input.as_ref());
    let file = place.taskhost(&format!("run echo {flags} input")).run().success();
    let pipe = place.taskhost(&format!("run echo {flags}")).input(input).run().success();
    assert_eq!(file.text(), pipe.text(), "{flags}: a file and a pipe");
    assert_eq!(items(&file), items(&pipe), "{flags}: a file and a pipe");
    file.stdout
}

/// The number of items in the summary.
fn items(outcome: &Outcome) -> &str {
    outcome.stderr.split_once(" item").unwrap().0
}

#[test]
fn a_line_has_no_newline_and_keeps_its_carriage_return() {
    let lines = |input: &str| String::from_utf8(echo("--split lines --merge lines", input)).unwrap();
    assert_eq!(lines("a\nb\n"), "a\nb\n");
    assert_eq!(lines("a\nb"), "a\nb\n");
    assert_eq!(lines("a\r\nb\r\n"), "a\r\nb\r\n");
    assert_eq!(lines("\n\na\n\n"), "\n\na\n\n");
    assert_eq!(lines("\n"), "\n");
    assert_eq!(lines(""), "");
    assert_eq!(echo("--split lines --merge concat", "a\nb\r\n\nc"), b"ab\rc");
}

#[test]
fn a_line_may_be_longer_than_any_buffer() {
    let long = "x".repeat(3_000_000);
    let input = format!("a\n{long}\nb\n{long}");
    assert!(echo("--split lines --merge lines", &input) == format!("{input}\n").as_bytes());
}

/// A block is the lines that begin within a window of the input, whoever reads them.
#[test]
fn blocks_are_the_lines_that_begin_in_a_window() {
    let mut numbers = Numbers::new(1);
    let mut input = String::new();
    for _ in 0..400 {
        let length = [0, 3, 20, 90][numbers.below(4) as usize];
        input.push_str(&"x".repeat(length));
        input.push('\n');
    }
    input.push_str("the end");
    for window in [1, 7, 64, 1000, 100_000] {
        let mut wanted: Vec<u8> = Vec::new();
        let mut offset = 0;
        for line in input.split_inclusive('\n') {
            // Between two results of `--merge lines` stands a newline of its own.
            if offset > 0 && previous_window(offset, window, &input) != offset / window {
                wanted.push(b'\n');
            }
            wanted.extend_from_slice(line.as_bytes());
            offset += line.len();
        }
        wanted.push(b'\n');
        let found = echo(&format!("--split blocks:{window} --merge lines"), &input);
        assert!(found == wanted, "windows of {window}");
        assert!(echo(&format!("--split blocks:{window} --merge concat"), &input) == input.as_bytes());
    }
}

/// The window of the line in front of the one at `offset`.
fn previous_window(offset: usize, window: usize, input: &str) -> usize {
    input[..offset - 1].rfind('\n').map_or(0, |newline| newline + 1) / window
}

#[test]
fn records_have_one_length_and_nothing_is_left_over() {
    assert_eq!(echo("--split records:4 --merge lines", "abcdefgh"), b"abcd\nefgh\n");
    assert_eq!(echo("--split records:4 --merge lines", ""), b"");
    let place = Place::new();
    place.write("ten", "abcdefghij");
    let file = place.taskhost("run echo --split records:4 ten -o out").run().code(5);
    // How many results were there when it was read to its end is a matter of time.
    let results = |said: String, bytes: u32| said.replace(&format!(" {bytes} B out"), " SOME B out");
    assert_snapshot!([0, 4, 8].into_iter().fold(file.messages(), results), @"
    error: ten, item 2 (at byte 8): the input has 10 bytes, which is no whole number of records of 4: 2 are left over; check --split records:4, or use --split chunks:4 to take a shorter last item
    3 items, 1 failed, 10 B in, SOME B out, TIME, WORKERS, SPEED-UP
    ");
    let pipe = place.taskhost("run echo --split records:4 -o out").input("abcdefghij").run().code(5);
    assert!(pipe.stderr.contains("-, item 2 (at byte 8): the input has 10 bytes"), "{}", pipe.stderr);
    assert_eq!(place.files(), ["ten"]);
}

#[test]
fn the_last_chunk_may_be_shorter() {
    assert_eq!(echo("--split chunks:4 --merge lines", "abcdefghij"), b"abcd\nefgh\nij\n");
    assert_eq!(echo("--split chunks:1K", "abcdefghij"), b"abcdefghij");
    assert_eq!(echo("--split chunks:4", ""), b"");
}

#[test]
fn a_whole_input_is_one_item_even_when_it_is_empty() {
    assert_eq!(echo("--split whole", "a\nb\n"), b"a\nb\n");
    assert_eq!(echo("--split whole --merge lines", ""), b"\n");
    let large = Numbers::new(2).bytes(5 << 20);
    let place = Place::new();
    let outcome = place.taskhost("run echo --split whole").input(&large).run().success();
    assert!(outcome.stdout == large);
    assert_eq!(items(&outcome), "1");
}

#[test]
fn a_header_is_no_item() {
    let flags = "--split lines --merge lines --header";
    assert_eq!(echo(flags, "h\na\nb"), b"a\nb\n");
    assert_eq!(echo(flags, "h\n"), b"");
    assert_eq!(echo(flags, "h"), b"");
    assert_eq!(echo(flags, ""), b"");
    assert_eq!(echo(&format!("{flags} --keep-header"), "h\na\nb"), b"h\na\nb\n");
    assert_eq!(echo(&format!("{flags} --keep-header"), "h"), b"h\n");
    for window in [1, 3, 5, 1000] {
        let flags = format!("--split blocks:{window} --merge concat --header");
        assert_eq!(echo(&flags, "header\na\nbb\n\nccc\n"), b"a\nbb\n\nccc\n", "windows of {window}");
    }
}

#[test]
fn each_file_has_a_header_and_the_first_is_kept() {
    let place = Place::new();
    place.write("one", "h\na\nb");
    place.write("two", "h\n");
    place.write("three", "");
    place.write("four", "h\nc\n");
    let run = "run echo --split lines --merge lines --header --keep-header one two three four";
    assert_eq!(place.taskhost(run).run().success().text(), "h\na\nb\nc\n");
    let piped = place.taskhost("run echo --split lines --merge lines --header --keep-header - four").input("h\nx\n");
    assert_eq!(piped.run().success().text(), "h\nx\nc\n");
}

#[test]
fn results_may_be_counted_and_not_kept() {
    let place = Place::new();
    let outcome = place.taskhost("run echo --split lines --merge discard").input("a\nb\n").run().success();
    assert_eq!(outcome.text(), "");
    assert_eq!(items(&outcome), "2");
}

/// Without any item a reduction gives the result of nothing.
#[test]
fn a_reduction_of_nothing_is_the_identity() {
    let place = Place::new();
    place.write("empty", "");
    assert_eq!(place.taskhost("run primes --merge reduce empty").run().success().text(), "0\n");
    assert_eq!(place.taskhost("run primes --merge reduce").run().success().text(), "0\n");
    assert_eq!(place.taskhost("run wordcount empty").run().success().text(), "");
    assert_eq!(place.taskhost("run csv-stats --header empty").run().success().text(), "0\t0\n");
}
