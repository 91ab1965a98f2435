//! `taskhost resume` and `taskhost replay`: what was run before, again.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::SandboxArguments;
use super::names::{OnErrorName, SandboxName};
use super::run::RunArguments;
use super::served::Earlier;
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
    #[command(flatten)]
    pub(crate) changed: ChangedArguments,
    /// How many processes were at this run before, and what they took: milliseconds, and milliseconds of CPU time
    #[arg(long, value_name = "N:MS:CPU_MS", hide = true)]
    pub(crate) earlier: Option<Earlier>,
}

/// What may be otherwise than in the run before: it decides which items fail, and never what an item comes to.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Otherwise than before")]
pub(crate) struct ChangedArguments {
    /// Longest time for one item
    #[arg(long, value_name = "TIME", value_parser = values::time_limit)]
    timeout: Option<Duration>,
    /// Longest time for what is left of the run (exit code 7)
    #[arg(long, value_name = "TIME", value_parser = values::time_limit)]
    deadline: Option<Duration>,
    /// Memory of one worker's kernel
    #[arg(long, value_name = "SIZE", value_parser = values::memory)]
    memory: Option<u64>,
    /// Longest result of one item
    #[arg(long, value_name = "SIZE", value_parser = values::max_output)]
    max_output: Option<u64>,
    /// Run an item again so often when nobody is to blame
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=100))]
    retries: Option<u32>,
    /// What becomes of the result when an item fails
    #[arg(long, value_enum, value_name = "HOW")]
    on_error: Option<OnErrorName>,
    /// Walls around the workers
    #[arg(long, value_enum, value_name = "HOW")]
    sandbox: Option<SandboxName>,
}

impl ChangedArguments {
    /// Changes the command of the run before.
    pub(crate) fn apply(&self, command: &mut RunArguments) {
        command.limits.timeout = self.timeout.or(command.limits.timeout);
        command.limits.deadline = self.deadline.or(command.limits.deadline);
        command.limits.memory = self.memory.unwrap_or(command.limits.memory);
        command.limits.max_output = self.max_output.unwrap_or(command.limits.max_output);
        command.failures.attempts.retries = self.retries.unwrap_or(command.failures.attempts.retries);
        command.failures.on_error = self.on_error.or(command.failures.on_error);
        if let Some(sandbox) = self.sandbox {
            command.kernel.sandbox.insistence = sandbox;
        }
    }
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
