//! Random bytes from the kernel, for tokens and for the numbers of jobs.

use std::fs::File;
use std::io::Read as _;

/// So many random bytes.
///
/// # Panics
/// When the kernel has none to give: a server that cannot make secrets must not go on.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let read = File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes));
    if let Err(error) = read {
        panic!("no random numbers can be had: {error}");
    }
    bytes
}

/// The digits and letters, without a sign that has to be quoted anywhere.
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A random word of so many letters and digits, each as likely as any other.
#[must_use]
pub fn word(letters: usize) -> String {
    let mut word = String::with_capacity(letters);
    while word.len() < letters {
        // Of 256 values 8 are left over when 62 letters share them: those are drawn again.
        let fitting = bytes::<32>().into_iter().filter(|byte| usize::from(*byte) < 4 * LETTERS.len());
        word.extend(
            fitting.take(letters - word.len()).map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()])),
        );
    }
    word
}
