//! Items that are run together, and whoever is told of each.

use std::sync::mpsc;
use std::time::Duration;

use taskhost::{Error, Outcome, Pool};

use crate::Scenario;
use crate::kernels::{bytes, pool};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("each_item_is_told_of_once", each_item_is_told_of_once),
    ("what_is_dropped_is_given_up", what_is_dropped_is_given_up),
    ("a_pool_beside_another_has_its_cores", a_pool_beside_another_has_its_cores),
];

fn each_item_is_told_of_once() {
    let pool = pool();
    let kernel = bytes(&pool, "trap-on-7");
    for count in [1, 3, 100] {
        let (sender, receiver) = mpsc::channel();
        let items: Vec<Vec<u8>> =
            (0..count).map(|item| if item % 5 == 2 { b"7".to_vec() } else { b"x".to_vec() }).collect();
        let told = move |item, outcome| sender.send((item, outcome)).expect("somebody listens");
        let running = kernel.submit_together(&items, told).expect("the pool is open");
        let mut outcomes: Vec<(usize, Outcome)> = receiver.iter().collect();
        drop(running);
        outcomes.sort_by_key(|(item, _)| *item);
        assert_eq!(outcomes.len(), count);
        for (number, (item, outcome)) in outcomes.into_iter().enumerate() {
            assert_eq!(item, number);
            match outcome {
                Outcome::Done(result) => assert_eq!(result, b"x"),
                Outcome::Failed(verdict) => assert_eq!((verdict.name(), number % 5), ("kernel-trap", 2)),
                Outcome::Lost(why) => panic!("{why}"),
            }
        }
    }
    assert!(!pool.cpu_time().is_zero());
}

fn what_is_dropped_is_given_up() {
    let pool = pool();
    let never = bytes(&pool, "never-returns");
    let (sender, receiver) = mpsc::channel();
    let told = move |item, outcome| drop(sender.send((item, outcome)));
    let running = never.submit_together(&[b"7", b"y"], told).expect("the pool is open");
    let busy = || pool.stats().workers.iter().filter(|worker| worker.is_busy).count();
    while busy() == 0 {
        std::thread::yield_now();
    }
    assert!(receiver.recv_timeout(Duration::from_millis(1)).is_err());
    drop(running);
    let told: Vec<(usize, Outcome)> = receiver.iter().collect();
    assert!(told.len() == 2 && told.iter().all(|(_, outcome)| matches!(outcome, Outcome::Lost(_))), "{told:?}");
    while busy() > 0 {
        std::thread::yield_now();
    }
}

fn a_pool_beside_another_has_its_cores() {
    let first = Pool::builder().workers(1).warm(0).build().expect("a pool");
    let second = Pool::builder().beside(&first).memory(16 << 20).build().expect("a pool");
    let (one, other) = (bytes(&first, "echo"), bytes(&second, "echo"));
    for _ in 0..3 {
        for kernel in [&one, &other] {
            assert_eq!(kernel.submit_bytes(b"x").expect("it is open").wait().as_deref(), Ok(b"x".as_slice()));
        }
    }
    // Of two workers, one is kept.
    while first.stats().workers.len() + second.stats().workers.len() > 1 {
        std::thread::yield_now();
    }
    drop(first);
    assert_eq!(other.submit_bytes(b"y").expect("it is open").wait().as_deref(), Ok(b"y".as_slice()));
    drop(second);
    assert!(matches!(other.submit_bytes(b"x"), Err(Error::Closed)));
}
