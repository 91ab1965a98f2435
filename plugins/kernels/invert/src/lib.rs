//! 255 minus every byte.

use taskhost_kernel::prelude::*;

struct Invert;

impl Kernel for Invert {
    fn describe() -> Description {
        // Large enough to make the call cheap, small enough to stay in a core's cache.
        Description::new("Inverts every byte: 255 - byte.")
            .split("chunks:256KiB")
            .merge("concat")
            .result_length(ResultLength::Same)
    }
}

impl Map for Invert {
    fn process(item: &[u8]) -> Result<Vec<u8>> {
        Self::consume(item.to_vec())
    }

    fn append(item: &[u8], out: &mut Vec<u8>) -> Result<()> {
        out.extend(item.iter().map(|byte| 255 - byte));
        Ok(())
    }

    fn consume(mut item: Vec<u8>) -> Result<Vec<u8>> {
        for byte in &mut item {
            *byte = 255 - *byte;
        }
        Ok(item)
    }
}

taskhost_kernel::export!(Invert as map);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_inverts_every_byte() {
        let item: Vec<u8> = (0..=255).collect();
        let inverted: Vec<u8> = (0..=255).rev().collect();
        let mut appended = Vec::new();
        assert_eq!(Invert::append(&item, &mut appended), Ok(()));
        assert_eq!(appended, inverted);
        assert_eq!(Invert::process(&item), Ok(inverted.clone()));
        assert_eq!(Invert::consume(item), Ok(inverted));
        assert_eq!(Invert::process(b""), Ok(vec![]));
    }
}
