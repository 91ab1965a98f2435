//! 255 minus every byte of standard input.

use std::io::{self, Read as _, Write as _};

fn main() -> io::Result<()> {
    let mut item = Vec::new();
    io::stdin().lock().read_to_end(&mut item)?;
    item.iter_mut().for_each(|byte| *byte = 255 - *byte);
    io::stdout().write_all(&item)
}
