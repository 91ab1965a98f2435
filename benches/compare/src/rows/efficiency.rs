//! What is lost by dividing work: the time of one worker over that of N, divided by N; and by the same figure of native
//! processes in the same round, since two cores of a machine are not always twice one.

use std::io;

use super::compute;
use crate::contender::OURS;
use crate::row::{Bound, Row, Target, seconds};
use crate::setup::Setup;

const ONE: &str = "taskhost, 1 worker";
const NATIVE: &str = "native Rust, 1 process";
const NATIVE_TWO: &str = "native Rust, 2 processes, half of the rows each";

pub(crate) fn row(setup: &Setup, workers: u16) -> io::Result<Row> {
    let (width, height) = setup.size((3840, 2160), (384, 216));
    // At least five seconds of work for one worker, and for sixteen as much for each.
    let iterations = setup.size(if workers > 2 { 60_000 } else { 20_000 }, 1000);
    let rows = compute::rows(setup, height)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores < usize::from(workers) {
        let work = format!("Efficiency with {workers} workers: not measured, this machine has {cores} cores");
        return Ok(Row { work, contenders: Vec::new(), targets: Vec::new() });
    }
    let flags = format!("--config width={width} --config height={height} --config iterations={iterations}");
    let ours = |workers: u16| {
        setup.taskhost().arguments(&format!("run -q -j {workers} mandelbrot --merge discard {flags}")).argument(&rows)
    };
    let mut one = ours(1);
    one.name = ONE.into();
    let size = format!("{width} {height} {iterations}");
    let mut contenders = vec![ours(workers), one];
    let target = if workers == 2 {
        contenders.push(setup.native(NATIVE).arguments(&format!("burn {size} 0 1")));
        contenders.push(setup.native(NATIVE_TWO).arguments(&format!("burn-in-two {size}")));
        Target::new("efficiency, over that of two native processes", "", Bound::AtLeast(0.97), |round| {
            let native = seconds(round, NATIVE)? / seconds(round, NATIVE_TWO)?;
            Some(seconds(round, ONE)? / seconds(round, OURS)? / native)
        })
    } else {
        Target::new("efficiency", "", Bound::AtLeast(0.95), move |round| {
            Some(seconds(round, ONE)? / seconds(round, OURS)? / f64::from(workers))
        })
    };
    let work = format!("Mandelbrot, {width}×{height}, {iterations} iterations, results discarded; whole processes");
    Ok(Row { work, contenders, targets: vec![target] })
}
