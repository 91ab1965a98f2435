//! The answer to a packed call, and whether it adds up.

use taskhost_protocol::fault::Fault;

/// Results of many items. What [`crate::Instance::process_packed`] returns was validated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackedResults {
    /// All results, end to end.
    pub bytes: Vec<u8>,
    /// Where each result ends; it begins where the one before ends.
    pub ends: Vec<u32>,
    /// How many results each item has; empty when every item has exactly one.
    pub counts: Vec<u32>,
    /// Items that failed, in order, and why. Their results, if any, are empty and do not count.
    pub failures: Vec<(u32, Fault)>,
}

impl PackedResults {
    /// Calls `each` for every item, in order, with its results, or with why it failed.
    ///
    /// # Errors
    /// The first one of `each`.
    pub fn for_each<E>(
        &self,
        mut each: impl FnMut(usize, Result<ResultsOf<'_>, &Fault>) -> Result<(), E>,
    ) -> Result<(), E> {
        let items = if self.counts.is_empty() { self.ends.len() } else { self.counts.len() };
        let mut failures = self.failures.iter().peekable();
        let mut first = 0;
        for item in 0..items {
            let count = self.counts.get(item).map_or(1, |count| *count as usize);
            let results = ResultsOf { packed: self, next: first, end: first + count };
            first += count;
            match failures.next_if(|failure| failure.0 as usize == item) {
                Some((_, fault)) => each(item, Err(fault))?,
                None => each(item, Ok(results))?,
            }
        }
        Ok(())
    }

    /// Whether this can be the answer to a call with so many items. A mapper has one result for each item, a
    /// flat-mapper any number.
    pub(crate) fn validate(&self, items: usize, flat: bool) -> Result<(), Fault> {
        let broken = |text: String| Err(Fault::Contract(format!("the answer of packed-mapper: {text}")));
        if !self.ends.is_sorted() {
            return broken("its ends go backwards".into());
        }
        let last = self.ends.last().map_or(0, |end| *end as usize);
        if last != self.bytes.len() {
            return broken(format!("its results end at {last} of {} bytes", self.bytes.len()));
        }
        if !self.failures.is_sorted_by(|a, b| a.0 < b.0) {
            return broken("its failures are not in order".into());
        }
        if let Some((item, _)) = self.failures.last()
            && *item as usize >= items
        {
            return broken(format!("item {item} of {items} failed"));
        }
        if self.counts.is_empty() {
            if self.ends.len() != items {
                return broken(format!("{} results for {items} items", self.ends.len()));
            }
        } else {
            let sum: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
            if self.counts.len() != items || sum != self.ends.len() as u64 {
                return broken(format!(
                    "{} counts with a sum of {sum} for {items} items and {} results",
                    self.counts.len(),
                    self.ends.len()
                ));
            }
        }
        if self.counts.is_empty() {
            // One result for each item, which suits either.
            return Ok(());
        }
        self.for_each(|item, results| match results {
            Ok(results) if !flat && results.len() != 1 => {
                broken(format!("{} results for item {item} of a mapper", results.len()))
            }
            _ => Ok(()),
        })
    }
}

/// The results of one item.
#[derive(Clone, Debug)]
pub struct ResultsOf<'a> {
    packed: &'a PackedResults,
    next: usize,
    end: usize,
}

impl<'a> Iterator for ResultsOf<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.next == self.end {
            return None;
        }
        let start = if self.next == 0 { 0 } else { self.packed.ends[self.next - 1] as usize };
        let end = self.packed.ends[self.next] as usize;
        self.next += 1;
        Some(&self.packed.bytes[start..end])
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for ResultsOf<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(bytes: &str, ends: &[u32], counts: &[u32], failures: &[u32]) -> PackedResults {
        PackedResults {
            bytes: bytes.into(),
            ends: ends.into(),
            counts: counts.into(),
            failures: failures.iter().map(|item| (*item, Fault::Failed("no".into()))).collect(),
        }
    }

    #[test]
    fn an_answer_that_adds_up_is_taken() {
        assert_eq!(packed("abc", &[1, 3], &[], &[]).validate(2, false), Ok(()));
        assert_eq!(packed("", &[], &[], &[]).validate(0, false), Ok(()));
        assert_eq!(packed("abc", &[1, 1, 3], &[], &[1]).validate(3, false), Ok(()));
        assert_eq!(packed("abc", &[1, 3], &[1, 0, 1], &[1]).validate(3, false), Ok(()));
        assert_eq!(packed("abc", &[1, 3], &[0, 2, 0], &[]).validate(3, true), Ok(()));
    }

    #[test]
    fn an_answer_that_does_not_is_refused() {
        let bad = [
            (packed("abc", &[2, 1, 3], &[], &[]), 3, false),
            (packed("abc", &[1, 2], &[], &[]), 2, false),
            (packed("abc", &[1, 4], &[], &[]), 2, false),
            (packed("abc", &[1, 3], &[], &[]), 3, false),
            (packed("abc", &[1, 3], &[2], &[]), 2, true),
            (packed("abc", &[1, 3], &[1, 2], &[]), 2, true),
            (packed("abc", &[1, 3], &[u32::MAX, 3], &[]), 2, true),
            (packed("abc", &[1, 3], &[2, 0], &[]), 2, false),
            (packed("abc", &[1, 3], &[], &[2]), 2, false),
            (packed("abc", &[1, 3], &[], &[1, 1]), 2, false),
        ];
        for (answer, items, flat) in bad {
            assert!(answer.validate(items, flat).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn results_are_given_out_item_by_item() {
        let mut seen = Vec::new();
        packed("abcd", &[1, 1, 3, 4], &[2, 0, 1, 1], &[1, 2])
            .for_each(|item, results| {
                seen.push((item, results.ok().map(|results| results.collect::<Vec<_>>().join(&b'|'))));
                Ok::<(), ()>(())
            })
            .expect("never fails");
        assert_eq!(seen, [(0, Some(b"a|".to_vec())), (1, None), (2, None), (3, Some(b"d".to_vec()))]);
    }
}
