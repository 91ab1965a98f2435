//! `taskhost resume` and `taskhost replay`: what was run before, again.

use std::path::PathBuf;

use clap::Args;

use super::SandboxArguments;
use super::values::{self, BatchSize, WorkerCount};

/// `taskhost resume`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ResumeArguments {
    /// The file that `--journal` named
    #[arg(value_name = "JOURNAL")]
    pub(crate) journal: PathBuf,
    /// Run the items that failed again, and put their results in their places
    #[arg(long)]
    pub(crate) retry_failed: bool,
    /// With --retry-failed: run with this kernel, a mended one
    #[arg(long, value_name = "FILE")]
    pub(crate) kernel: Option<PathBuf>,
    /// Number of workers, or one for each `physical` or `logical` core
    #[arg(short = 'j', long, value_name = "N", value_parser = values::workers)]
    pub(crate) workers: Option<WorkerCount>,
    /// Items in a batch
    #[arg(long, value_name = "N", value_parser = values::batch)]
    pub(crate) batch: Option<BatchSize>,
}

/// `taskhost replay`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReplayArguments {
    /// A file that `--capture` made
    #[arg(value_name = "CAPSULE")]
    pub(crate) capsule: PathBuf,
    /// Run the item with this kernel instead, a mended one perhaps
    #[arg(long, value_name = "FILE")]
    pub(crate) kernel: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sandbox: SandboxArguments,
}
