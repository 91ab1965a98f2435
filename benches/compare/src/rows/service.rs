//! The service on loopback: small calls beside `wasmtime serve`, a long queue, and one tenant beside another that floods.

use std::io;

use crate::contender::OURS;
use crate::row::{Bound, Round, Row, Target, said};
use crate::setup::Setup;

const WASMTIME: &str = "wasmtime serve";

fn figure(name: &'static str, key: &'static str, scale: f64) -> impl Fn(&Round) -> Option<f64> {
    move |round| Some(scale * said(round, name, key)?)
}

/// Moderate load is as `src/service/calls.rs` has it.
pub(crate) fn calls(setup: &Setup) -> io::Result<Row> {
    let seconds = setup.size("5", "1");
    let ours = setup.service(OURS).arguments("calls").argument(setup.taskhost_path());
    Ok(Row {
        work: format!(
            "the primes below 100 counted in each call over HTTP on loopback, connections stay open: a thousand in a second over \
             four of them for {seconds} s, then as many as there can be over sixteen for {seconds} s"
        ),
        contenders: vec![
            ours.argument(setup.file("")).arguments(seconds).rounds(3),
            setup.wasmtime_serve(WASMTIME).arguments(seconds).rounds(3),
        ],
        targets: vec![
            Target::new(
                "a call at moderate load, in the middle",
                " µs",
                Bound::AtMost(250.0),
                figure(OURS, "p50_us", 1.0),
            ),
            Target::new("99 of 100 in", " ms", Bound::AtMost(3.0), figure(OURS, "p99_us", 1e-3)),
            Target::new("calls in a second, over those of wasmtime serve", "", Bound::AtLeast(0.5), |round| {
                Some(said(round, OURS, "per_second")? / said(round, WASMTIME, "per_second")?)
            }),
            Target::new("calls in a second", "", Bound::AtLeast(0.0), figure(OURS, "per_second", 1.0)),
            Target::new(
                "a call of wasmtime serve, in the middle",
                " µs",
                Bound::AtLeast(0.0),
                figure(WASMTIME, "p50_us", 1.0),
            ),
        ],
    })
}

pub(crate) fn queue(setup: &Setup) -> io::Result<Row> {
    let jobs = setup.size("10000", "500");
    let ours = setup.service(OURS).arguments("queue").argument(setup.taskhost_path());
    Ok(Row {
        work: format!("{jobs} jobs in line, of which some run all the time on both cores"),
        contenders: vec![ours.argument(setup.file("")).arguments(jobs).rounds(3)],
        targets: vec![
            Target::new(
                "memory of the server that they take",
                " MB",
                Bound::AtMost(50.0),
                figure(OURS, "grown_mb", 1.0),
            ),
            Target::new("all of its memory", " MB", Bound::AtLeast(0.0), figure(OURS, "server_mb", 1.0)),
            Target::new(
                "one more is handed in, in the middle",
                " ms",
                Bound::AtMost(10.0),
                figure(OURS, "submit_p50_ms", 1.0),
            ),
            Target::new("99 of 100 in", " ms", Bound::AtMost(10.0), figure(OURS, "submit_p99_ms", 1.0)),
            Target::new(
                "a hundred are listed, in the middle",
                " ms",
                Bound::AtMost(10.0),
                figure(OURS, "list_p50_ms", 1.0),
            ),
            Target::new("99 of 100 lists in", " ms", Bound::AtMost(10.0), figure(OURS, "list_p99_ms", 1.0)),
        ],
    })
}

pub(crate) fn fairness(setup: &Setup) -> io::Result<Row> {
    let (jobs, seconds) = setup.size(("10000", "10"), ("300", "2"));
    let ours = setup.service(OURS).arguments("fairness").argument(setup.taskhost_path());
    let over_quiet =
        |key: &'static str| move |round: &_| Some(said(round, OURS, key)? / said(round, OURS, "quiet_p99_us")?);
    Ok(Row {
        work: format!(
            "one tenant hands in {jobs} jobs, of which some run all the time on both cores; another makes 200 small calls in a \
             second"
        ),
        contenders: vec![ours.argument(setup.file("")).arguments(jobs).arguments(seconds).rounds(3)],
        targets: vec![
            Target::new(
                "99 of 100 calls while they are in line, over those when nobody else wants anything",
                "",
                Bound::AtMost(3.0),
                over_quiet("there_p99_us"),
            ),
            Target::new(
                "the same while they come, as fast as they are taken",
                "",
                Bound::AtMost(3.0),
                over_quiet("coming_p99_us"),
            ),
            Target::new(
                "99 of 100 in, when nobody else wants anything",
                " ms",
                Bound::AtLeast(0.0),
                figure(OURS, "quiet_p99_us", 1e-3),
            ),
        ],
    })
}
