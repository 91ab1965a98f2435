//! Jobs beside each other on one pool: who gets how much of its cores, and how soon a small one is answered.

use std::io;

use crate::contender::OURS;
use crate::row::{Bound, Row, Target, said};
use crate::setup::Setup;

pub(crate) fn row(setup: &Setup) -> io::Result<Row> {
    let seconds = setup.size("10", "1");
    let figure = |key: &'static str| move |round: &_| said(round, OURS, key);
    Ok(Row {
        work: format!(
            "two maps with weights 3 and 1 on two workers for {seconds} s, and now and then a task of a third kernel, with one \
             tiny item"
        ),
        contenders: vec![setup.library(OURS).arguments("shares").arguments(seconds).rounds(3)],
        targets: vec![
            Target::new(
                "CPU time of the one, over that of the other: not less",
                "",
                Bound::AtLeast(2.85),
                figure("ratio"),
            ),
            Target::new("nor more", "", Bound::AtMost(3.15), figure("ratio")),
            Target::new("the third is answered, in the middle, in", " ms", Bound::AtMost(10.0), figure("answer_ms")),
            Target::new("nine of ten in", " ms", Bound::AtMost(20.0), figure("ninth_of_ten_ms")),
        ],
    })
}
