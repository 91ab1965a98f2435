//! Maps: all results, in order, no more items than needed, and a bad item costs itself.

use std::cell::Cell;
use std::time::{Duration, Instant};

use taskhost::{Blame, TaskError};

use crate::Scenario;
use crate::kernels::{bytes, count, first_party, pool, primes};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("values_come_back_in_order", values_come_back_in_order),
    ("a_million_small_items", a_million_small_items),
    ("nothing_is_lost_out_of_order", nothing_is_lost_out_of_order),
    ("an_endless_iterator_is_read_as_far_as_needed", an_endless_iterator_is_read_as_far_as_needed),
    ("a_slow_iterator_holds_back_no_result", a_slow_iterator_holds_back_no_result),
    ("one_bad_item_is_one_error", one_bad_item_is_one_error),
    ("many_bad_items_keep_their_numbers", many_bad_items_keep_their_numbers),
    ("what_cannot_be_written_is_an_error_in_its_place", what_cannot_be_written_is_an_error_in_its_place),
    ("items_of_all_lengths", items_of_all_lengths),
    ("no_items_no_results", no_items_no_results),
    ("maps_at_the_same_time", maps_at_the_same_time),
    ("kernels_that_give_no_result_for_each_item_are_refused", kernels_that_give_no_result_for_each_item_are_refused),
];

fn values_come_back_in_order() {
    let pool = pool();
    let ranges = (0..300_u64).map(|index| (index * 100, index * 100 + 100));
    let found: Vec<u64> = primes(&pool).map(ranges).collect::<Result<_, _>>().expect("all are ranges");
    let expected: Vec<u64> = (0..300).map(|index| count(index * 100, index * 100 + 100)).collect();
    assert_eq!(found, expected);
}

fn a_million_small_items() {
    let pool = pool();
    let echo = bytes(&pool, "echo");
    let mut number = 0_u32;
    for result in echo.map::<_, u32>(0..1_000_000_u32) {
        assert_eq!(result, Ok(number));
        number += 1;
    }
    assert_eq!(number, 1_000_000);
}

fn nothing_is_lost_out_of_order() {
    let pool = pool();
    let mut seen = vec![false; 10_000];
    for (item, result) in bytes(&pool, "trap-on-7").map_unordered::<_, u64>(0..10_000_u64) {
        let first = &mut seen[usize::try_from(item).expect("a small number")];
        assert!(!std::mem::replace(first, true), "{item} came twice");
        match result {
            Ok(value) => assert_eq!(value, item),
            Err(error) => assert_eq!(error.item(), Some(item)),
        }
    }
    assert!(seen.iter().all(|seen| *seen));
}

fn an_endless_iterator_is_read_as_far_as_needed() {
    let pool = pool();
    let taken = Cell::new(0_u64);
    let endless = (0_u64..).inspect(|_| taken.set(taken.get() + 1)).map(|number| (number, number + 1));
    let kernel = primes(&pool);
    let map = kernel.map::<_, u64>(endless).read_ahead(64);
    let first: Vec<u64> = map.filter(|count| *count == Ok(1)).flatten().take(10).collect();
    assert_eq!(first.len(), 10);
    assert!((30..=30 + 64).contains(&taken.get()), "29 is the tenth prime, and {} were taken", taken.get());
}

fn a_slow_iterator_holds_back_no_result() {
    let pool = pool();
    let echo = bytes(&pool, "echo");
    let (is_seen, taken) = (Cell::new(false), Cell::new(0_u32));
    let slow = (0..100_u32).inspect(|_| {
        if is_seen.get() {
            return;
        }
        // Before the second, the first has been run; and it takes longer and longer, so that a busy machine can keep up.
        while taken.get() > 0 && pool.stats().items == 0 {
            std::thread::yield_now();
        }
        let (began, pause) = (Instant::now(), Duration::from_millis(2 << taken.get().min(10)));
        while began.elapsed() < pause {
            std::hint::spin_loop();
        }
        taken.set(taken.get() + 1);
    });
    let mut map = echo.map::<_, u32>(slow);
    assert_eq!(map.next(), Some(Ok(0)));
    is_seen.set(true);
    assert!(taken.get() < 8, "{} items were taken before the first result was given", taken.get());
    assert_eq!(map.collect::<Result<Vec<_>, _>>(), Ok((1..100).collect()));
}

fn one_bad_item_is_one_error() {
    let pool = pool();
    let ranges = (0..100_u64).map(|index| if index == 42 { (9, 3) } else { (0, index) });
    let results: Vec<Result<u64, TaskError>> = primes(&pool).map(ranges).collect();
    assert_eq!(results.len(), 100);
    for (index, result) in results.iter().enumerate() {
        match result {
            Ok(found) => assert_eq!(*found, count(0, index as u64)),
            Err(error) => {
                assert_eq!((index, error.item(), error.blame()), (42, Some(42), Blame::Item));
                assert!(matches!(error, TaskError::InvalidInput { .. }), "{error:?}");
            }
        }
    }
}

fn many_bad_items_keep_their_numbers() {
    let pool = pool();
    let items = (0..5000_u32).map(|number| if number % 3 == 0 { "7".to_owned() } else { number.to_string() });
    let mut number = 0;
    for result in bytes(&pool, "trap-on-7").map_bytes(items) {
        match result {
            Ok(bytes) => assert_eq!(bytes, number.to_string().as_bytes()),
            Err(error) => {
                assert!(number % 3 == 0 || number == 7, "{number}: {error}");
                assert_eq!(error.item(), Some(number));
            }
        }
        number += 1;
    }
    assert_eq!(number, 5000);
}

fn what_cannot_be_written_is_an_error_in_its_place() {
    struct Odd(u32);
    impl serde::Serialize for Odd {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if self.0 % 10 == 3 {
                Err(serde::ser::Error::custom("no threes"))
            } else {
                serializer.serialize_u32(self.0)
            }
        }
    }
    let pool = pool();
    let echo = bytes(&pool, "echo");
    for (number, result) in (0..100).zip(echo.map::<_, u32>((0..100).map(Odd))) {
        match result {
            Ok(value) => assert_eq!(value, number),
            Err(error) => {
                assert!(matches!(error, TaskError::Write { .. }), "{error}");
                assert_eq!((error.item(), number % 10), (Some(number.into()), 3));
            }
        }
    }
    let mut numbers: Vec<u64> = Vec::new();
    for (item, result) in echo.map_unordered::<_, u32>((0..100).map(Odd)) {
        assert!(result.map_or(item % 10 == 3, |value| u64::from(value) == item));
        numbers.push(item);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
}

fn items_of_all_lengths() {
    let pool = pool();
    let lens = [0, 1, 4095, 4096, 65_535, 65_536, 200_000, 300_000, 5 << 20, 0, 12 << 20, 3];
    let items: Vec<Vec<u8>> = lens.iter().map(|len| (0..*len).map(|at| (at % 251) as u8).collect()).collect();
    let results: Vec<Vec<u8>> =
        first_party(&pool, "echo").map_bytes(&items).collect::<Result<_, _>>().expect("all fit");
    assert!(results == items);
}

fn no_items_no_results() {
    let pool = pool();
    assert_eq!(bytes(&pool, "echo").map::<[u32; 0], u32>([]).count(), 0);
}

fn maps_at_the_same_time() {
    let pool = pool();
    let echo = bytes(&pool, "echo");
    let (mut one, mut two) = (echo.map::<_, u32>(0..5000_u32), echo.map::<_, u32>(0_u32..));
    for number in 0..5000 {
        assert_eq!((one.next(), two.next()), (Some(Ok(number)), Some(Ok(number))));
    }
    assert_eq!(one.next(), None);
}

fn kernels_that_give_no_result_for_each_item_are_refused() {
    for (name, what) in [("grep", "flat-mapper"), ("sobel", "filters pictures")] {
        let builder = taskhost::Pool::builder().workers(1).pin(false);
        let builder = if name == "grep" { builder.config("pattern", "x") } else { builder };
        let pool = builder.build().expect("this program is its own worker");
        let kernel = first_party(&pool, name);
        let results: Vec<_> = kernel.map_bytes(["x", "y"]).collect();
        assert!(matches!(&results[..], [Err(TaskError::Lost(why))] if why.contains(what)), "{results:?}");
        assert!(kernel.submit_bytes(b"x").is_err_and(|error| error.to_string().contains(what)));
    }
}
