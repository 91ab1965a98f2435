//! How fast it is: run by name, since figures of a busy machine are no test.

use std::io::Write as _;
use std::time::Instant;

use crate::Scenario;
use crate::kernels::{bytes, pool};

pub(crate) const SCENARIOS: &[Scenario] = &[("speed_of_maps", speed_of_maps), ("speed_of_tasks", speed_of_tasks)];

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
    took.sort_by(f64::total_cmp);
    let _ = writeln!(std::io::stdout(), "a task: median {:.0} µs, 9 of 10 within {:.0} µs", took[1500], took[2700]);
}
