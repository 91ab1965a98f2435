//! How often each word occurs. Words are maximal runs of bytes other than space, \t, \n, \v, \f and \r; the output has a
//! line `word<TAB>count` for each, sorted by bytes: what `tr -s '[:space:]' '\n' | sort | uniq -c` says under LC_ALL=C.
//!
//! A block is counted in a hash table (`table`); a partial result is a sorted list with shared beginnings left out
//! (`partial`), so joining many is a merge that needs little more memory than its result.

mod join;
mod partial;
mod prefix;
mod table;

use taskhost_kernel::prelude::*;

use partial::{Reader, Writer};
use table::Table;

struct WordCount;

impl Kernel for WordCount {
    fn describe() -> Description {
        Description::new("Counts words; lines `word<TAB>count`, sorted by bytes.").split("blocks:1MiB").merge("reduce")
    }
}

impl Map for WordCount {
    fn process(item: &[u8]) -> Result<Vec<u8>> {
        let mut table = Table::new(item);
        let mut start = 0;
        for (end, byte) in item.iter().enumerate() {
            if IS_SPACE[usize::from(*byte)] {
                if start < end {
                    table.count(start, end)?;
                }
                start = end + 1;
            }
        }
        if start < item.len() {
            table.count(start, item.len())?;
        }
        let mut writer = Writer::default();
        for (word, prefix, count) in table.into_sorted() {
            writer.push(word, prefix, count);
        }
        Ok(writer.into_bytes())
    }
}

impl Reduce for WordCount {
    fn combine(parts: &[Vec<u8>]) -> Result<Vec<u8>> {
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        join::join(&parts)
    }

    fn finish(total: Vec<u8>) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut reader = Reader::new(&total);
        while reader.advance()? {
            out.extend_from_slice(reader.word());
            out.push(b'\t');
            decimal(reader.count(), &mut out);
            out.push(b'\n');
        }
        Ok(out)
    }
}

taskhost_kernel::export!(WordCount as reduce);

/// Appends a number in decimal. `to_string` would allocate for each line.
fn decimal(mut number: u64, out: &mut Vec<u8>) {
    /// The most digits a u64 has.
    const DIGITS: usize = 20;
    let mut digits = [b'0'; DIGITS];
    let mut first = DIGITS;
    loop {
        first -= 1;
        digits[first] += u8::try_from(number % 10).expect("a digit");
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

/// Which bytes stand between words. \v (0x0b) is not white space to Rust, but it is to C.
const IS_SPACE: [bool; 256] = {
    let mut table = [false; 256];
    let mut index = 0;
    while index < 6 {
        table[b" \t\n\x0b\x0c\r"[index] as usize] = true;
        index += 1;
    }
    table
};

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use taskhost_kernel::testing;

    fn by_definition(text: &[u8]) -> String {
        let mut counts = BTreeMap::new();
        for word in text.split(|byte| b" \t\n\x0b\x0c\r".contains(byte)).filter(|word| !word.is_empty()) {
            *counts.entry(word).or_insert(0) += 1;
        }
        counts.iter().map(|(word, count)| format!("{}\t{count}\n", String::from_utf8_lossy(word))).collect()
    }

    fn finished(partial: Vec<u8>) -> String {
        String::from_utf8_lossy(&WordCount::finish(partial).unwrap()).into_owned()
    }

    /// Words of many lengths from few letters, so that they repeat and share beginnings; NUL is a letter too.
    fn text(seed: u64, length: usize) -> Vec<u8> {
        let letters = b"aab\0\x01 \n\tzz\x0b";
        let mut random = testing::noise(seed);
        let mut text = Vec::new();
        while text.len() < length {
            match random.next().unwrap() % 40 {
                0 => text.extend_from_slice(b"a-word-longer-than-eight-bytes"),
                1 => text.extend_from_slice(b"a-word-longer-than-eight-byteS "),
                2 => text.extend_from_slice(format!(" {} ", random.next().unwrap() % 5000).as_bytes()),
                other => text.push(letters[usize::try_from(other).unwrap() % letters.len()]),
            }
        }
        text
    }

    #[test]
    fn a_block_equals_the_definition() {
        for (seed, length) in [(1, 0), (2, 1), (3, 30), (4, 5000), (5, 300_000)] {
            let text = text(seed, length);
            assert_eq!(finished(WordCount::process(&text).unwrap()), by_definition(&text), "{length} bytes");
        }
        assert_eq!(finished(WordCount::process(b" the cat\tthe\n").unwrap()), "cat\t1\nthe\t2\n");
    }

    #[test]
    fn any_tree_gives_the_same() {
        let texts: Vec<Vec<u8>> = (10..50).map(|seed| text(seed, 2000)).collect();
        let parts: Vec<Vec<u8>> = texts.iter().map(|text| WordCount::process(text).unwrap()).collect();
        let flat = WordCount::combine(&parts).unwrap();
        assert_eq!(finished(flat.clone()), by_definition(&texts.join(b" ".as_slice())));
        for width in [1, 2, 7, 16, 17] {
            let joined: Vec<Vec<u8>> = parts.chunks(width).map(|parts| WordCount::combine(parts).unwrap()).collect();
            assert_eq!(WordCount::combine(&joined).unwrap(), flat, "{width} at a time");
        }
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 9, 10, 12_345_678_901, u64::MAX] {
            let mut out = Vec::new();
            decimal(number, &mut out);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }

    #[test]
    fn nothing_gives_nothing() {
        let nothing = WordCount::combine(&[]).unwrap();
        assert_eq!(finished(nothing.clone()), "");
        let one = WordCount::process(b"a").unwrap();
        assert_eq!(WordCount::combine(&[nothing, one.clone()]).unwrap(), one);
    }

    #[test]
    fn a_damaged_partial_is_refused() {
        for damaged in [b"\x05".as_slice(), b"\x09\x01a\x01", b"\0\x09a\x01", &[0xff; 12]] {
            assert!(matches!(WordCount::finish(damaged.to_vec()), Err(Error::Failed(_))), "{damaged:?}");
        }
    }
}
