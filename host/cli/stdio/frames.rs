//! How items and replies lie in a stream of bytes: as frames, or as lines.

use taskhost_protocol::limits::ITEM_BYTES;

/// Bytes of the length in front of a frame.
pub(super) const LENGTH_BYTES: usize = 4;

/// How items and replies are told from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notation {
    /// A length in four bytes, little-endian, and so many bytes.
    Frames,
    /// A line.
    Lines,
}

/// What there is at the beginning of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// An item, and how many bytes it takes with what tells it from the next.
    Item(&'a [u8], usize),
    /// The beginning of an item: how long it is, when that is known, and how many bytes come before it.
    Part(Option<u64>, usize),
    /// The beginning of a frame that is too long: its length.
    TooLong(u64),
}

impl Notation {
    /// Looks for an item. `seen` bytes were looked at before, without finding its end.
    pub(super) fn find(self, bytes: &[u8], seen: usize) -> Found<'_> {
        match self {
            Self::Lines => match bytes[seen..].iter().position(|byte| *byte == b'\n') {
                Some(more) => Found::Item(&bytes[..seen + more], seen + more + 1),
                None => Found::Part(None, 0),
            },
            Self::Frames => {
                let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
                    return Found::Part(None, 0);
                };
                let length = u64::from(u32::from_le_bytes(*length));
                if length > ITEM_BYTES {
                    return Found::TooLong(length);
                }
                match usize::try_from(length).ok().and_then(|length| rest.get(..length)) {
                    Some(item) => Found::Item(item, LENGTH_BYTES + item.len()),
                    None => Found::Part(Some(length), LENGTH_BYTES),
                }
            }
        }
    }

    /// Appends a reply: a result, or the line of JSON about an item that failed.
    pub(super) fn reply(self, bytes: &[u8], is_failure: bool, out: &mut Vec<u8>) {
        match self {
            Self::Frames => {
                out.push(u8::from(is_failure));
                // A worker's results stand behind lengths of four bytes, too.
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(bytes);
            }
            Self::Lines => {
                out.extend_from_slice(if is_failure { b"1\t" } else { b"0\t" });
                out.extend_from_slice(bytes);
                out.push(b'\n');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_one_by_one() {
        let bytes = [2, 0, 0, 0, b'a', b'b', 0, 0, 0, 0, 9, 0, 0, 0, b'x'];
        assert_eq!(Notation::Frames.find(&bytes, 0), Found::Item(b"ab", 6));
        assert_eq!(Notation::Frames.find(&bytes[6..], 0), Found::Item(b"", 4));
        assert_eq!(Notation::Frames.find(&bytes[10..], 0), Found::Part(Some(9), 4));
        assert_eq!(Notation::Frames.find(&bytes[10..13], 0), Found::Part(None, 0));
        let most = u32::try_from(ITEM_BYTES).expect("it fits");
        assert_eq!(Notation::Frames.find(&most.to_le_bytes(), 0), Found::Part(Some(ITEM_BYTES), 4));
        assert_eq!(Notation::Frames.find(&(most + 1).to_le_bytes(), 0), Found::TooLong(ITEM_BYTES + 1));
    }

    #[test]
    fn lines_are_found_one_by_one() {
        assert_eq!(Notation::Lines.find(b"ab\n\nc", 0), Found::Item(b"ab", 3));
        assert_eq!(Notation::Lines.find(b"ab\n\nc", 2), Found::Item(b"ab", 3));
        assert_eq!(Notation::Lines.find(b"\nc", 0), Found::Item(b"", 1));
        assert_eq!(Notation::Lines.find(b"c", 1), Found::Part(None, 0));
    }

    #[test]
    fn a_reply_says_first_what_it_is() {
        let mut out = Vec::new();
        Notation::Frames.reply(b"ab", false, &mut out);
        Notation::Frames.reply(b"{}", true, &mut out);
        Notation::Lines.reply(b"ab", false, &mut out);
        Notation::Lines.reply(b"{}", true, &mut out);
        assert_eq!(out, b"\x00\x02\0\0\0ab\x01\x02\0\0\0{}0\tab\n1\t{}\n");
    }
}
