//! Eight random bytes for each item, in hexadecimal: the same in every run. Where they come from is WASI, whose interfaces a
//! kernel may import besides those of taskhost.

use taskhost_kernel::{Result, kernel};

mod wasi {
    //! As much of WASI 0.2 as is used here.
    wit_bindgen::generate!({
        inline: "package wasi:random@0.2.0; interface random { get-random-u64: func() -> u64; } world dice { import random; }",
    });
}

/// Throws dice.
#[kernel(split = "lines", merge = "lines")]
fn throw(_item: &[u8]) -> Result<Vec<u8>> {
    Ok(format!("{:016x}", wasi::wasi::random::random::get_random_u64()).into_bytes())
}
