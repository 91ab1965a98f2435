//! Each line backwards.

use taskhost_kernel::{Result, kernel};

/// Each line backwards, byte by byte.
#[kernel(split = "lines", merge = "lines", result_length = "same")]
fn reverse(line: &[u8]) -> Result<Vec<u8>> {
    Ok(line.iter().rev().copied().collect())
}

#[cfg(test)]
mod tests {
    use super::reverse;

    #[test]
    fn a_line_comes_back_to_front() {
        assert_eq!(reverse(b"abc"), Ok(b"cba".to_vec()));
    }
}
