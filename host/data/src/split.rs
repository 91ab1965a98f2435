//! The notation of a split: `whole`, `lines`, `blocks:1MiB`, `records:16`, `chunks:64KiB`.

use taskhost_protocol::limits::{CHUNK_BYTES, ITEM_BYTES};
use taskhost_protocol::work::Split;

use crate::size::{SizeError, human_size, parse_size, size_name};

/// Size of blocks and chunks when none is given: large enough that a call costs nothing beside it, small enough that a
/// few of them per worker fit in the cache.
pub const DEFAULT_SIZE: u64 = 1 << 20;

/// Why a text is no split.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// No such split.
    #[error(
        "`{0}` is not a way to split: there are `whole` (a file is an item), `lines`, `blocks:SIZE` (whole lines, about SIZE bytes), `records:N` (N bytes each) and `chunks:SIZE`"
    )]
    Unknown(String),
    /// A size where none belongs.
    #[error("`{0}` takes no size: write `--split {0}`")]
    NoSize(&'static str),
    /// No size where one is needed.
    #[error("`records` needs the number of bytes of a record: write for example `--split records:16`")]
    RecordSize,
    /// Not a size.
    #[error("in `--split {split}`: {error}")]
    Size {
        /// The whole text.
        split: String,
        /// What is wrong with it.
        error: SizeError,
    },
    /// A size out of bounds.
    #[error("`--split {split}`: an item must have from 1 byte to {}", human_size(*.most))]
    Bounds {
        /// The whole text.
        split: String,
        /// The most bytes of an item of that split.
        most: u64,
    },
}

/// The split of that name, as in `--split` and in a kernel's `describe`.
///
/// # Errors
/// When there is none; the error lists the choices.
pub fn parse_split(text: &str) -> Result<Split, SplitError> {
    let trimmed = text.trim();
    let (name, size) = match trimmed.split_once(':') {
        Some((name, size)) => (name, Some(size)),
        None => (trimmed, None),
    };
    let bounded = |most: u64| -> Result<Option<u64>, SplitError> {
        let Some(size) = size else { return Ok(None) };
        let bytes = parse_size(size).map_err(|error| SplitError::Size { split: trimmed.into(), error })?;
        if bytes == 0 || bytes > most {
            return Err(SplitError::Bounds { split: trimmed.into(), most });
        }
        Ok(Some(bytes))
    };
    match name {
        "whole" if size.is_some() => Err(SplitError::NoSize("whole")),
        "whole" => Ok(Split::Whole),
        "lines" if size.is_some() => Err(SplitError::NoSize("lines")),
        "lines" => Ok(Split::Lines),
        "blocks" => Ok(Split::Blocks(bounded(ITEM_BYTES)?.unwrap_or(DEFAULT_SIZE))),
        "records" => bounded(ITEM_BYTES)?.map(Split::Records).ok_or(SplitError::RecordSize),
        "chunks" => Ok(Split::Chunks(bounded(CHUNK_BYTES)?.unwrap_or(DEFAULT_SIZE))),
        _ => Err(SplitError::Unknown(text.into())),
    }
}

/// The name of a split; [`parse_split`] reads it back.
#[must_use]
pub fn split_name(split: Split) -> String {
    match split {
        Split::Whole => "whole".into(),
        Split::Table => "table".into(),
        Split::Lines => "lines".into(),
        Split::Blocks(size) => format!("blocks:{}", size_name(size)),
        Split::Records(size) => format!("records:{size}"),
        Split::Chunks(size) => format!("chunks:{}", size_name(size)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_split_is_read_and_printed() {
        for (text, split, name) in [
            ("whole", Split::Whole, "whole"),
            ("lines", Split::Lines, "lines"),
            ("blocks", Split::Blocks(1 << 20), "blocks:1MiB"),
            ("blocks:4K", Split::Blocks(4096), "blocks:4KiB"),
            ("records:16", Split::Records(16), "records:16"),
            ("chunks", Split::Chunks(1 << 20), "chunks:1MiB"),
            ("chunks:100", Split::Chunks(100), "chunks:100"),
        ] {
            assert_eq!(parse_split(text), Ok(split));
            assert_eq!(split_name(split), name);
            assert_eq!(parse_split(name), Ok(split));
        }
    }

    #[test]
    fn what_is_no_split_is_refused_with_the_choices() {
        let message = parse_split("line").expect_err("no such split").to_string();
        for choice in ["whole", "lines", "blocks:SIZE", "records:N", "chunks:SIZE"] {
            assert!(message.contains(choice), "{message}");
        }
        assert_eq!(parse_split("lines:5"), Err(SplitError::NoSize("lines")));
        assert_eq!(parse_split("records"), Err(SplitError::RecordSize));
        assert!(matches!(parse_split("blocks:x"), Err(SplitError::Size { .. })));
        for text in ["blocks:0", "records:0", "chunks:9MiB", "records:2G"] {
            assert!(matches!(parse_split(text), Err(SplitError::Bounds { .. })), "{text}");
        }
    }
}
