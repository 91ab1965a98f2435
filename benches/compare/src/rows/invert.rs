//! A large file, inverted: bound by memory.

use std::io;

use crate::contender::OURS;
use crate::row::{Bound, Row, Target, seconds};
use crate::setup::Setup;

const NATIVE: &str = "native Rust + rayon, 2 threads";

pub(crate) fn row(setup: &Setup) -> io::Result<Row> {
    let bytes = setup.size(4 << 30, 16 << 20);
    let input = setup.noise(bytes)?;
    let output = setup.file("inverted");
    let ours = setup.taskhost().arguments("run -q -j 2 invert").argument(&input).argument("-o").argument(&output);
    let native = |name: &str, threads: &str| {
        setup.native(name).arguments("invert").argument(&input).argument(&output).arguments(threads).writes(&output)
    };
    Ok(Row {
        work: format!("{} MiB, every byte inverted, from file to file; whole processes", bytes >> 20),
        contenders: vec![ours.writes(&output), native("native Rust, 1 thread", "1"), native(NATIVE, "2")],
        targets: vec![Target::new(format!("throughput, over that of {NATIVE}"), "", Bound::AtLeast(0.85), |round| {
            Some(seconds(round, NATIVE)? / seconds(round, OURS)?)
        })],
    })
}
