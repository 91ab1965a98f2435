//! The notation of a merge: `concat`, `lines`, `reduce`, `discard`.

use taskhost_protocol::work::Merge;

/// All merges with their names.
const NAMES: [(&str, Merge); 4] =
    [("concat", Merge::Concat), ("lines", Merge::Lines), ("reduce", Merge::Reduce), ("discard", Merge::Discard)];

/// Why a text is no merge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a way to merge: there are `concat` (results end to end), `lines` (a line for each result), `reduce` (the kernel joins them) and `discard` (results are counted, not kept)"
)]
pub struct MergeError(pub String);

/// The merge of that name, as in `--merge` and in a kernel's `describe`.
///
/// # Errors
/// When there is none; the error lists the choices.
pub fn parse_merge(text: &str) -> Result<Merge, MergeError> {
    let wanted = text.trim();
    NAMES.iter().find(|(name, _)| *name == wanted).map(|(_, merge)| *merge).ok_or_else(|| MergeError(text.into()))
}

/// The name of a merge; [`parse_merge`] reads it back.
#[must_use]
pub fn merge_name(merge: Merge) -> &'static str {
    match merge {
        Merge::Concat => "concat",
        Merge::Lines => "lines",
        Merge::Reduce => "reduce",
        Merge::Discard => "discard",
        Merge::Framed => "framed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_merge_is_read_and_printed() {
        for (name, merge) in NAMES {
            assert_eq!(parse_merge(name), Ok(merge));
            assert_eq!(merge_name(merge), name);
        }
        assert!(parse_merge("sum").expect_err("no such merge").to_string().contains("reduce"));
    }
}
