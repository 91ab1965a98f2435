//! Starting: a whole process for one tiny item, and a worker.

use std::io::{self, Write as _};

use crate::contender::OURS;
use crate::row::{Bound, Row, Target, said, seconds};
use crate::setup::Setup;

pub(crate) fn whole_process(setup: &Setup) -> io::Result<Row> {
    let input = setup.input("one-item", |file| file.write_all(b"0 100\n"))?;
    let output = setup.file("count");
    let ours = setup.taskhost().arguments("run -q -j 2 primes --merge reduce").argument(&input).argument("-o");
    let python = |kind| {
        let contender = setup.python(kind, "primes.py").arguments("2").argument(&input);
        contender.argument(&output).writes(&output)
    };
    let in_process = setup.in_process("wasmtime in one process", "items", "primes", "plain").argument(&input);
    Ok(Row {
        work: "One line that costs nothing, two workers, kernel compiled before; whole processes".into(),
        contenders: vec![
            ours.argument(&output).writes(&output),
            setup
                .native("native Rust, 1 thread")
                .arguments("primes")
                .argument(&input)
                .argument(&output)
                .arguments("1")
                .writes(&output),
            in_process.argument(&output).arguments("lines").writes(&output).not_compared(),
            python("executor"),
            python("pool"),
            python("joblib"),
        ],
        targets: vec![Target::new("whole process", " ms", Bound::AtMost(8.0), |round| {
            Some(1e3 * seconds(round, OURS)?)
        })],
    })
}

/// What `doctor` measures itself: the middle of nine workers.
pub(crate) fn worker(setup: &Setup) -> io::Result<Row> {
    let said_by_doctor = |key: &'static str, scale: f64| move |round: &_| Some(scale * said(round, OURS, key)?);
    Ok(Row {
        work:
            "`taskhost doctor --json`: nine workers with every wall, from before the process is made until it is ready"
                .into(),
        contenders: vec![setup.taskhost().arguments("doctor --json")],
        targets: vec![
            Target::new(
                "worker, spawn to ready",
                " ms",
                Bound::AtMost(3.0),
                said_by_doctor("start_up.ready_milliseconds", 1.0),
            ),
            Target::new(
                "worker, private memory",
                " MB",
                Bound::AtMost(1.0),
                said_by_doctor("start_up.private_bytes", 1e-6),
            ),
        ],
    })
}
