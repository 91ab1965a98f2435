//! Items of eight bytes: what an item costs that costs nothing.

use std::io;

use crate::contender::OURS;
use crate::row::{Bound, Row, Target, seconds};
use crate::setup::Setup;

const SIZE: u64 = 8;
const WORKERS: f64 = 2.0;

/// Many to a call, which needs a kernel that exports `packed-mapper`.
pub(crate) fn packed(setup: &Setup) -> io::Result<Row> {
    let items = setup.size(10_000_000, 100_000);
    let mut row = of(setup, items)?;
    let input = setup.noise(items * SIZE)?;
    let output = setup.file("records");
    // These take half a minute.
    for (kind, rounds) in [("executor", 2), ("pool", 1), ("joblib", 1)] {
        // A twentieth of the items to a chunk for each process, as the articles advise.
        let python = setup.python(kind, "records.py").arguments("2").argument(&input).argument(&output);
        row.contenders.push(python.arguments(&format!("{SIZE} {}", items / 40)).writes(&output).rounds(rounds));
    }
    let micros = move |round: &_| Some(1e6 * seconds(round, OURS)? * WORKERS / items as f64);
    row.targets.push(Target::new("an item, for a worker", " µs", Bound::AtMost(0.1), micros));
    Ok(row)
}

/// Few enough for those who send every item by itself.
pub(crate) fn one_by_one(setup: &Setup) -> io::Result<Row> {
    let items = setup.size(100_000, 2000);
    let mut row = of(setup, items)?;
    let input = setup.noise(items * SIZE)?;
    let output = setup.file("records");
    for kind in ["executor", "pool", "joblib"] {
        let python = setup.python(kind, "records.py").arguments("2").argument(&input).argument(&output);
        row.contenders.push(python.arguments(&format!("{SIZE} 1")).writes(&output).rounds(3));
    }
    Ok(row)
}

fn of(setup: &Setup, items: u64) -> io::Result<Row> {
    let input = setup.noise(items * SIZE)?;
    let output = setup.file("records");
    let ours = setup.taskhost().arguments(&format!("run -q -j 2 echo --split records:{SIZE}")).argument(&input);
    let native = setup.native("native Rust + rayon, 2 threads").arguments("copy").argument(&input).argument(&output);
    let in_process = |name: &str, profile: &str| {
        let contender = setup.in_process(name, "items", "echo", profile).argument(&input).argument(&output);
        contender.arguments(&SIZE.to_string()).writes(&output)
    };
    let extism = setup.extism().argument(&input).argument(&output).arguments(&SIZE.to_string());
    Ok(Row {
        work: format!("{items} items of {SIZE} bytes, each given back; whole processes"),
        contenders: vec![
            ours.argument("-o").argument(&output).writes(&output),
            native.arguments(&format!("{SIZE} 2")).writes(&output),
            in_process("wasmtime in one process, a call an item", "plain"),
            in_process("wasmtime in one process, a call an item, epochs", "epochs"),
            extism.writes(&output),
        ],
        targets: Vec::new(),
    })
}
