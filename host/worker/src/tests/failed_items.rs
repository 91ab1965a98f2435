//! A failed item costs itself: the others' results, the order, and what is said of it.

use taskhost_protocol::fault::Fault;
use taskhost_protocol::ids::BatchId;
use taskhost_protocol::kernel::ResultLength;
use taskhost_protocol::message::Fresh;
use taskhost_protocol::progress::Progress;
use taskhost_protocol::work::{Care, Merge, Rest, Split, Work};

use super::bench::{Bench, FAILS, assignment, batch, bench, failed, piece, raw, skipping, to_file};

fn fails() -> Bench {
    bench(raw("", FAILS).as_bytes(), Fresh::Worker, &[])
}

#[test]
fn the_first_failed_item_ends_the_batch_and_the_rest_is_handed_back() {
    let mut bench = fails();
    bench.input(b"one\nbad\nsix\n");
    let (done, output) = bench.run(batch(Split::Lines, Merge::Lines, 12));
    assert_eq!(output, b"one\n");
    assert_eq!(failed(&done), [(4, 3, 1, 4, 1)]);
    assert_eq!((done.items, done.input, done.rest), (2, 8, Some(Rest { piece: 0, start: 8 })));
}

#[test]
fn with_skip_the_others_are_run_and_nothing_is_written_for_those_that_fail() {
    let mut bench = fails();
    bench.input(b"one\nbad\nsix\ntrap\n\nagain\nend");
    let mut batch = batch(Split::Lines, Merge::Lines, 27);
    batch.care = skipping();
    let (done, output) = bench.run(batch);
    assert_eq!(output, b"one\nsix\n\nend\n");
    assert_eq!(failed(&done), [(4, 3, 1, 4, 1), (12, 4, 3, 8, 1), (18, 5, 5, 9, 1)]);
    assert_eq!(done.failures[0].fault, Fault::Failed("the kernel gave no reason".into()));
    assert!(matches!(done.failures[1].fault, Fault::Trap { .. }));
    assert_eq!((done.items, done.input, done.rest), (7, 27, None));
}

#[test]
fn results_with_a_place_of_their_own_have_zeros_in_place_of_those_that_fail() {
    let mut bench = fails();
    bench.input(b"oneBADsixbad333trpendyz");
    let mut batch = batch(Split::Chunks(3), Merge::Concat, 23);
    (batch.care, batch.place, batch.length) = (skipping(), to_file(), ResultLength::Same);
    let (done, output) = bench.run(batch.clone());
    assert_eq!(output, b"oneBADsix\0\0\x00333\0\0\0endyz");
    assert_eq!(done.output, 23);
    batch.length = ResultLength::Exactly(3);
    batch.split = Split::Records(3);
    let (done, output) = bench.run(batch);
    assert_eq!(done.failures.len(), 3, "the remainder is no record");
    assert_eq!(output.len(), 24, "{output:?}");
}

#[test]
fn a_long_place_is_filled_and_what_stood_there_is_gone() {
    let mut bench = fails();
    let results = "x".repeat(200_000);
    bench.input(results.as_bytes());
    let mut batch = batch(Split::Records(100_000), Merge::Concat, 200_000);
    (batch.care, batch.place, batch.length) = (skipping(), to_file(), ResultLength::Same);
    assert_eq!(bench.run(batch.clone()).1, results.as_bytes());
    bench.input(results.replacen('x', "b", 1).as_bytes());
    let (done, output) = bench.run(batch);
    assert_eq!(failed(&done), [(0, 100_000, 0, 0, 1)]);
    assert!(output[..100_000].iter().all(|byte| *byte == 0) && output[100_000..].iter().all(|byte| *byte == b'x'));
}

#[test]
fn the_budget_of_failures_ends_the_batch() {
    let mut bench = fails();
    bench.input(b"b1\nb2\nb3\nb4\n");
    let mut batch = batch(Split::Lines, Merge::Lines, 12);
    batch.care = skipping();
    batch.budget.failures = 3;
    let (done, _) = bench.run(batch);
    assert_eq!((done.failures.len(), done.rest), (3, Some(Rest { piece: 0, start: 9 })));
}

#[test]
fn the_first_item_can_be_left_out() {
    let mut bench = fails();
    bench.input(b"trap\none\ntrap\nsix\n");
    let mut batch = batch(Split::Lines, Merge::Lines, 18);
    batch.care = Care { leave_out_first: true, ..Care::default() };
    let (done, output) = bench.run(batch.clone());
    assert_eq!(output, b"one\n");
    assert_eq!(done.failures[0].fault, Fault::LeftOut);
    assert_eq!(failed(&done), [(0, 4, 0, 0, 0), (9, 4, 2, 4, 1)], "the second stops the batch, the first does not");
    assert_eq!((done.items, done.rest), (3, Some(Rest { piece: 0, start: 14 })));
    batch.work = Work::Items(vec![piece(0, 9, 18, 18)]);
    let (done, output) = bench.run(batch);
    assert_eq!((failed(&done), output), (vec![(9, 4, 0, 0, 0)], b"six\n".to_vec()));
}

#[test]
fn a_fixed_item_that_is_left_out_keeps_its_place() {
    let mut bench = fails();
    bench.input(b"trponesix");
    let mut batch = batch(Split::Records(3), Merge::Concat, 9);
    batch.care = Care { leave_out_first: true, ..skipping() };
    (batch.place, batch.length) = (to_file(), ResultLength::Same);
    let (done, output) = bench.run(batch);
    assert_eq!((failed(&done), output), (vec![(0, 3, 0, 0, 0)], b"\0\0\0onesix".to_vec()));
}

#[test]
fn an_item_that_asks_for_it_is_run_again_and_its_runs_are_counted() {
    let mut bench = fails();
    bench.input(b"again\none\n");
    let mut batch = batch(Split::Lines, Merge::Lines, 10);
    batch.care = Care { retries: 2, ..skipping() };
    let (done, output) = bench.run(batch);
    assert_eq!((failed(&done), output), (vec![(0, 5, 0, 0, 3)], b"one\n".to_vec()));
    assert!(matches!(done.failures[0].fault, Fault::Temporary(_)));
}

#[test]
fn failures_are_told_across_the_pieces_of_a_batch() {
    let mut bench = fails();
    bench.input(b"bad");
    bench.input_at(1, b"one");
    bench.input_at(2, b"trap");
    let pieces = vec![piece(0, 0, 3, 3), piece(1, 0, 3, 3), piece(2, 0, 4, 4)];
    let mut batch = assignment(Split::Whole, Merge::Concat, Work::Items(pieces));
    let (done, _) = bench.run(batch.clone());
    assert_eq!((done.items, done.rest), (1, Some(Rest { piece: 1, start: 0 })));
    batch.care = skipping();
    let (done, output) = bench.run(batch);
    assert_eq!(output, b"one");
    let sources: Vec<u32> = done.failures.iter().map(|failure| failure.place.source.0).collect();
    assert_eq!((sources, done.items, done.rest), (vec![3, 5], 3, None));
}

#[test]
fn a_file_that_was_cut_short_is_read_as_far_as_it_goes() {
    let mut bench = fails();
    bench.input(b"onesix3");
    let mut batch = assignment(Split::Chunks(3), Merge::Concat, Work::Items(vec![piece(0, 0, 12, 12)]));
    batch.care = skipping();
    let (done, output) = bench.run(batch);
    assert_eq!(output, b"onesix");
    assert_eq!(failed(&done), [(6, 3, 2, 6, 1), (9, 3, 3, 6, 1)]);
    assert!(done.failures.iter().all(|failure| matches!(failure.fault, Fault::Input(_))));
}

#[test]
fn a_long_item_that_cannot_be_read_says_why() {
    let mut bench = fails();
    bench.input(b"short");
    let (done, _) =
        bench.run(assignment(Split::Whole, Merge::Concat, Work::Items(vec![piece(0, 0, 1 << 20, 1 << 20)])));
    let text = done.failures[0].fault.to_string();
    assert!(text.starts_with("the input is shorter than the 1048576 bytes"), "{text}");
}

#[test]
fn behind_the_last_item_the_cell_names_the_batch_and_no_item() {
    let mut bench = fails();
    bench.input(b"one\nsix\n");
    for number in 0..2 {
        bench.run(batch(Split::Lines, Merge::Lines, 8));
        let progress = Progress::decode(bench.progress(), BatchId(number)).expect("it is at this batch");
        assert!(progress.packed && progress.offset == 0, "{progress:?}");
    }
}
