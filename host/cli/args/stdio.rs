//! `taskhost stdio`, as typed.

use clap::Args;

use super::{
    AttemptArguments, CallArguments, GivenArguments, InspectArguments, LimitArguments, MessageArguments,
    WorkerArguments,
};

/// `taskhost stdio`.
///
/// An item is a frame: its length in four bytes, little-endian, and its bytes. A reply is a byte, 0 for a result or 1 for
/// an item that failed, and a frame: the result, or the line of JSON that docs/errors.md describes. Replies come in the order
/// of the items, each as soon as it and all before it are there. The end of the input ends the program, once everything is
/// answered.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct StdioArguments {
    #[command(flatten)]
    pub(crate) kernel: InspectArguments,
    /// Items and replies are lines: a reply is 0 or 1, a tab, and the result or the line of JSON
    #[arg(long)]
    pub(crate) lines: bool,
    #[command(flatten)]
    pub(crate) call: CallArguments,
    #[command(flatten)]
    pub(crate) given: GivenArguments,
    #[command(flatten)]
    pub(crate) workers: WorkerArguments,
    #[command(flatten)]
    pub(crate) limits: LimitArguments,
    #[command(flatten)]
    pub(crate) attempts: AttemptArguments,
    #[command(flatten)]
    pub(crate) messages: MessageArguments,
}
