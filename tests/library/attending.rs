//! A loop of the program's own that attends to a kernel, in place of the pool's thread.

use std::os::fd::AsFd as _;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::Duration;

use taskhost::{Attendance, Error, Kernel, Outcome, Pool, Together};
use taskhost_os::poll::wait_readable_for;

use crate::Scenario;
use crate::kernels::{bytes, pool};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("the_loop_is_told_of_results", the_loop_is_told_of_results),
    ("what_only_the_pools_thread_can_do_is_done", what_only_the_pools_thread_can_do_is_done),
    ("who_leaves_leaves_nothing_undone", who_leaves_leaves_nothing_undone),
    ("others_may_wait_while_a_loop_attends", others_may_wait_while_a_loop_attends),
    ("a_pool_that_is_attended_to_can_be_closed", a_pool_that_is_attended_to_can_be_closed),
];

type Told = Receiver<(usize, Outcome, std::thread::ThreadId)>;

fn submit(kernel: &Kernel, items: &[Vec<u8>]) -> (Together, Told) {
    let (sender, receiver) = mpsc::channel();
    let told = move |item, outcome| drop(sender.send((item, outcome, std::thread::current().id())));
    (kernel.submit_together(items, told).expect("the pool is open"), receiver)
}

/// The loop, until all of them are told of.
fn attend(attendance: &Attendance, told: &Told) -> Vec<(usize, Outcome, std::thread::ThreadId)> {
    let mut all = Vec::new();
    loop {
        match told.try_recv() {
            Ok(one) => all.push(one),
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                // Not for ever: it may be the pool's thread that is told of the last one.
                wait_readable_for(attendance.as_fd(), Some(Duration::from_millis(10))).expect("it can be watched");
                while attendance.turn() {}
            }
        }
    }
    all.sort_by_key(|(item, ..)| *item);
    all
}

fn the_loop_is_told_of_results() {
    let pool = pool();
    let kernel = bytes(&pool, "trap-on-7");
    let attendance = kernel.attend().expect("the pool is open");
    let mut here = 0;
    for count in [1, 3, 100, 1, 1, 1] {
        let items: Vec<Vec<u8>> =
            (0..count).map(|item| if item % 5 == 2 { b"7".to_vec() } else { b"x".to_vec() }).collect();
        let (_running, told) = submit(&kernel, &items);
        let told = attend(&attendance, &told);
        assert_eq!(told.len(), count);
        for (number, (item, outcome, thread)) in told.into_iter().enumerate() {
            assert_eq!(item, number);
            here += usize::from(thread == std::thread::current().id());
            match outcome {
                Outcome::Done(result) => assert_eq!(result, b"x"),
                Outcome::Failed(verdict) => assert_eq!((verdict.name(), number % 5), ("kernel-trap", 2)),
                Outcome::Lost(why) => panic!("{why}"),
            }
        }
    }
    // The pool's thread looks some times a second, and may be the one that finds something; but not always.
    while here == 0 {
        let (_running, told) = submit(&kernel, &[b"x".to_vec()]);
        here = attend(&attendance, &told).iter().filter(|(.., thread)| *thread == std::thread::current().id()).count();
    }
}

fn what_only_the_pools_thread_can_do_is_done() {
    let pool = Pool::builder().workers(1).timeout(Duration::from_millis(100)).build().expect("a pool");
    let kernel = bytes(&pool, "never-returns");
    let attendance = kernel.attend().expect("the pool is open");
    // Its worker is ended, and another started: by the thread whose children they are.
    for item in [b"7", b"x", b"7", b"x"] {
        let (_running, told) = submit(&kernel, &[item.to_vec()]);
        match attend(&attendance, &told).as_slice() {
            [(0, Outcome::Done(result), _)] => assert_eq!((result.as_slice(), item), (b"x".as_slice(), b"x")),
            [(0, Outcome::Failed(verdict), _)] => assert_eq!((verdict.name(), item), ("deadline", b"7")),
            other => panic!("{other:?}"),
        }
    }
}

fn who_leaves_leaves_nothing_undone() {
    let pool = pool();
    let kernel = bytes(&pool, "echo");
    // Often, since it is a matter of who is where: the pool's thread may be in the middle of a step, rest, or be on its way there.
    for _ in 0..500 {
        let attendance = kernel.attend().expect("the pool is open");
        let (_running, told) = submit(&kernel, &[b"x".to_vec(), b"y".to_vec()]);
        drop(attendance);
        assert_eq!(told.iter().count(), 2);
    }
}

fn others_may_wait_while_a_loop_attends() {
    let pool = pool();
    let kernel = bytes(&pool, "echo");
    let attendance = kernel.attend().expect("the pool is open");
    for _ in 0..20 {
        // Nobody turns.
        assert_eq!(kernel.submit_bytes(b"x").expect("it is open").wait().as_deref(), Ok(b"x".as_slice()));
    }
    let mut results = kernel.map_bytes((0..100).map(|_| b"y".to_vec()));
    assert!(results.all(|result| result.as_deref() == Ok(b"y".as_slice())));
    drop(attendance);
}

fn a_pool_that_is_attended_to_can_be_closed() {
    let pool = pool();
    let kernel = bytes(&pool, "never-returns");
    let attendance = kernel.attend().expect("the pool is open");
    let (running, told) = submit(&kernel, &[b"7".to_vec()]);
    drop(pool);
    assert!(matches!(told.recv(), Ok((0, Outcome::Lost(_), _))));
    assert!(!attendance.turn() || attendance.turn(), "there is nothing to do, which is no mistake");
    drop((running, attendance));
    assert!(matches!(kernel.attend(), Err(Error::Closed)));
}
