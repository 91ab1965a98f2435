//! The longest word of each line.

use taskhost_kernel::prelude::*;

struct Longest;

impl Kernel for Longest {
    fn describe() -> Description {
        Description::new("The longest word of each line.").split("lines").merge("lines")
    }
}

impl Map for Longest {
    fn process(line: &[u8]) -> Result<Vec<u8>> {
        let words = line.split(u8::is_ascii_whitespace).rev();
        Ok(words.max_by_key(|word| word.len()).unwrap_or_default().to_vec())
    }
}

taskhost_kernel::export!(Longest as map);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(Longest::process(b"to be or not to be"), Ok(b"not".to_vec()));
        assert_eq!(Longest::process(b""), Ok(Vec::new()));
    }
}
