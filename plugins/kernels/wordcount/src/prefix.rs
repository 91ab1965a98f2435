//! The first eight bytes of a word as a number: settles most comparisons without looking at the word.
//!
//! The first byte is in the highest place and a shorter word is followed by zeros, so that prefixes are ordered like the
//! words, but for words with the same prefix (longer ones, and those that end in NUL).

/// The prefix of the word that is the first `length` bytes of `text`.
pub(crate) fn prefix(text: &[u8], length: usize) -> u64 {
    match text.first_chunk() {
        Some(chunk) if length >= 8 => u64::from_be_bytes(*chunk),
        Some(chunk) => u64::from_be_bytes(*chunk) & !(u64::MAX >> (8 * length)),
        None => {
            let mut bytes = [0; 8];
            bytes[..length].copy_from_slice(&text[..length]);
            u64::from_be_bytes(bytes)
        }
    }
}

/// How many bytes two words have in common at the start, given their prefixes.
pub(crate) fn shared((a, a_prefix): (&[u8], u64), (b, b_prefix): (&[u8], u64)) -> usize {
    let shortest = a.len().min(b.len());
    let in_prefix = ((a_prefix ^ b_prefix).leading_zeros() / 8) as usize;
    if in_prefix < 8 || shortest <= 8 {
        return in_prefix.min(shortest);
    }
    8 + a[8..].iter().zip(&b[8..]).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_ordered_like_words() {
        assert_eq!(prefix(b"ab", 2), 0x6162_0000_0000_0000);
        assert_eq!(prefix(b"ab cdefghi", 2), prefix(b"ab", 2));
        assert_eq!(prefix(b"abcdefghi", 9), 0x6162_6364_6566_6768);
        assert!(prefix(b"ab", 2) < prefix(b"abc", 3));
    }

    #[test]
    fn shared_beginnings() {
        let words = ["", "a", "ab", "abcdefgh", "abcdefghi", "abcdefghij", "abcdefgxij", "b", "ab\0", "ab\0\0"];
        for a in words {
            for b in words {
                let naive = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
                let with_prefix = |word: &'static str| (word.as_bytes(), prefix(word.as_bytes(), word.len()));
                assert_eq!(shared(with_prefix(a), with_prefix(b)), naive, "{a:?} and {b:?}");
            }
        }
    }
}
