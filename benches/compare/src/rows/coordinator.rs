//! What the coordinator takes for itself: memory, however much passes through, and CPU time.

use std::fs::File;
use std::io;

use super::compute;
use crate::contender::{Contender, OURS};
use crate::row::{Bound, Round, Row, Target, said};
use crate::setup::Setup;

const LARGE: &str = "taskhost, a large input";
const SMALL: &str = "taskhost, a small input";

pub(crate) fn row(setup: &Setup) -> io::Result<Row> {
    let (small, large) = setup.size((1 << 30, 20 << 30), (16 << 20, 256 << 20));
    let inverted = |name: &str, bytes: u64| -> io::Result<Contender> {
        // Zeros that take no place on the disk.
        let input = setup.file(&format!("zeros-{bytes}"));
        File::create(&input)?.set_len(bytes)?;
        let mut contender = setup.taskhost().arguments("run -q -j 2 invert --merge discard").argument(input).watched();
        contender.name = name.into();
        Ok(contender.rounds(3))
    };
    let (width, height) = setup.size((3840, 2160), (384, 216));
    let flags = format!("--config width={width} --config height={height} --config iterations=5000 --report -");
    let busy = setup.taskhost().arguments("run -q -j 2 mandelbrot --merge discard").arguments(&flags);
    let peak = |name: &'static str| move |round: &Round| Some(1e-6 * round.get(name)?.peak?);
    Ok(Row {
        work: format!("{} MiB and {} MiB of zeros inverted, and batches of about 10 ms", small >> 20, large >> 20),
        contenders: vec![
            busy.argument(compute::rows(setup, height)?),
            inverted(SMALL, small)?,
            inverted(LARGE, large)?,
        ],
        targets: vec![
            Target::new("memory of the coordinator", " MB", Bound::AtMost(64.0), peak(LARGE)),
            Target::new("the same, over that for a small input", "", Bound::AtMost(1.1), move |round| {
                Some(peak(LARGE)(round)? / peak(SMALL)(round)?)
            }),
            Target::new("CPU time of the coordinator, over that of the workers", " %", Bound::AtMost(2.0), cpu),
        ],
    })
}

fn cpu(round: &Round) -> Option<f64> {
    let workers: Option<f64> = (0..2).map(|worker| said(round, OURS, &format!("workers.{worker}.cpu_seconds"))).sum();
    Some(100.0 * said(round, OURS, "coordinator.cpu_seconds")? / workers?)
}
