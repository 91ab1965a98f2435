//! What a service says to the runs that it starts, and nobody types.

use std::path::PathBuf;

use clap::Args;

use super::values;

/// What a service says to its runs.
#[derive(Debug, Args)]
pub(crate) struct ServedArguments {
    /// Plan no batch longer than 10 ms: others wait for the cores
    #[arg(long, hide = true)]
    pub(crate) brief: bool,
    /// Most bytes of the result, and of the file of failed items (exit code 7)
    #[arg(long, value_name = "SIZE", value_parser = values::size, hide = true)]
    pub(crate) most_output: Option<u64>,
    /// What messages and the kernel call an input: once for each, in their order
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) input_name: Vec<String>,
    /// Write what happened as a page for whoever asked for this run, and may not know on which machine it was
    #[arg(long, value_name = "FILE.html", hide = true)]
    pub(crate) page: Option<PathBuf>,
    /// What that page has in place of the command: once for each word, in their order
    #[arg(long, value_name = "WORD", hide = true)]
    pub(crate) as_typed: Vec<String>,
}
