//! Nothing is lost or run twice where a batch stops: however it is cut, results and failures are the same.

use taskhost_protocol::message::Fresh;
use taskhost_protocol::work::{Budget, Merge, Split, Work};

use super::bench::{Bench, batch, bench, piece, raw, skipping};
use super::packed::kernel;

/// All results, and offset and length of all failed items, when each rest is run as the next batch.
fn run_all(bench: &mut Bench, split: Split, bytes: u64, budget: Budget) -> (Vec<u8>, Vec<(u64, u64)>) {
    let (mut output, mut failures, mut start, mut items) = (Vec::new(), Vec::new(), 0, 0);
    loop {
        let mut batch = batch(split, Merge::Concat, bytes);
        (batch.work, batch.care, batch.budget) = (Work::Items(vec![piece(0, start, bytes, bytes)]), skipping(), budget);
        let (done, results) = bench.run(batch);
        output.extend(results);
        failures.extend(done.failures.iter().map(|failure| (failure.place.offset, failure.len)));
        items += done.items;
        match done.rest {
            Some(rest) => {
                assert!(rest.start > start && rest.start < bytes, "{rest:?} of {start}..{bytes}");
                assert_eq!(done.input, rest.start - start);
                start = rest.start;
            }
            None => {
                assert_eq!(items > 0, bytes > 0);
                return (output, failures);
            }
        }
    }
}

/// Lines of 0 to 12 letters, one in seven of them `t…`, at which both kernels trap. Without a newline at the end.
fn input() -> Vec<u8> {
    let mut text = Vec::new();
    for number in 0..400_usize {
        let len = number * 31 % 13;
        let letter = if number * 13 % 7 == 3 { b't' } else { b'x' };
        text.extend(std::iter::repeat_n(letter, len));
        text.push(b'\n');
    }
    text.pop();
    text
}

#[test]
fn results_and_failures_are_the_same_however_batches_stop() {
    let body = "(if (i32.eq (local.get $first) (i32.const 116)) (then unreachable))";
    let input = input();
    let bytes = input.len() as u64;
    let all = Budget { micros: u64::MAX, output: u64::MAX, items: u64::MAX, failures: 6 };
    let budgets = [
        Budget { items: 1, ..all },
        Budget { items: 7, ..all },
        Budget { failures: 1, ..all },
        Budget { failures: 2, ..all },
        Budget { output: 50, ..all },
        Budget { micros: 0, ..all },
    ];
    for split in [Split::Lines, Split::Blocks(16), Split::Blocks(100), Split::Chunks(5), Split::Chunks(64)] {
        let mut one_by_one = bench(raw("", body).as_bytes(), Fresh::Worker, &[]);
        let mut packed = bench(&kernel(), Fresh::Worker, &[]);
        one_by_one.input(&input);
        packed.input(&input);
        let expected = run_all(&mut one_by_one, split, bytes, all);
        assert!(!expected.1.is_empty(), "{split:?}");
        if split == Split::Lines {
            let kept: Vec<u8> = input.iter().copied().filter(|byte| *byte == b'x').collect();
            assert_eq!(expected.0, kept);
        }
        for budget in budgets {
            assert!(run_all(&mut one_by_one, split, bytes, budget) == expected, "{split:?} {budget:?}");
            assert!(run_all(&mut packed, split, bytes, budget) == expected, "packed, {split:?} {budget:?}");
        }
    }
}
