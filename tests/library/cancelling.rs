//! What is not wanted any more is not run any more, and the pool goes on.

use std::thread;
use std::time::{Duration, Instant};

use taskhost::TaskError;

use crate::Scenario;
use crate::kernels::{bytes, pool, primes};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("an_item_that_never_ends_can_be_cancelled", an_item_that_never_ends_can_be_cancelled),
    ("a_dropped_map_is_cancelled", a_dropped_map_is_cancelled),
    ("a_task_that_waits_can_be_cancelled", a_task_that_waits_can_be_cancelled),
    ("a_late_item_fails", a_late_item_fails),
];

/// What a cancel may take, told and done, at least once in a while: others use the machine as well.
const MOMENT: Duration = Duration::from_millis(50);

fn an_item_that_never_ends_can_be_cancelled() {
    let pool = pool();
    let kernel = bytes(&pool, "echo");
    let never = bytes(&pool, "never-returns");
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let mut tasks: Vec<_> = (0..3).map(|_| never.submit_bytes(b"7").expect("the pool is open")).collect();
        assert_eq!(tasks[0].wait_timeout(Duration::from_millis(30)), None);
        let busy: Vec<i32> = busy(&pool);
        let began = Instant::now();
        tasks.iter().for_each(taskhost::Task::cancel);
        for task in tasks {
            assert_eq!(task.wait(), Err(TaskError::Cancelled));
        }
        // Told at once, and soon it is done: nobody is at it any more.
        while busy.iter().any(|process| self::busy(&pool).contains(process)) {
            thread::yield_now();
        }
        best = best.min(began.elapsed());
        assert!(kernel.submit_bytes(b"1").expect("the pool is open").wait().is_ok());
    }
    assert!(best < MOMENT, "{best:?}");
}

/// The processes of workers that have something to do.
fn busy(pool: &taskhost::Pool) -> Vec<i32> {
    pool.stats().workers.into_iter().filter(|worker| worker.is_busy).map(|worker| worker.process).collect()
}

fn a_dropped_map_is_cancelled() {
    let pool = pool();
    let never = bytes(&pool, "never-returns");
    for _ in 0..3 {
        let waiting = thread::scope(|scope| {
            scope.spawn(|| {
                let mut task = never.submit_bytes(b"7").expect("the pool is open");
                task.wait_timeout(Duration::from_millis(20))
            });
            let kernel = primes(&pool);
            let mut map = kernel.map::<_, u64>((0_u64..).map(|number| (number, number + 1000)));
            map.next().is_some()
        });
        assert!(waiting);
    }
}

fn a_task_that_waits_can_be_cancelled() {
    let pool = pool();
    let never = bytes(&pool, "never-returns");
    let at_work: Vec<_> = (0..2).map(|_| never.submit_bytes(b"7").expect("the pool is open")).collect();
    let waiting = never.submit_bytes(b"7").expect("the pool is open");
    waiting.cancel();
    assert_eq!(waiting.wait(), Err(TaskError::Cancelled));
    drop(at_work);
}

fn a_late_item_fails() {
    let builder = taskhost::Pool::builder().workers(1).pin(false).timeout(Duration::from_millis(20));
    let pool = builder.build().expect("this program is its own worker");
    let never = bytes(&pool, "never-returns");
    let error = never.submit_bytes(b"7").expect("the pool is open").wait().expect_err("it never ends");
    assert!(matches!(error, TaskError::Late { item: 0, .. }), "{error}");
}
