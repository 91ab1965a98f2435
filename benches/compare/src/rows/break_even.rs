//! From how much work per task on two workers are faster than one.

use std::io;

use crate::contender::OURS;
use crate::row::{Bound, Row, Target, said};
use crate::setup::Setup;

pub(crate) fn row(setup: &Setup) -> io::Result<Row> {
    let break_even = |round: &_| said(round, OURS, "break_even_us");
    Ok(Row {
        work: "1,000 tasks under way, from a program that embeds the pool: the least work per task for which two \
               workers beat one"
            .into(),
        contenders: vec![setup.library(OURS).arguments("break-even")],
        targets: vec![Target::new("work per task", " µs", Bound::AtMost(20.0), break_even)],
    })
}
