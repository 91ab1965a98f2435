//! One item after the other: submitted, waited for.

use std::io;

use crate::contender::OURS;
use crate::row::{Bound, Row, Target, said};
use crate::setup::Setup;

const EXECUTOR: &str = "Python, ProcessPoolExecutor(2)";

pub(crate) fn row(setup: &Setup) -> io::Result<Row> {
    let count = setup.size("10000", "200");
    let median = |name: &'static str| move |round: &_| said(round, name, "median_us");
    Ok(Row {
        work: format!(
            "{count} items, each submitted and waited for before the next, from a program that embeds the pool"
        ),
        contenders: vec![
            setup.library(OURS).arguments("submit").arguments(count),
            setup.python("executor", "submit.py").arguments(count),
            setup.python("pool", "submit.py").arguments(count),
        ],
        targets: vec![
            Target::new("a round trip, in the middle", " µs", Bound::AtMost(25.0), median(OURS)),
            Target::new(format!("the same of {EXECUTOR}"), " µs", Bound::AtLeast(0.0), median(EXECUTOR)),
        ],
    })
}
