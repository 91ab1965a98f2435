//! Two maps that never end, and a third kernel that is asked for something small now and then.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use taskhost::{Kernel, KernelSource, Pool};

use super::{COUNT, ECHO, Outcome, kernel, micros};

/// Steps of an item, some 50 µs.
const STEPS: u32 = 100_000;

/// Between two tasks of the third kernel.
const PAUSE: Duration = Duration::from_millis(50);

/// Before anything is measured: what an item costs is known by then.
const BEGINNING: Duration = Duration::from_millis(500);

pub(super) fn run(time: Duration) -> Outcome<[(&'static str, f64); 3]> {
    let pool = Pool::builder().workers(2).build()?;
    // The same work, and two kernels: their workers are not the same.
    let named =
        |name: &str, text: String| pool.kernel(KernelSource::Bytes { name: name.into(), bytes: text.into_bytes() });
    let (heavy, light) = (named("heavy", COUNT.into())?, named("light", format!("{COUNT} "))?);
    let echo = kernel(&pool, ECHO)?;
    let cpu = |kernel: &Kernel| -> f64 {
        let kernels = pool.stats().kernels;
        kernels.iter().filter(|known| *known.kernel == *kernel.name()).map(|known| known.cpu.as_secs_f64()).sum()
    };
    let stop = AtomicBool::new(false);
    let (ratio, mut waits) = thread::scope(|scope| {
        for (kernel, weight) in [(&heavy, 3), (&light, 1)] {
            let stop = &stop;
            scope.spawn(move || {
                let items = std::iter::repeat_with(|| STEPS.to_le_bytes());
                let weight = NonZeroU32::new(weight).unwrap_or(NonZeroU32::MIN);
                kernel.map_bytes(items).weight(weight).take_while(|_| !stop.load(Ordering::Relaxed)).for_each(drop);
            });
        }
        thread::park_timeout(BEGINNING);
        let before = [cpu(&heavy), cpu(&light)];
        let began = Instant::now();
        let mut waits = Vec::new();
        while began.elapsed() < time {
            thread::park_timeout(PAUSE);
            let asked = Instant::now();
            let answered = echo.submit_bytes(b"x").map(taskhost::Task::wait);
            if !matches!(answered, Ok(Ok(_))) {
                break;
            }
            waits.push(asked.elapsed());
        }
        let ratio = (cpu(&heavy) - before[0]) / (cpu(&light) - before[1]);
        stop.store(true, Ordering::Relaxed);
        (ratio, waits)
    });
    waits.sort();
    let (Some(middle), Some(ninth)) = (waits.get(waits.len() / 2), waits.get(waits.len() * 9 / 10)) else {
        return Err("the third kernel gave no answer".into());
    };
    let millis = |wait: &Duration| micros(*wait) / 1e3;
    Ok([("ratio", ratio), ("answer_ms", millis(middle)), ("ninth_of_ten_ms", millis(ninth))])
}
