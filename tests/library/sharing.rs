//! Several jobs on one pool: how they share its cores, whether they are of one kernel or of several.
//!
//! What counts is CPU time, however busy the machine is. What is exact is held by `host/pool/src/lending/tests.rs`, and for the jobs
//! of one kernel by `host/pool/src/state/turns.rs`.

use std::io::Write as _;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use taskhost::{Kernel, Pool};

use crate::Scenario;
use crate::kernels::{bytes, pool, primes};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("jobs_of_one_kernel_share_by_weight", jobs_of_one_kernel_share_by_weight),
    ("jobs_of_two_kernels_share_by_weight", jobs_of_two_kernels_share_by_weight),
    ("a_third_job_is_answered_soon", a_third_job_is_answered_soon),
    ("a_job_has_no_more_workers_than_it_may", a_job_has_no_more_workers_than_it_may),
    ("the_workers_of_idle_kernels_are_ended", the_workers_of_idle_kernels_are_ended),
];

/// Items of a batch, some 5 ms: as many for all, so that the same is added to each item.
const BATCH: usize = 100;

/// Seconds of CPU time for which jobs run beside each other: a few, or as many as it is asked for.
fn time() -> Duration {
    let asked = std::env::var("TASKHOST_SHARING_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(asked.unwrap_or(3))
}

/// The same kernel, and not the same: it counts primes as `primes` does, but has other bytes.
pub(crate) fn other_primes(pool: &Pool) -> Kernel {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/embed/primes.wasm");
    let mut wasm = std::fs::read(path).expect("it is there");
    // A custom section without contents, named `x`.
    wasm.extend([0, 2, 1, b'x']);
    pool.kernel(wasm).expect("it is a kernel")
}

/// A map that runs until it is told to stop.
#[derive(Default)]
struct Running {
    read: AtomicUsize,
    stop: AtomicBool,
}

impl Running {
    fn run(&self, kernel: &Kernel, weight: u32) {
        let map = kernel.map::<_, u64>((0_u64..).map(|_| (0_u64, 3000_u64)));
        // So far ahead that it has something to run, however seldom this thread does.
        let map = map.weight(NonZeroU32::new(weight).expect("not 0")).read_ahead(1 << 12).batch(BATCH as u64);
        map.take_while(|_| !self.stop.load(Ordering::Relaxed)).for_each(|_| {
            self.read.fetch_add(1, Ordering::Relaxed);
        });
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn read(&self) -> usize {
        self.read.load(Ordering::Relaxed)
    }
}

/// Runs two maps of weights 3 and 1 beside each other, until the workers had so much CPU time together; what each map got in
/// that time, by `measure`.
fn share(pool: &Pool, kernels: [&Kernel; 2], measure: impl Fn(&[Running; 2]) -> [f64; 2]) -> f64 {
    let running = [Running::default(), Running::default()];
    let cpu = || pool.stats().workers.iter().map(|worker| worker.cpu).sum::<Duration>();
    let got = thread::scope(|scope| {
        scope.spawn(|| running[0].run(kernels[0], 3));
        scope.spawn(|| running[1].run(kernels[1], 1));
        // Both know what an item costs by then.
        while running.iter().any(|running| running.read() < 1000) {
            thread::yield_now();
        }
        let (began, before) = (cpu(), measure(&running));
        while cpu() < began + time() {
            thread::park_timeout(Duration::from_millis(10));
        }
        let after = measure(&running);
        running.iter().for_each(Running::stop);
        [after[0] - before[0], after[1] - before[1]]
    });
    let ratio = got[0] / got[1];
    let _ = writeln!(std::io::stdout(), "    {:.3} to {:.3}: {ratio:.3}", got[0], got[1]);
    ratio
}

fn jobs_of_one_kernel_share_by_weight() {
    let pool = pool();
    let kernel = primes(&pool);
    let read = |running: &[Running; 2]| running.each_ref().map(|running| running.read() as f64);
    let ratio = share(&pool, [&kernel, &kernel], read);
    // Items are counted when they are read, which on a machine that others use is some time after they were run.
    assert!((2.0..4.5).contains(&ratio), "{ratio}");
}

fn jobs_of_two_kernels_share_by_weight() {
    let pool = pool();
    let (three, one) = (primes(&pool), other_primes(&pool));
    let cpu = |_: &[Running; 2]| {
        let kernels = pool.stats().kernels;
        [&three, &one].map(|kernel| {
            let own = kernels.iter().filter(|known| *known.kernel == *kernel.name());
            own.map(|known| known.cpu.as_secs_f64()).sum()
        })
    };
    let ratio = share(&pool, [&three, &one], cpu);
    assert!((2.85..3.15).contains(&ratio), "{ratio}");
}

/// Batches of others that are run, in the median, while a single item waits and is run.
const MOST_WAITED_FOR: usize = 4;

fn a_third_job_is_answered_soon() {
    let pool = pool();
    let (first, second, third) = (primes(&pool), other_primes(&pool), bytes(&pool, "echo"));
    let running = [Running::default(), Running::default()];
    let read = || running.iter().map(Running::read).sum::<usize>();
    let mut waits = thread::scope(|scope| {
        scope.spawn(|| running[0].run(&first, 3));
        scope.spawn(|| running[1].run(&second, 1));
        let mut waits = Vec::new();
        for _ in 0..100 {
            let before = read();
            while read() < before + 2 * BATCH {
                thread::yield_now();
            }
            let (before, began) = (read(), Instant::now());
            let result = third.submit_bytes(b"x").expect("the pool is open").wait();
            waits.push(((read() - before).div_ceil(BATCH), began.elapsed()));
            assert_eq!(result.as_deref(), Ok(b"x".as_slice()));
        }
        running.iter().for_each(Running::stop);
        waits
    });
    waits.sort_unstable();
    let (batches, time) = waits[waits.len() / 2];
    let _ = writeln!(std::io::stdout(), "    while {batches} batches of others were run, in {time:?}");
    assert!(batches <= MOST_WAITED_FOR, "{batches}");
}

fn a_job_has_no_more_workers_than_it_may() {
    let pool = pool();
    let kernel = bytes(&pool, "never-returns");
    let mut map = kernel.map_bytes(vec![b"7"; 40]).workers(NonZeroUsize::MIN).batch(1);
    thread::scope(|scope| {
        scope.spawn(|| map.next());
        // The other worker is free as long as the map runs, which is until the pool ends.
        let echo = bytes(&pool, "echo");
        for _ in 0..20 {
            assert_eq!(echo.submit_bytes(b"x").expect("the pool is open").wait().as_deref(), Ok(b"x".as_slice()));
        }
        let mut second = kernel.submit_bytes(b"7").expect("the pool is open");
        assert_eq!(second.wait_timeout(Duration::from_millis(50)), None);
        drop(second);
        pool.close();
    });
}

fn the_workers_of_idle_kernels_are_ended() {
    let pool = Pool::builder().workers(2).warm(1).pin(false).build().expect("this program is its own worker");
    let kernels = ["echo", "trap-on-7", "never-returns"].map(|name| bytes(&pool, name));
    for round in 0..3 {
        for kernel in &kernels[..2] {
            let results: Vec<_> = kernel.map_bytes((0..200).map(|_| b"x")).collect();
            assert!(results.iter().all(Result::is_ok), "{round}");
        }
    }
    let began = Instant::now();
    while crate::ending::workers() > 3 {
        assert!(began.elapsed() < Duration::from_secs(10), "{} workers", crate::ending::workers());
        thread::yield_now();
    }
}
