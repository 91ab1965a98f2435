//! Each item in capitals (ASCII). The smallest kernel: one function, and what it is good for stands on the command line.

use taskhost_kernel::prelude::*;

struct Capitals;

impl Map for Capitals {
    fn process(item: &[u8]) -> Result<Vec<u8>> {
        Ok(item.to_ascii_uppercase())
    }
}

taskhost_kernel::export!(Capitals as minimal);
