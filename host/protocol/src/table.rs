//! Items that somebody hands over one by one, and their results: how they lie in memory.
//!
//! A *table* of `n` items is `n + 1` numbers of four bytes, little-endian, and behind them the items, end to end. Item
//! `i` has the bytes from number `i` to number `i + 1`, counted from behind the numbers. *Framed* results lie end to end,
//! each behind its length in four bytes, little-endian.

/// Bytes of a number in a table, and in front of a framed result.
pub const NUMBER_BYTES: usize = 4;

/// Most bytes of the items of a table together: what its numbers can say.
pub const TABLE_BYTES: u64 = u32::MAX as u64;

/// Bytes of the numbers of a table of so many items.
#[must_use]
pub fn numbers_bytes(items: u64) -> u64 {
    items.saturating_add(1).saturating_mul(NUMBER_BYTES as u64)
}

/// A table that is being made.
#[derive(Clone, Debug)]
pub struct TableBuilder {
    ends: Vec<u32>,
    bytes: Vec<u8>,
}

impl Default for TableBuilder {
    fn default() -> Self {
        Self { ends: vec![0], bytes: Vec::new() }
    }
}

impl TableBuilder {
    /// Number of items.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.ends.len() as u64 - 1
    }

    /// Bytes of the items.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds an item, which `write` appends to the bytes of those before it. False when there is no room for it: nothing
    /// was added then, nor when `write` fails.
    ///
    /// # Errors
    /// That of `write`.
    pub fn push_with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<bool, E> {
        let before = self.bytes.len();
        let result = write(&mut self.bytes);
        let end = u32::try_from(self.bytes.len()).ok().filter(|_| result.is_ok());
        match end {
            Some(end) => self.ends.push(end),
            None => self.bytes.truncate(before),
        }
        result.map(|()| end.is_some())
    }

    /// Takes the last item back.
    pub fn pop(&mut self) {
        if self.ends.len() > 1 {
            self.ends.pop();
            let end = self.ends.last().map_or(0, |end| *end as usize);
            self.bytes.truncate(end);
        }
    }

    /// The numbers of the table, and its items.
    #[must_use]
    pub fn finish(&self) -> (Vec<u8>, &[u8]) {
        (self.ends.iter().flat_map(|end| end.to_le_bytes()).collect(), &self.bytes)
    }
}

/// The number at `index` of what [`numbers_bytes`] counts.
#[must_use]
#[inline]
pub fn number(numbers: &[u8], index: usize) -> Option<u32> {
    let bytes = numbers.get(index * NUMBER_BYTES..)?.first_chunk::<NUMBER_BYTES>()?;
    Some(u32::from_le_bytes(*bytes))
}

/// The first result of framed results, and where the next begins. `None` when there is no whole one.
#[must_use]
#[inline]
pub fn first_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<NUMBER_BYTES>()?;
    rest.split_at_checked(u32::from_le_bytes(*len) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_where_its_items_are() {
        let mut table = TableBuilder::default();
        for item in [b"ab".as_slice(), b"", b"cde"] {
            let whole = |bytes: &mut Vec<u8>| {
                bytes.extend(item);
                Ok::<_, ()>(())
            };
            assert_eq!(table.push_with(whole), Ok(true));
        }
        let half = |bytes: &mut Vec<u8>| {
            bytes.extend(b"xyz");
            Err(())
        };
        assert_eq!(table.push_with(half), Err(()), "and nothing of it is left");
        let (numbers, bytes) = table.finish();
        assert_eq!((numbers.len() as u64, bytes), (numbers_bytes(3), b"abcde".as_slice()));
        let ends: Vec<u32> = (0..4).filter_map(|index| number(&numbers, index)).collect();
        assert_eq!((ends, number(&numbers, 4)), (vec![0, 2, 2, 5], None));
    }

    #[test]
    fn frames_are_taken_one_by_one() {
        let bytes = [2, 0, 0, 0, b'a', b'b', 0, 0, 0, 0, 9, 0, 0, 0, b'x'];
        let (first, rest) = first_frame(&bytes).expect("whole");
        let (second, rest) = first_frame(rest).expect("whole");
        assert_eq!((first, second), (b"ab".as_slice(), b"".as_slice()));
        assert_eq!(first_frame(rest), None, "it ends too early");
    }
}
