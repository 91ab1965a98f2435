//! What a program sees that embeds the pool: one task after the other, how much work a task must be, and who gets how much of
//! the cores.
//!
//! ```text
//! library submit N             submits an item and waits for it, N times
//! library break-even           the least work per task, 1,000 in flight, for which two workers beat one
//! library shares SECONDS       what two maps with weights 3 and 1 get of two workers, and how soon a third is answered
//! ```

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

mod shares;

use std::error::Error;
use std::time::{Duration, Instant};

use taskhost::{Kernel, KernelSource, Pool};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Gives an item back.
const ECHO: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
        (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))"#;

/// Counts down from the number that the item is, and gives the item back.
const COUNT: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
        (local $left i32)
        (local.set $left (i32.load (local.get $at)))
        (block $done (loop $again
            (br_if $done (i32.eqz (local.get $left)))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br $again)))
        (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))"#;

/// Tasks that are under way at a time.
const IN_FLIGHT: usize = 1000;

/// Work per task that is tried, in microseconds.
const WORK: [f64; 12] = [1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0, 200.0];

/// How often each is measured; the middle counts.
const TIMES: usize = 5;

fn main() -> Outcome {
    taskhost::worker::run_if_worker();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["submit", count] => submit(count.parse()?),
        ["break-even"] => break_even(),
        ["shares", seconds] => {
            let figures = shares::run(Duration::from_secs(seconds.parse()?))?;
            figures.iter().for_each(|(name, value)| println!("{name} {value:.3}"));
            Ok(())
        }
        _ => Err("see the head of this program's source for what it takes".into()),
    }
}

fn kernel(pool: &Pool, text: &str) -> Outcome<Kernel> {
    Ok(pool.kernel(KernelSource::from(text.as_bytes().to_vec()))?)
}

fn submit(count: u32) -> Outcome {
    let pool = Pool::new()?;
    let echo = kernel(&pool, ECHO)?;
    let mut took = Vec::new();
    for number in 0..count {
        let item = number.to_le_bytes();
        let began = Instant::now();
        let result = echo.submit_bytes(&item)?.wait()?;
        took.push(began.elapsed());
        if result != item {
            return Err("it came back as something else".into());
        }
    }
    took.sort();
    println!("median_us {:.2}", micros(took[took.len() / 2]));
    println!("ninth_of_ten_us {:.2}", micros(took[took.len() * 9 / 10]));
    Ok(())
}

fn break_even() -> Outcome {
    let pools = [Pool::builder().workers(1).build()?, Pool::builder().workers(2).build()?];
    let kernels = [kernel(&pools[0], COUNT)?, kernel(&pools[1], COUNT)?];
    // How many steps a microsecond has, from one long task.
    let steps = 50_000_000_u32;
    let began = Instant::now();
    kernels[0].submit_bytes(&steps.to_le_bytes())?.wait()?;
    let steps_per_micro = f64::from(steps) / micros(began.elapsed());
    for work in WORK {
        let steps = (work * steps_per_micro) as u32;
        let mut ratios = Vec::new();
        for _ in 0..TIMES {
            let one = many(&kernels[0], steps)?;
            ratios.push(one.as_secs_f64() / many(&kernels[1], steps)?.as_secs_f64());
        }
        ratios.sort_by(f64::total_cmp);
        println!("speed_up_at_{work}_us {:.3}", ratios[TIMES / 2]);
        if ratios[TIMES / 2] > 1.0 {
            println!("break_even_us {work}");
            return Ok(());
        }
    }
    // A machine that is busy with something else has no second core to give.
    println!("break_even_us inf");
    Ok(())
}

fn many(kernel: &Kernel, steps: u32) -> Outcome<Duration> {
    let began = Instant::now();
    let tasks: Vec<_> = (0..IN_FLIGHT).map(|_| kernel.submit_bytes(&steps.to_le_bytes())).collect::<Result<_, _>>()?;
    for task in tasks {
        task.wait()?;
    }
    Ok(began.elapsed())
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
