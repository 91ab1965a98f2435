//! The words of each line, each a result of its own: none, one or many for an item.

use taskhost_kernel::prelude::*;

struct Words;

impl Kernel for Words {
    fn describe() -> Description {
        Description::new("The words of each line.").split("lines").merge("lines")
    }
}

impl Filter for Words {
    fn process(item: &[u8], results: &mut Results) -> Result<()> {
        if item.contains(&0) {
            reject!("a NUL byte is in no word");
        }
        let is_space = |byte: &u8| *byte == b' ' || (b'\t'..=b'\r').contains(byte);
        item.split(is_space).filter(|word| !word.is_empty()).try_for_each(|word| results.push(word))
    }
}

taskhost_kernel::export!(Words as filter);
