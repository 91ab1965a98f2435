//! What may go wrong in a run and what becomes of it: limits, failed items, going on after an interruption.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use taskhost_protocol::limits::WorkerLimits;

use super::names::OnErrorName;
use super::values;

/// CPU time that a worker may use beyond the deadline of the run, in seconds. The coordinator ends the run long before;
/// this is for one that hangs.
const CPU_SLACK: u64 = 30;

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArguments {
    /// Longest time for one item, such as 200ms, 5s or 1m30s: CPU time, or four times as much on the clock
    #[arg(long, value_name = "TIME", value_parser = values::time_limit)]
    pub(crate) timeout: Option<Duration>,
    /// Longest time for the run (exit code 7)
    #[arg(long, value_name = "TIME", value_parser = values::time_limit)]
    pub(crate) deadline: Option<Duration>,
    /// Memory of one worker's kernel
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = values::memory)]
    pub(crate) memory: u64,
    /// Longest result of one item
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = values::max_output)]
    pub(crate) max_output: u64,
    /// Units of fuel for one item, about one an instruction: a limit that is the same on every machine, for up to twice
    /// the time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) fuel: Option<u64>,
}

impl LimitArguments {
    /// What each worker may use.
    pub(crate) fn of_worker(&self) -> WorkerLimits {
        let cpu = self.deadline.map(|deadline| deadline.as_secs().saturating_add(1 + CPU_SLACK));
        WorkerLimits { memory: self.memory, output: self.max_output, fuel: self.fuel, cpu }
    }
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Failed items")]
pub(crate) struct FailureArguments {
    /// What becomes of a result of which an item failed [default: skip when each input has a result of its own, else fail]
    #[arg(long, value_enum, value_name = "HOW")]
    pub(crate) on_error: Option<OnErrorName>,
    /// Keep each failed item with its kernel, for `taskhost replay`
    #[arg(long, value_name = "FOLDER")]
    pub(crate) capture: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) attempts: AttemptArguments,
}

/// How often an item is run, and where it is told of when that was in vain.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Failed items")]
pub(crate) struct AttemptArguments {
    /// Write a line of JSON for each failed item; `-` is standard error
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) errors: Option<PathBuf>,
    /// Run an item again so often when nobody is to blame: its worker was killed, or the kernel says `temporary`
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(..=100))]
    pub(crate) retries: u32,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Interruptions")]
pub(crate) struct JournalArguments {
    /// Write down what is done, for `taskhost resume`
    #[arg(long, value_name = "FILE", conflicts_with = "unordered")]
    pub(crate) journal: Option<PathBuf>,
    /// Have results and journal on the disk before they count as done, so that they survive a power cut
    #[arg(long)]
    pub(crate) sync: bool,
    // Batches take about 10 ms, so this is for long items; whoever stops a service or a container waits at least 10 s.
    /// After a signal to end, give items at work so long to finish
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::time)]
    pub(crate) drain_timeout: Duration,
}
