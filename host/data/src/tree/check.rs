//! Checking what a worker says its partials are, before they enter the plan.

use taskhost_protocol::work::Partial;

use super::{NodeId, TOP_LEVEL};

/// Why a list of partials cannot be of the range it is said to be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartialsError {
    /// A node that does not exist.
    #[error("partial {0} is of no node of the tree")]
    NoNode(usize),
    /// A node that reaches out of the range.
    #[error("partial {0} is of a node outside the batch")]
    Outside(usize),
    /// A node whose parent lies in the range too.
    #[error("partial {0} is not of the largest node it could be of")]
    NotLargest(usize),
    /// A node that overlaps the one before, or stands before it.
    #[error("partial {0} is out of order")]
    Order(usize),
    /// The lengths do not add up to the bytes written.
    #[error("the partials have {said} bytes by their lengths, but {written} were written")]
    Length {
        /// The sum of the lengths.
        said: u128,
        /// Bytes of the output.
        written: u64,
    },
}

/// Checks that `partials` are what [`super::LocalTree`] may return for the positions `start..end`, with `written`
/// bytes in all.
///
/// # Errors
/// When they are not: the worker that sent them is broken or hostile.
pub fn check_partials(start: u64, end: u64, partials: &[Partial], written: u64) -> Result<(), PartialsError> {
    let (range_start, range_end) = (u128::from(start), u128::from(end));
    let mut free = range_start;
    let mut said = 0;
    for (i, partial) in partials.iter().enumerate() {
        let node = NodeId { level: partial.level, index: partial.index };
        // The level is checked first: the arithmetic of a node is only defined up to the top.
        if node.level > TOP_LEVEL || node.end() > NodeId::TOP.end() {
            return Err(PartialsError::NoNode(i));
        }
        if !node.lies_in(range_start, range_end) {
            return Err(PartialsError::Outside(i));
        }
        if node.parent().lies_in(range_start, range_end) {
            return Err(PartialsError::NotLargest(i));
        }
        if node.start() < free {
            return Err(PartialsError::Order(i));
        }
        free = node.end();
        said += u128::from(partial.len);
    }
    if said == u128::from(written) { Ok(()) } else { Err(PartialsError::Length { said, written }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_may_say() {
        let partial = |level, index| Partial { level, index, len: 1 };
        assert_eq!(check_partials(5, 40, &[partial(0, 5), partial(1, 1), partial(0, 39)], 3), Ok(()));
        assert_eq!(check_partials(5, 5, &[], 0), Ok(()));
        assert_eq!(check_partials(5, 40, &[partial(0, 4)], 1), Err(PartialsError::Outside(0)));
        assert_eq!(check_partials(5, 40, &[partial(1, 2)], 1), Err(PartialsError::Outside(0)));
        assert_eq!(check_partials(5, 40, &[partial(0, 16)], 1), Err(PartialsError::NotLargest(0)));
        assert_eq!(check_partials(5, 40, &[partial(0, 6), partial(0, 6)], 2), Err(PartialsError::Order(1)));
        assert_eq!(check_partials(5, 40, &[partial(200, 6)], 2), Err(PartialsError::NoNode(0)));
        assert_eq!(check_partials(5, 40, &[partial(16, 1)], 2), Err(PartialsError::NoNode(0)));
        let too_short = check_partials(5, 40, &[partial(0, 6)], 2);
        assert_eq!(too_short, Err(PartialsError::Length { said: 1, written: 2 }));
    }
}
