//! Many small items in one call: the loop that `packed-mapper` needs, over any [`Map`] or [`Filter`].
//!
//! A call across the component boundary costs more than a small item, so this is what makes lines fast. An item that
//! fails leaves a place behind (an empty result, or a count of 0) and a line in the list of failures.

use crate::kernel::Results;
use crate::{Error, Filter, Map, Result};

/// The answer to a packed call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The results of all items, in order.
    pub results: Results,
    /// How many results each item has; empty when every item has exactly one.
    pub counts: Vec<u32>,
    /// Position in the call and why, for each failed item.
    pub failures: Vec<(u32, Error)>,
}

/// The items of a packed call: string i is `bytes[ends[i-1]..ends[i]]`.
fn items<'a>(bytes: &'a [u8], ends: &'a [u32]) -> impl Iterator<Item = (u32, &'a [u8])> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    (0..).zip(starts.zip(ends).map(|(start, end)| &bytes[start as usize..*end as usize]))
}

/// Runs every item through a mapper: one result each.
pub fn map<M: Map>(bytes: &[u8], ends: &[u32]) -> Answer {
    let mut answer = Answer::default();
    answer.results.ends.reserve(ends.len());
    for (position, item) in items(bytes, ends) {
        let before = answer.results.ends.len();
        let outcome = M::append(item, &mut answer.results.bytes).and_then(|()| answer.results.end());
        if let Err(error) = outcome {
            answer.results.truncate(before);
            let end = answer.results.bytes.len();
            // The length did not grow, so it still fits.
            answer.results.ends.push(u32::try_from(end).unwrap_or(u32::MAX));
            answer.failures.push((position, error));
        }
    }
    answer
}

/// Runs every item through a filter: any number of results each.
pub fn filter<F: Filter>(bytes: &[u8], ends: &[u32]) -> Answer {
    let mut answer = Answer::default();
    answer.counts.reserve(ends.len());
    for (position, item) in items(bytes, ends) {
        let before = answer.results.ends.len();
        if let Err(error) = F::process(item, &mut answer.results) {
            answer.results.truncate(before);
            answer.failures.push((position, error));
        }
        let count = answer.results.ends.len() - before;
        answer.counts.push(u32::try_from(count).unwrap_or(u32::MAX));
    }
    answer
}

/// Runs one item through a filter.
///
/// # Errors
///
/// Those of the filter.
pub fn filter_one<F: Filter>(item: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut results = Results::default();
    F::process(item, &mut results)?;
    Ok(results.iter().map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Doubles an item; refuses one that begins with `!`, after it has already written something.
    struct Double;

    impl Map for Double {
        fn process(item: &[u8]) -> Result<Vec<u8>> {
            let mut out = Vec::new();
            Self::append(item, &mut out)?;
            Ok(out)
        }

        fn append(item: &[u8], out: &mut Vec<u8>) -> Result<()> {
            out.extend_from_slice(item);
            if item.starts_with(b"!") {
                crate::reject!("bad");
            }
            out.extend_from_slice(item);
            Ok(())
        }
    }

    impl Filter for Double {
        fn process(item: &[u8], results: &mut Results) -> Result<()> {
            for _ in item {
                results.push(item)?;
            }
            if item.starts_with(b"!") {
                crate::reject!("bad");
            }
            Ok(())
        }
    }

    /// `a`, nothing, `!x`, `bc`.
    const BYTES: &[u8] = b"a!xbc";
    const ENDS: &[u32] = &[1, 1, 3, 5];

    #[test]
    fn a_failed_item_of_a_map_leaves_an_empty_result() {
        let answer = map::<Double>(BYTES, ENDS);
        let results: Vec<&[u8]> = answer.results.iter().collect();
        assert_eq!(results, [b"aa".as_slice(), b"", b"", b"bcbc"]);
        assert_eq!(answer.counts, [] as [u32; 0]);
        assert_eq!(answer.failures, [(2, Error::invalid_input("bad"))]);
    }

    #[test]
    fn a_failed_item_of_a_filter_counts_nothing() {
        let answer = filter::<Double>(BYTES, ENDS);
        let results: Vec<&[u8]> = answer.results.iter().collect();
        assert_eq!(results, [b"a".as_slice(), b"bc", b"bc"]);
        assert_eq!(answer.counts, [1, 0, 0, 2]);
        assert_eq!(answer.failures, [(2, Error::invalid_input("bad"))]);
    }

    #[test]
    fn no_items_give_no_results() {
        assert_eq!(map::<Double>(b"", &[]), Answer::default());
        assert_eq!(filter::<Double>(b"", &[]), Answer::default());
    }
}
