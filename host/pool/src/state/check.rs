//! Whether a reply can be true. Nothing a worker says is evidence: what can be worked out is compared, and what cannot
//! is bounded.

use taskhost_data::tree::{NodeId, TOP_LEVEL, check_partials};
use taskhost_protocol::fault::Fault;
use taskhost_protocol::picture::Cut;
use taskhost_protocol::work::{Done, Merge, Piece, Rows, Split};

use super::job::Pick;
use super::mark::Mark;
use super::rest;
use crate::event::{DirectLength, ItemsPlan, OnError, Placement};

/// The reply to a batch of items.
pub(crate) fn check_items(plan: &ItemsPlan, pick: &Pick, pieces: &[Piece], done: &Done) -> Result<(), &'static str> {
    if done.rest.is_some_and(|rest| !rest::is_plausible(plan.split, pieces, rest)) {
        return Err("handed back work that it was not given");
    }
    let (mut bytes, mut counted) = (0, Some(0));
    for ran in rest::ran(pieces, done.rest) {
        bytes += ran.bytes();
        counted = counted.zip(ran.items(plan.split)).map(|(sum, items)| sum + items);
    }
    // Each line or block begins at a byte of its own.
    if done.items > counted.unwrap_or(bytes).max(1) {
        return Err("ran more items than there are");
    }
    check_failures(pick, pieces, done)?;
    if plan.merge != Merge::Reduce && !done.partials.is_empty() {
        return Err("returned partial results that nobody asked for");
    }
    if done.joining.is_some() || (plan.on_error == OnError::Fail && !done.failures.is_empty()) {
        // The job has no result, so the rest does not matter.
        return Ok(());
    }
    if done.failures.iter().any(|failure| matches!(failure.fault, Fault::Input(_) | Fault::Output(_))) {
        // Likewise.
        return Ok(());
    }
    if counted.is_some_and(|items| items != done.items) {
        return Err("ran fewer items than it says");
    }
    match plan.placement {
        _ if plan.merge == Merge::Reduce => check_parts(plan.split, pieces, done),
        Placement::Direct(DirectLength::Same) if done.output != bytes => Err("wrote results of another length"),
        Placement::Direct(DirectLength::Exactly(len)) if Some(done.output) != done.items.checked_mul(len.into()) => {
            Err("wrote results of another length")
        }
        Placement::Direct(_) | Placement::Append | Placement::Checked | Placement::Nowhere => Ok(()),
    }
}

/// Whether failed items are named once each, in order, and were to be run; and that only the one was left out that was
/// to be.
fn check_failures(pick: &Pick, pieces: &[Piece], done: &Done) -> Result<(), &'static str> {
    let may_leave_out = matches!(pick.mark, Some(Mark::Condemned(_)));
    let mut next = 0;
    let mut at = 0;
    for (index, failure) in done.failures.iter().enumerate() {
        let is_inside = pieces.iter().any(|piece| {
            piece.source == failure.place.source && (piece.from..=piece.to).contains(&failure.place.offset)
        });
        if failure.ordinal < next || failure.ordinal >= done.items.max(1) || !is_inside {
            return Err("reported an item that it did not run");
        }
        if failure.at < at || failure.at > done.output {
            return Err("reported results where there are none");
        }
        if failure.fault == Fault::LeftOut && !(may_leave_out && index == 0 && failure.ordinal == 0) {
            return Err("left out an item that it was to run");
        }
        next = failure.ordinal + 1;
        at = failure.at;
    }
    // An item that cannot even be read cannot be left out.
    let is_excused = |fault: &Fault| matches!(fault, Fault::LeftOut | Fault::Input(_) | Fault::Output(_));
    let is_left_out = done.failures.first().is_some_and(|failure| is_excused(&failure.fault));
    if may_leave_out && !is_left_out && done.items > 0 {
        return Err("ran an item that it was to leave out");
    }
    Ok(())
}

/// Whether partial results are of the largest nodes in each piece, in order, and all of the output.
fn check_parts(split: Split, pieces: &[Piece], done: &Done) -> Result<(), &'static str> {
    let mut left = done.partials.as_slice();
    let mut written = 0_u64;
    for ran in rest::ran(pieces, done.rest) {
        let (start, end) = ran.positions(split);
        let count = left.iter().take_while(|partial| {
            let node = NodeId { level: partial.level, index: partial.index };
            partial.level <= TOP_LEVEL && node.start() < u128::from(end)
        });
        let (own, others) = left.split_at(count.count());
        let bytes = own.iter().try_fold(0_u64, |sum, partial| sum.checked_add(partial.len));
        let bytes = bytes.ok_or("returned partial results that do not add up")?;
        check_partials(start, end, own, bytes).map_err(|_| "returned partial results of other items than its own")?;
        written = written.checked_add(bytes).ok_or("returned partial results that do not add up")?;
        left = others;
    }
    if !left.is_empty() {
        return Err("returned partial results of other items than its own");
    }
    if written == done.output { Ok(()) } else { Err("returned partial results that do not add up") }
}

/// The reply to rows of a picture.
pub(crate) fn check_rows(rows: &Rows, on_error: OnError, pick: &Pick, done: &Done) -> Result<(), &'static str> {
    let (first, end) = (u64::from(rows.first), u64::from(rows.first) + u64::from(rows.count));
    if let Some(rest) = done.rest
        && (rows.plan.cut == Cut::Whole || rest.start <= first || rest.start > end)
    {
        return Err("handed back rows that it was not given");
    }
    let made = done.rest.map_or(end, |rest| rest.start) - first;
    if done.items > made.max(1) || !done.partials.is_empty() {
        return Err("filtered more than it was given");
    }
    let may_leave_out = matches!(pick.mark, Some(Mark::Condemned(_)));
    let mut next = first;
    for (index, failure) in done.failures.iter().enumerate() {
        let row = failure.place.offset;
        if failure.place.source != rows.source || row < next || row >= end || failure.at > done.output {
            return Err("reported rows that it was not given");
        }
        if failure.fault == Fault::LeftOut && !(may_leave_out && index == 0 && row == first) {
            return Err("left out rows that it was to run");
        }
        next = row + 1;
    }
    let expected = match rows.plan.cut {
        Cut::Whole => rows.plan.output.bytes(),
        Cut::Strips { .. } => rows.plan.output.row_bytes().and_then(|bytes| bytes.checked_mul(made)),
    };
    // With zeros in the place of rows that failed, the length is the same. A whole picture that failed has none.
    let is_filled = on_error == OnError::Skip && rows.plan.cut != Cut::Whole;
    let is_broken = |fault: &Fault| matches!(fault, Fault::Input(_) | Fault::Output(_));
    let is_broken = done.failures.iter().any(|failure| is_broken(&failure.fault));
    let is_complete = done.failures.is_empty() || (is_filled && !is_broken);
    if is_complete && expected != Some(done.output) { Err("wrote results of another length") } else { Ok(()) }
}
