//! How many bytes each line has. The host hands many lines to one call; nothing here knows of it.

use taskhost_kernel::{Result, kernel, reject};

/// Length of each line.
#[kernel(split = "lines", merge = "lines")]
fn length(item: &[u8]) -> Result<Vec<u8>> {
    if item.starts_with(b"#") {
        reject!("a comment has no length");
    }
    Ok(item.len().to_string().into_bytes())
}
