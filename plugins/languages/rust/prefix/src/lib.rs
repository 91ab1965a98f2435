//! A setting in front of each line; it is looked at once, before the first item.

use taskhost_kernel::prelude::*;

static PREFIX: Setup<Vec<u8>> = Setup::new();

struct Prefix;

impl Kernel for Prefix {
    fn describe() -> Description {
        Description::new("Puts a text in front of each line.").split("lines").merge("lines").setting(
            "with",
            "> ",
            "What to put in front of each line.",
        )
    }

    fn start() -> Result<()> {
        let with = config::require("with")?;
        if with.is_empty() || with.len() > 63 {
            return Err(Error::failed("`with` must have 1 to 63 bytes"));
        }
        PREFIX.fill(with.into_bytes());
        Ok(())
    }
}

impl Map for Prefix {
    fn process(item: &[u8]) -> Result<Vec<u8>> {
        Ok([PREFIX.get(), item].concat())
    }
}

taskhost_kernel::export!(Prefix as map);
