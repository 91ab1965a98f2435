//! Single items: waited for, polled, and as futures.

use std::future::Future as _;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use taskhost::{Task, TaskError};

use crate::Scenario;
use crate::kernels::{bytes, pool, primes};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("a_task_has_a_result", a_task_has_a_result),
    ("a_task_can_be_polled", a_task_can_be_polled),
    ("a_task_is_a_future", a_task_is_a_future),
    ("a_task_that_fails_says_why", a_task_that_fails_says_why),
    ("a_thousand_tasks_at_once", a_thousand_tasks_at_once),
    ("a_task_is_not_kept_waiting_by_a_map", a_task_is_not_kept_waiting_by_a_map),
    ("kernels_share_a_pool", kernels_share_a_pool),
    ("all_workers_read_what_is_broadcast", all_workers_read_what_is_broadcast),
];

fn a_task_has_a_result() {
    let pool = pool();
    let one = primes(&pool).submit::<_, u64>(&(2_u64, 100_000_u64)).expect("the pool is open");
    assert_eq!(one.wait(), Ok(9592));
}

fn a_task_can_be_polled() {
    let pool = pool();
    let mut never = bytes(&pool, "never-returns").submit_bytes(b"7").expect("the pool is open");
    assert_eq!(never.try_result(), None);
    assert_eq!(never.wait_timeout(Duration::from_millis(5)), None);
    let mut some = primes(&pool).submit::<_, u64>(&(0_u64, 10_u64)).expect("the pool is open");
    let result = std::iter::from_fn(|| Some(some.try_result())).flatten().next();
    assert_eq!(result, Some(Ok(4)));
}

fn a_task_is_a_future() {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let pool = pool();
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut task = Box::pin(primes(&pool).submit::<_, u64>(&(2_u64, 50_000_u64)).expect("the pool is open"));
    let result = loop {
        match task.as_mut().poll(&mut context) {
            Poll::Ready(result) => break result,
            Poll::Pending => thread::park(),
        }
    };
    assert_eq!(result, Ok(5133));
}

fn a_task_that_fails_says_why() {
    let pool = pool();
    let task = bytes(&pool, "trap-on-7").submit_bytes(b"7").expect("the pool is open");
    let error = task.wait().expect_err("it traps");
    assert!(matches!(&error, TaskError::Trapped { item: 0, reason, .. } if reason.contains("unreachable")), "{error}");
    let wrong: Task<String> = primes(&pool).submit(&(0_u64, 2000_u64)).expect("the pool is open");
    assert!(matches!(wrong.wait(), Err(TaskError::Read { .. })), "a number is no text");
}

fn a_thousand_tasks_at_once() {
    let pool = pool();
    let echo = bytes(&pool, "echo");
    let tasks: Vec<Task<u32>> = (0..1000_u32).map(|number| echo.submit(&number).expect("the pool is open")).collect();
    for (number, task) in (0..).zip(tasks) {
        assert_eq!(task.wait(), Ok(number));
    }
}

fn a_task_is_not_kept_waiting_by_a_map() {
    let pool = pool();
    let kernel = primes(&pool);
    let mut endless = kernel.map::<_, u64>((0_u64..).map(|number| (number, number + 50))).read_ahead(1 << 16);
    assert!(endless.next().is_some());
    let task = kernel.submit::<_, u64>(&(0_u64, 10_u64)).expect("the pool is open");
    assert_eq!(task.wait(), Ok(4));
    assert!(endless.next().is_some());
}

fn kernels_share_a_pool() {
    let pool = pool();
    let (primes, echo) = (primes(&pool), bytes(&pool, "echo"));
    let texts =
        primes.map::<_, u64>((0..50_u64).map(|high| (0, high))).map(|count| count.expect("a range").to_string());
    let back: Vec<Vec<u8>> = echo.map_bytes(texts).collect::<Result<_, _>>().expect("an echo does not fail");
    assert_eq!((back.len(), back[49].as_slice()), (50, b"15".as_slice()));
}

fn all_workers_read_what_is_broadcast() {
    // Gives as many bytes of the data `words`, from its third on, as the item has.
    let reader = br#"(module
        (import "taskhost" "broadcast_read" (func $read (param i32 i32 i64 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "words")
        (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
        (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
            (i64.or
                (i64.shl (i64.const 2048) (i64.const 32))
                (i64.extend_i32_u (call $read
                    (i32.const 0) (i32.const 5) (i64.const 2) (i32.const 2048) (local.get $len))))))"#;
    let builder =
        taskhost::Pool::builder().workers(2).pin(false).broadcast("others", *b"xyz").broadcast("words", *b"abcdef");
    let pool = builder.build().expect("this program is its own worker");
    let kernel = pool.kernel(reader.as_slice()).expect("it is one");
    let found: Vec<Vec<u8>> =
        kernel.map_bytes(["-", "---", "--------"]).collect::<Result<_, _>>().expect("all are read");
    assert_eq!(found, [b"c".to_vec(), b"cde".to_vec(), b"cdef".to_vec()]);
    let twice = taskhost::Pool::builder().broadcast("a", *b"1").broadcast("a", *b"2").build();
    assert!(twice.is_err(), "which of them would a kernel get?");
}
