//! How fast it is: run by name, since figures of a busy machine are no test.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::Scenario;
use crate::kernels::{bytes, pool};

pub(crate) const SCENARIOS: &[Scenario] =
    &[("speed_of_maps", speed_of_maps), ("speed_of_tasks", speed_of_tasks), ("speed_of_cancels", speed_of_cancels)];

fn speed_of_maps() {
    let pool = pool();
    let echo = bytes(&pool, "echo");
    for items in [200_000_u32, 2_000_000] {
        let began = Instant::now();
        let sum: u64 = echo.map::<_, u32>(0..items).map(|value| u64::from(value.expect("an echo"))).sum();
        let seconds = began.elapsed().as_secs_f64();
        assert_eq!(sum, u64::from(items) * u64::from(items - 1) / 2);
        let _ = writeln!(std::io::stdout(), "{items} items: {:.2} million a second", f64::from(items) / seconds / 1e6);
    }
}

fn speed_of_tasks() {
    let pool = pool();
    let echo = bytes(&pool, "echo");
    let mut took: Vec<f64> = (0..3000_u32)
        .map(|number| {
            let began = Instant::now();
            let result = echo.submit::<_, u32>(&number).expect("the pool is open").wait();
            assert_eq!(result, Ok(number));
            began.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    let median = |took: &mut [f64]| {
        took.sort_by(f64::total_cmp);
        took[took.len() / 2]
    };
    // What it takes when nobody else has the machine.
    let best = took.chunks_mut(50).map(median).fold(f64::MAX, f64::min);
    let all = median(&mut took);
    let _ = writeln!(std::io::stdout(), "a task: median {all:.0} µs, of the best fifty {best:.0} µs");
}

/// From the cancel of two items that never end until another item has its result.
fn speed_of_cancels() {
    let pool = pool();
    let never = bytes(&pool, "never-returns");
    for _ in 0..5 {
        let mut tasks = [(); 2].map(|()| never.submit_bytes(b"7").expect("the pool is open"));
        assert_eq!(tasks[1].wait_timeout(Duration::from_millis(50)), None);
        let began = Instant::now();
        drop(tasks);
        let told = began.elapsed();
        assert!(never.submit_bytes(b"8").expect("the pool is open").wait().is_ok());
        let _ = writeln!(std::io::stdout(), "cancelled in {told:?}, the next item done after {:?}", began.elapsed());
    }
}
