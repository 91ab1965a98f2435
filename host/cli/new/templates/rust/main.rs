//! Standard input backwards, to standard output: one item to a run.

use std::io::{self, Read as _, Write as _};

fn main() -> io::Result<()> {
    let mut item = Vec::new();
    io::stdin().lock().read_to_end(&mut item)?;
    item.reverse();
    io::stdout().write_all(&item)
}
