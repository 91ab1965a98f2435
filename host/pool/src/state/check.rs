//! Whether a reply can be true. Nothing a worker says is evidence: what can be worked out is compared, and what cannot
//! is bounded.

use taskhost_data::tree::{NodeId, TOP_LEVEL, check_partials};
use taskhost_protocol::picture::Cut;
use taskhost_protocol::work::{Done, Merge, Piece, Rows, Split};

use super::rest;
use crate::event::{DirectLength, ItemsPlan, Placement};

/// The reply to a batch of items.
pub(crate) fn check_items(plan: &ItemsPlan, pieces: &[Piece], done: &Done) -> Result<(), &'static str> {
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
    if done.failures.iter().any(|failure| failure.ordinal >= done.items.max(1)) {
        return Err("reported an item that it did not run");
    }
    if plan.merge != Merge::Reduce && !done.partials.is_empty() {
        return Err("returned partial results that nobody asked for");
    }
    if !done.failures.is_empty() {
        // The job has no result, so the rest does not matter.
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
        Placement::Direct(_) | Placement::Append | Placement::Nowhere => Ok(()),
    }
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
pub(crate) fn check_rows(rows: &Rows, done: &Done) -> Result<(), &'static str> {
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
    let expected = match rows.plan.cut {
        Cut::Whole => rows.plan.output.bytes(),
        Cut::Strips { .. } => rows.plan.output.row_bytes().and_then(|bytes| bytes.checked_mul(made)),
    };
    let is_complete = done.failures.is_empty();
    if is_complete && expected != Some(done.output) { Err("wrote results of another length") } else { Ok(()) }
}
