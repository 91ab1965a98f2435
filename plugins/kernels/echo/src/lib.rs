//! Every chunk as it is: what a run costs without any work.

use taskhost_kernel::prelude::*;

struct Echo;

impl Kernel for Echo {
    fn describe() -> Description {
        // Large enough to make the call cheap, small enough to stay in a core's cache.
        Description::new("Returns every chunk as it is, for measuring.")
            .split("chunks:256KiB")
            .merge("concat")
            .result_length(ResultLength::Same)
    }
}

impl Map for Echo {
    fn process(item: &[u8]) -> Result<Vec<u8>> {
        Ok(item.to_vec())
    }

    fn append(item: &[u8], out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(item);
        Ok(())
    }

    fn consume(item: Vec<u8>) -> Result<Vec<u8>> {
        Ok(item)
    }
}

taskhost_kernel::export!(Echo as map);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_returns_the_item() {
        let item: Vec<u8> = (0..=255).collect();
        let mut appended = b"before".to_vec();
        assert_eq!(Echo::append(&item, &mut appended), Ok(()));
        assert_eq!(appended[6..], item);
        assert_eq!(Echo::process(&item), Ok(item.clone()));
        assert_eq!(Echo::consume(item.clone()), Ok(item));
        assert_eq!(Echo::process(b""), Ok(vec![]));
    }
}
