//! `taskhost check`, as typed.

use std::path::PathBuf;

use clap::Args;
use taskhost_protocol::work::{Merge, Split};

use crate::invoke::Invocation;

use super::values;
use super::{GivenArguments, InspectArguments, LimitArguments};

/// `taskhost check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    pub(crate) kernel: InspectArguments,
    /// A file to try the kernel with; without one, something is made up that suits what it says it takes
    #[arg(short, long = "input", value_name = "SAMPLE")]
    pub(crate) sample: Option<PathBuf>,
    /// Check this function of a component: the sample has a line of JSON for each call
    #[arg(long, value_name = "NAME", value_parser = Invocation::parse_name)]
    pub(crate) invoke: Option<Invocation>,
    /// A setting of the kernel (may be repeated)
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = values::setting)]
    pub(crate) config: Vec<(String, String)>,
    /// What an item is, when the kernel does not say it: whole, lines, blocks[:SIZE], records:SIZE, chunks[:SIZE]
    #[arg(long, value_name = "HOW", value_parser = values::split)]
    pub(crate) split: Option<Split>,
    /// How results become one, when the kernel does not say it: concat, lines, reduce
    #[arg(long, value_name = "HOW", value_parser = values::merge)]
    pub(crate) merge: Option<Merge>,
    /// The first line of the sample is a header and no item
    #[arg(long)]
    pub(crate) header: bool,
    /// Print JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) limits: LimitArguments,
    #[command(flatten)]
    pub(crate) given: GivenArguments,
}
