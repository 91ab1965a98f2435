//! Reductions and counts: one result of all items, exact whatever happens to workers.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use taskhost::{Error, Pool, TaskError};

use crate::Scenario;
use crate::kernels::{bytes, first_party, pool};

pub(crate) const SCENARIOS: &[Scenario] = &[
    (
        "a_reduction_has_the_same_bits_for_any_number_of_workers",
        a_reduction_has_the_same_bits_for_any_number_of_workers,
    ),
    ("words_are_counted_on_all_cores", words_are_counted_on_all_cores),
    ("a_reduction_takes_items_as_they_are_run", a_reduction_takes_items_as_they_are_run),
    ("a_reduction_without_an_item_has_no_result", a_reduction_without_an_item_has_no_result),
    ("a_reduction_of_nothing_and_of_one_item", a_reduction_of_nothing_and_of_one_item),
    ("only_kernels_that_reduce_do", only_kernels_that_reduce_do),
    ("counts_are_exact_when_workers_are_killed", counts_are_exact_when_workers_are_killed),
];

/// Numbers whose sum depends on the order in which they are added.
fn numbers() -> impl Iterator<Item = f64> {
    (0..200_000_u32).map(|number| f64::from(number).sin() * 1e10 + f64::from(number) / 3.0)
}

fn of(workers: usize) -> Pool {
    Pool::builder().workers(workers).pin(false).build().expect("this program is its own worker")
}

fn a_reduction_has_the_same_bits_for_any_number_of_workers() {
    let sums: Vec<u64> = [1, 2, 5]
        .map(|workers| {
            let pool = of(workers);
            bytes(&pool, "sum").reduce::<_, f64>(numbers()).expect("all are numbers").to_bits()
        })
        .to_vec();
    assert_eq!((sums[0], sums[0]), (sums[1], sums[2]));
    let plain: f64 = numbers().sum();
    assert!((f64::from_bits(sums[0]) - plain).abs() < plain.abs() * 1e-9, "{plain}");
}

fn words_are_counted_on_all_cores() {
    let pool = pool();
    let line = |number: usize| format!("to be or not to be {}", number % 10);
    let counted = first_party(&pool, "wordcount").reduce_bytes((0..10_000).map(line)).expect("all are words");
    let text = String::from_utf8(counted).expect("text");
    let of = |word: &str| text.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix('\t')).map(str::to_owned);
    assert_eq!((of("be"), of("or"), of("7")), (Some("20000".into()), Some("10000".into()), Some("1000".into())));
}

fn a_reduction_takes_items_as_they_are_run() {
    // What was taken and not yet run is no more than waits in line, lies in workers' hands and is being cut: here less than half.
    const ITEMS: u64 = 1_000;
    let (pool, taken, ahead) = (pool(), Cell::new(0_u64), Cell::new(0_u64));
    let items = (0..ITEMS).map(|_| {
        taken.set(taken.get() + 1);
        ahead.set(ahead.get().max(taken.get().saturating_sub(pool.stats().items)));
        "to be or not to be ".repeat(10_000)
    });
    let counted = first_party(&pool, "wordcount").reduce_bytes(items).expect("all are words");
    assert!(String::from_utf8_lossy(&counted).contains(&format!("be\t{}\n", 2 * 10_000 * ITEMS)));
    assert_eq!(taken.get(), ITEMS);
    assert!(ahead.get() < ITEMS / 2, "{} items were taken ahead", ahead.get());
}

fn a_reduction_without_an_item_has_no_result() {
    let pool = pool();
    let sum = bytes(&pool, "sum");
    let items = (0..100_000_u32).map(|number| if number % 50_000 == 777 { f64::NAN } else { 1.0 });
    match sum.reduce::<_, f64>(items) {
        Err(Error::Task(TaskError::Trapped { item, .. })) => assert_eq!(item, 777, "the first that fails is named"),
        other => panic!("{other:?}"),
    }
    // A kernel that cannot join says so, and the pool goes on.
    match bytes(&pool, "combine-traps").reduce_bytes(["a", "b"]) {
        Err(Error::Task(TaskError::Lost(why))) => assert!(why.contains("combine"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(sum.reduce::<_, f64>([1.0, 2.5]).expect("all are numbers"), 3.5);
    // Neither does one whose items or whose iterator fails hang.
    struct Unwritable;
    impl serde::Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it cannot be"))
        }
    }
    let unwritten = sum.reduce::<_, f64>([Unwritable]);
    assert!(matches!(unwritten, Err(Error::Task(TaskError::Write { item: 0, .. }))), "{unwritten:?}");
    let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        sum.reduce::<_, f64>(
            (0..50_000).map(|number| if number < 40_000 { 1.0 } else { std::panic::resume_unwind(Box::new(())) }),
        )
    }));
    assert!(broken.is_err());
    assert_eq!(sum.reduce::<_, f64>([4.0]).expect("all are numbers"), 4.0);
}

fn a_reduction_of_nothing_and_of_one_item() {
    let pool = pool();
    assert_eq!(bytes(&pool, "sum").reduce::<[f64; 0], f64>([]).expect("the sum of nothing"), 0.0);
    assert_eq!(bytes(&pool, "sum").reduce::<_, f64>([7.5]).expect("one number"), 7.5);
    assert_eq!(first_party(&pool, "wordcount").reduce_bytes([""; 0]).expect("no words"), b"");
    let wrong = bytes(&pool, "sum").reduce::<_, (u64, String)>([1.0]);
    assert!(matches!(wrong, Err(Error::Task(TaskError::Lost(_)))), "{wrong:?}");
}

fn only_kernels_that_reduce_do() {
    let pool = pool();
    match bytes(&pool, "echo").reduce_bytes(["a"]) {
        Err(Error::Refused { reason, .. }) => assert!(reason.contains("`reducer`"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let sum = bytes(&pool, "sum");
    pool.close();
    assert!(matches!(sum.reduce::<_, f64>([1.0]), Err(Error::Closed)));
}

fn counts_are_exact_when_workers_are_killed() {
    let pool = Pool::builder().workers(2).pin(false).retries(1000).build().expect("this program is its own worker");
    let (slow, is_over) = (bytes(&pool, "slow-count"), AtomicBool::new(false));
    let results = thread::scope(|scope| {
        scope.spawn(|| {
            // Whatever runs, now and then, until nothing does; on a busy machine not before something was run meanwhile.
            let mut before = 0;
            while !is_over.load(Ordering::Relaxed) {
                thread::park_timeout(Duration::from_millis(40));
                let stats = pool.stats();
                if let Some(worker) = stats.workers.first().filter(|_| stats.items > before) {
                    before = stats.items;
                    let process = rustix::process::Pid::from_raw(worker.process).expect("no process has the number 0");
                    // It may just have ended.
                    let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
                }
            }
        });
        let results: Vec<_> = slow.map_bytes((0..1000_u32).map(|number| vec![b'x'; number as usize % 7])).collect();
        is_over.store(true, Ordering::Relaxed);
        results
    });
    assert!(results.iter().all(Result::is_ok), "{:?}", results.iter().find(|result| result.is_err()));
    let bytes: u64 = results.iter().flatten().map(|result| result.len() as u64).sum();
    let stats = pool.stats();
    assert_eq!((stats.counter("items"), stats.counter("bytes"), stats.counter("others")), (1000, bytes, 0));
    // Of a map that nobody reads to its end, what was given counts, and nothing twice.
    drop(slow.map_bytes(["x"; 100]).take(3).collect::<Vec<_>>());
    assert!((1003..=1100).contains(&pool.stats().counter("items")), "{}", pool.stats().counter("items"));
}
