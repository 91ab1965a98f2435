//! What a run does, from the flags and from what the kernel says of itself. A flag wins.

use taskhost_data::merge::{merge_name, parse_merge};
use taskhost_data::split::{parse_split, split_name};
use taskhost_pool::event::{DirectLength, ItemsPlan, OnError, Placement};
use taskhost_pool::state::sizing::BatchRule;
use taskhost_protocol::kernel::{Description, Exports, ResultLength};
use taskhost_protocol::stream::StreamWork;
use taskhost_protocol::work::{Merge, Split};

use crate::args::{OnErrorName, RunArguments};
use crate::exit_code::{Exit, Failure};
use crate::invoke::Invocation;
use crate::output;

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Kernel,
    Default,
}

impl Origin {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Flag => "by flag",
            Self::Kernel => "by the kernel",
            Self::Default => "by default",
        }
    }
}

/// How inputs become results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Inputs are cut into items.
    Items { split: (Split, Origin), merge: (Merge, Origin), length: ResultLength },
    /// Each input is a picture.
    Picture,
}

impl Shape {
    /// What the input is cut into, and what becomes of the results, in words.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Picture => "pictures".into(),
            Self::Items { split, merge, length } => {
                let length = match length {
                    ResultLength::Unknown => String::new(),
                    ResultLength::Same => ", each as long as its item".into(),
                    ResultLength::Exactly(bytes) => format!(", each of {bytes} bytes"),
                };
                format!("--split {} --merge {}{length}", split_name(split.0), merge_name(merge.0))
            }
        }
    }

    /// Whether results are binary, so that a terminal is no place for them.
    pub(crate) fn is_binary(self) -> bool {
        match self {
            Self::Picture => true,
            Self::Items { merge: (Merge::Reduce | Merge::Lines | Merge::Discard, _), .. } => false,
            Self::Items { split: (Split::Lines | Split::Blocks(_), _), merge: (Merge::Concat, _), .. } => false,
            Self::Items { .. } => true,
        }
    }
}

/// Works out the shape of a run.
pub(crate) fn shape(
    arguments: &RunArguments,
    exports: Exports,
    description: Option<&Description>,
) -> Result<Shape, Failure> {
    let items = &arguments.items;
    if exports.image_filter && !(exports.mapper || exports.flat_mapper) {
        let refused = [
            (items.split.is_some(), "--split"),
            (items.merge.is_some(), "--merge"),
            (items.header, "--header"),
            (items.unordered, "--unordered"),
        ];
        if let Some((_, flag)) = refused.iter().find(|(given, _)| *given) {
            return Err(Failure::usage(format!("{flag} has no meaning here: the kernel filters pictures, not items")));
        }
        return Ok(Shape::Picture);
    }
    if arguments.picture.size.is_some() {
        return Err(Failure::usage("--size has no meaning here: the kernel takes items, not pictures"));
    }
    let described = |text: &str, what: &str, error: &dyn std::fmt::Display| {
        Failure::new(Exit::Refused, format!("the kernel describes its {what} as `{text}`: {error}"))
    };
    let split = match (items.split, description) {
        (Some(split), _) => (split, Origin::Flag),
        (None, Some(description)) if !description.split.is_empty() => {
            let text = &description.split;
            (parse_split(text).map_err(|error| described(text, "split", &error))?, Origin::Kernel)
        }
        (None, _) => (items.call.invoke.as_ref().map_or(Split::Whole, Invocation::split), Origin::Default),
    };
    let merge = match (items.merge, description) {
        (Some(merge), _) => (merge, Origin::Flag),
        (None, Some(description)) if !description.merge.is_empty() => {
            let text = &description.merge;
            (parse_merge(text).map_err(|error| described(text, "merge", &error))?, Origin::Kernel)
        }
        // What was split at line ends is joined with line ends.
        (None, _) if split.0 == Split::Lines || items.call.invoke.is_some() => (Merge::Lines, Origin::Default),
        (None, _) => (Merge::Concat, Origin::Default),
    };
    if merge.0 == Merge::Reduce && !exports.reducer {
        return Err(match merge.1 {
            Origin::Flag => Failure::usage("--merge reduce needs a kernel that exports `reducer`; this one does not"),
            Origin::Kernel | Origin::Default => Failure::new(
                Exit::Refused,
                "the kernel describes its merge as `reduce` but exports no `reducer`; use --merge concat or lines",
            ),
        });
    }
    if items.header && matches!(split.0, Split::Whole | Split::Records(_) | Split::Chunks(_)) {
        let split = split_name(split.0);
        return Err(Failure::usage(format!("--header is for --split lines or blocks; the split here is {split}")));
    }
    if items.keep_header && merge.0 != Merge::Lines && merge.0 != Merge::Concat {
        let merge = merge_name(merge.0);
        return Err(Failure::usage(format!("--keep-header is for --merge lines or concat; the merge here is {merge}")));
    }
    if items.keep_header
        && let Some(path) = arguments.output.output.as_deref()
        && let Some(work @ (StreamWork::WriteTable { .. } | StreamWork::Load(_))) = output::work(path, arguments)
    {
        let (path, kind) = (path.display(), output::kind(&work));
        return Err(Failure::usage(format!("--keep-header has no place in {path}, which is {kind}: leave it out")));
    }
    let length = match description {
        // A flat-mapper may give any number of results, so their length says nothing of their place.
        Some(description) if exports.mapper => description.result_length,
        _ => ResultLength::Unknown,
    };
    Ok(Shape::Items { split, merge, length })
}

/// The plan of one job. `bytes` is the size of its input, when known; `own_file` says that its results go to a file
/// that nobody sees before it is complete, so that they can be written in any order.
pub(crate) fn items_plan(
    shape: Shape,
    arguments: &RunArguments,
    bytes: Option<u64>,
    own_file: bool,
) -> Option<ItemsPlan> {
    let Shape::Items { split: (split, _), merge: (merge, _), length } = shape else { return None };
    let direct = match length {
        ResultLength::Same => Some(DirectLength::Same),
        ResultLength::Exactly(len) => Some(DirectLength::Exactly(len)),
        ResultLength::Unknown => None,
    };
    let placement = match (merge, split, direct) {
        (Merge::Discard, ..) => Placement::Nowhere,
        (Merge::Concat, Split::Records(_) | Split::Chunks(_), Some(direct)) if own_file && bytes.is_some() => {
            Placement::Direct(direct)
        }
        _ => Placement::Append,
    };
    Some(ItemsPlan {
        split,
        merge,
        placement,
        length,
        ordered: !arguments.items.unordered,
        batch: batch(arguments),
        bytes,
        on_error: on_error(arguments),
        origin: None,
        portion: None,
    })
}

/// What becomes of a result of which an item failed. Without the flag the only one is not made: one that lacks something
/// looks like one that does not.
pub(crate) fn on_error(arguments: &RunArguments) -> OnError {
    match arguments.failures.on_error {
        Some(OnErrorName::Skip) => OnError::Skip,
        Some(OnErrorName::Fail) | None => OnError::Fail,
    }
}

/// How large batches are.
pub(crate) fn batch(arguments: &RunArguments) -> BatchRule {
    let items = arguments.workers.batch.0;
    if arguments.served.brief {
        return BatchRule::Brief(items);
    }
    items.map_or(BatchRule::Auto, BatchRule::Items)
}
