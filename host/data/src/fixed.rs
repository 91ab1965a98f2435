//! Items that are arithmetic: records and chunks, which begin at every multiple of their size.

use taskhost_protocol::work::{Piece, Split};

/// An input whose length is no multiple of the record size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{size} bytes are no whole number of records of {record} bytes: {remainder} {} left over; check --split records:{record}, or use --split chunks:{record} to take a shorter last item",
    if *.remainder == 1 { "byte is" } else { "bytes are" }
)]
pub struct RemainderError {
    /// Bytes of the input.
    pub size: u64,
    /// Bytes of a record.
    pub record: u64,
    /// Bytes behind the last whole record.
    pub remainder: u64,
}

/// Number of items in an input of `size` bytes; `None` under a split whose items only a look at the bytes can count.
///
/// # Errors
/// When records do not come out even.
pub fn item_count(split: Split, size: u64) -> Result<Option<u64>, RemainderError> {
    match split {
        Split::Whole => Ok(Some(1)),
        Split::Lines | Split::Blocks(_) => Ok(None),
        Split::Table => Ok(Some(size)),
        Split::Chunks(chunk) => Ok(Some(size.div_ceil(chunk))),
        Split::Records(record) => match size % record {
            0 => Ok(Some(size / record)),
            remainder => Err(RemainderError { size, record, remainder }),
        },
    }
}

/// An item of a piece, in bytes of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedItem {
    /// Its first byte.
    pub offset: u64,
    /// Its length; shorter than the split's size only at the end of the input.
    pub len: u64,
}

/// The items of `piece` under `whole`, `records` and `chunks`, in order; none under the other splits.
///
/// A remainder behind the last record comes as a short item: what to say about it depends on where the input ended,
/// which only [`item_count`] and the reader of a pipe know.
pub fn fixed_items(split: Split, piece: &Piece) -> impl Iterator<Item = FixedItem> + use<> {
    let (from, to, end) = (piece.from, piece.to, piece.end.min(piece.to));
    let (first, size) = match split {
        Split::Whole => (piece.start, 0),
        Split::Records(size) | Split::Chunks(size) => (piece.start.div_ceil(size).saturating_mul(size), size),
        Split::Lines | Split::Blocks(_) | Split::Table => (u64::MAX, 1),
    };
    // An empty file is an item too: it begins at its byte 0, which no other range could hold.
    let mut whole = (size == 0 && piece.start == from).then_some(FixedItem { offset: from, len: to - from });
    let mut next = first;
    std::iter::from_fn(move || {
        if size == 0 {
            return whole.take();
        }
        if next >= end {
            return None;
        }
        let item = FixedItem { offset: next, len: size.min(to - next) };
        next = next.saturating_add(size);
        Some(item)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskhost_protocol::ids::{SlotId, SourceId};

    fn piece(start: u64, end: u64, size: u64) -> Piece {
        Piece { source: SourceId(0), slot: SlotId(0), start, end, from: 0, to: size, at: 0, base: 0 }
    }

    #[test]
    fn counts() {
        assert_eq!(item_count(Split::Whole, 0), Ok(Some(1)));
        assert_eq!(item_count(Split::Lines, 10), Ok(None));
        assert_eq!(item_count(Split::Chunks(4), 10), Ok(Some(3)));
        assert_eq!(item_count(Split::Chunks(4), 0), Ok(Some(0)));
        assert_eq!(item_count(Split::Records(5), 10), Ok(Some(2)));
        let error = item_count(Split::Records(4), 10).expect_err("two left over");
        assert!(error.to_string().contains("2 bytes are left over"), "{error}");
    }

    #[test]
    fn pieces_share_the_items() {
        let items = |start, end| fixed_items(Split::Chunks(4), &piece(start, end, 10)).collect::<Vec<_>>();
        assert_eq!(items(0, 4), [FixedItem { offset: 0, len: 4 }]);
        assert_eq!(items(4, 10), [FixedItem { offset: 4, len: 4 }, FixedItem { offset: 8, len: 2 }]);
        assert_eq!(items(5, 8), []);
        assert_eq!(items(0, 10).len(), 3);
    }

    #[test]
    fn a_file_is_one_item_even_when_empty() {
        let items = |size| fixed_items(Split::Whole, &piece(0, size, size)).collect::<Vec<_>>();
        assert_eq!(items(10), [FixedItem { offset: 0, len: 10 }]);
        assert_eq!(items(0), [FixedItem { offset: 0, len: 0 }]);
        assert_eq!(fixed_items(Split::Lines, &piece(0, 10, 10)).count(), 0);
    }
}
