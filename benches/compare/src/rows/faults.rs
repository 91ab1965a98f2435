//! What a bad item costs: one in a hundred traps, or has its worker killed.
//!
//! Python has nothing to be compared: a worker that dies breaks a `ProcessPoolExecutor`, and a `Pool` waits for ever.

use std::io::{self, Write as _};

use crate::contender::OURS;
use crate::row::{Bound, Row, Target, seconds};
use crate::setup::Setup;

const TRAPS: &str = "taskhost, 1 % trap";
const KILLED: &str = "taskhost, 1 % never end, killed after 1 ms";

/// Where the last message about failed items is.
const SOME_FAILED: i32 = 3;

pub(crate) fn row(setup: &Setup) -> io::Result<Row> {
    let items = setup.size(20_000, 1000);
    let bad = items / 100;
    let lines = |name: &str, word: &'static str| {
        setup.input(&format!("lines-{items}-{name}"), move |file| {
            (0..items).try_for_each(|number| writeln!(file, "{}", if number % 100 == 50 { word } else { "good" }))
        })
    };
    let kernel = setup.source("benches/compare/kernels/faulty.wat");
    let output = setup.file("survived");
    let ours = |input| {
        let contender =
            setup.taskhost().arguments("run -q -j 2 --split lines --merge lines --on-error skip --timeout 1ms");
        contender.argument(&kernel).argument(input).argument("-o").argument(&output).writes(&output).not_compared()
    };
    let named = |name: &str, input| {
        let mut contender = ours(input).exits_with(SOME_FAILED);
        contender.name = name.into();
        contender
    };
    let each = move |name: &'static str| {
        move |round: &_| Some(1e3 * (seconds(round, name)? - seconds(round, OURS)?) / f64::from(bad))
    };
    Ok(Row {
        work: format!("{items} lines, each given back, of which {bad} are bad; whole processes"),
        contenders: vec![
            ours(lines("good", "good")?),
            named(TRAPS, lines("trap", "trap")?),
            named(KILLED, lines("late", "late")?),
        ],
        targets: vec![
            Target::new("an item that traps", " ms", Bound::AtMost(0.1), each(TRAPS)),
            Target::new("an item whose worker is killed", " ms", Bound::AtMost(10.0), each(KILLED)),
        ],
    })
}
