//! `taskhost plan`, `shard`, `merge` and `attach`: a run that is cut for several machines.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::names::ProgressMode;
use super::run::RunArguments;
use super::values::{self, WorkerCount};

/// `taskhost plan`: the flags of a run, of which `-o` names the plan.
#[derive(Debug, Args)]
#[command(mut_arg("output", |arg| arg.required(true).value_name("PLAN").help("Where the plan goes; its parts will be beside it, in PLAN.parts")))]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    pub(crate) run: RunArguments,
    /// Where the merged result goes, as `-o` of `taskhost run` says it [default: standard output of `merge`]
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub(crate) result: Option<PathBuf>,
}

/// A cluster's own engine, and how a run is cut for it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Beyond one machine")]
pub(crate) struct EngineArguments {
    /// Have a cluster's scheduler run it; its own options come after `--`
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) engine: Option<EngineName>,
    /// Cut the run into so many shards [default: shards of about 30 s, after a trial]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) shards: Option<u32>,
    /// With --engine: where the plan goes, on storage that all nodes share [default: OUTPUT.plan]
    #[arg(long, value_name = "FILE", requires = "engine")]
    pub(crate) plan: Option<PathBuf>,
    /// With --engine: hand missing shards in again so often
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(..=100))]
    pub(crate) rounds: u32,
}

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineName {
    /// Slurm: sbatch, squeue, sacct and scancel, wherever PATH finds them
    Slurm,
}

/// `taskhost shard`.
#[derive(Debug, Args)]
pub(crate) struct ShardArguments {
    #[command(subcommand)]
    pub(crate) command: ShardCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ShardCommand {
    /// Run one shard of a plan, on all cores that this process may use
    Run(ShardRunArguments),
}

/// `taskhost shard run`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ShardRunArguments {
    /// The plan
    #[arg(long, value_name = "PLAN")]
    pub(crate) plan: PathBuf,
    /// Which shard, from 0 [default: what the scheduler says, see docs/engines.md]
    #[arg(long, value_name = "N")]
    pub(crate) index: Option<u32>,
    /// Number of workers, or one for each `physical` or `logical` core [default: as planned]
    #[arg(short = 'j', long, value_name = "N", value_parser = values::workers)]
    pub(crate) workers: Option<WorkerCount>,
}

/// `taskhost merge`.
#[derive(Clone, Debug, Args)]
pub(crate) struct MergeArguments {
    /// The plan
    #[arg(long, value_name = "PLAN")]
    pub(crate) plan: PathBuf,
    /// Where the result goes, if not where the plan says
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// Remove the parts once the result is in its place
    #[arg(long)]
    pub(crate) remove_parts: bool,
    /// Print nothing but errors and results
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// For the job that an engine runs behind the shards: what is missing is handed in again, and the end is noted
    #[arg(long, value_name = "ROUND", hide = true, conflicts_with_all = ["output", "remove_parts"])]
    pub(crate) heal: Option<u32>,
}

/// `taskhost attach`.
#[derive(Clone, Debug, Args)]
pub(crate) struct AttachArguments {
    /// The plan that an engine was given
    #[arg(value_name = "PLAN")]
    pub(crate) plan: PathBuf,
    /// Cancel its jobs instead of waiting for them; what is done stays done
    #[arg(long)]
    pub(crate) cancel: bool,
    /// Show progress: auto is a bar on a terminal, and now and then a line elsewhere
    #[arg(long, value_enum, value_name = "HOW", default_value = "auto")]
    pub(crate) progress: ProgressMode,
    /// Print nothing but errors and results
    #[arg(short, long)]
    pub(crate) quiet: bool,
}
