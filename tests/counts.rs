//! What is done for a batch, counted: system calls are the same on every machine, times are not.

use std::collections::BTreeMap;

use crate::harness::Place;
use crate::harness::strace::{Calls, calls, can_trace};

/// What each of some batches cost more than none: that of a long run less that of a short one.
fn per_batch(short: &Calls, long: &Calls, batches: u64) -> BTreeMap<String, f64> {
    let more = |(name, count): (&String, &u64)| {
        let more = count.saturating_sub(short.get(name).copied().unwrap_or(0));
        (name.clone(), more as f64 / batches as f64)
    };
    long.iter().filter(|(name, _)| *name != "total").map(more).filter(|(_, count)| *count >= 0.05).collect()
}

fn lines(count: u64) -> String {
    (0..count).map(|number| format!("{number}\n")).collect()
}

const SHORT: u64 = 100;
const LONG: u64 = 400;

/// The system calls of a run over so many lines, in batches of so many, by a kernel that was compiled before.
fn echo(place: &Place, count: u64, batch: u64) -> Calls {
    let kernel = place.write("echo.wat", include_str!("kernels/echo.wat"));
    let kernel = kernel.display();
    place.taskhost(&format!("compile {kernel}")).run().success();
    place.write("lines", lines(count));
    calls(place, &format!("run -q -j 1 --split lines --merge lines --batch {batch} {kernel} lines -o out"))
}

/// A batch of a line whose result is appended to a file. The worker: a message in, a read, a write, a message out. The
/// coordinator: a message out, two looks for one in, two waits; a thread that writes is woken, looks at its file, writes,
/// and wakes. That is 16 when every side sleeps; two more are for waits that end early.
#[test]
fn system_calls_of_a_batch() {
    if !can_trace("counts::system_calls_of_a_batch") {
        return;
    }
    let place = Place::new();
    let run = |count| echo(&place, count, 1);
    let (short, long) = (run(SHORT), run(LONG));
    let each = per_batch(&short, &long, LONG - SHORT);
    let total: f64 = each.values().sum();
    assert!(total <= 18.0, "{total} system calls for each batch: {each:#?}");
    // What a worker does with its own descriptors it does once, and not for each batch.
    for name in ["close", "openat", "mmap", "munmap", "brk"] {
        assert!(!each.contains_key(name), "{name} for each batch: {each:#?}");
    }
}

/// Items of a batch cost none.
#[test]
fn system_calls_of_an_item() {
    if !can_trace("counts::system_calls_of_an_item") {
        return;
    }
    let place = Place::new();
    // One batch, each time.
    let run = |count| echo(&place, count, 100000);
    let (few, many) = (run(10), run(10_000));
    let more = per_batch(&few, &many, 1);
    let total: f64 = more.values().sum();
    // Buffers grow, and what takes longer is looked at more often.
    assert!(total <= 200.0, "{total} more system calls for 9,990 more items: {more:#?}");
}
