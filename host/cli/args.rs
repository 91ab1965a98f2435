//! The command line, exactly as typed. What it means is decided in [`crate::plan`].

mod again;
mod bench;
mod check;
mod doctor;
mod failures;
mod given;
mod names;
mod new;
mod run;
#[cfg(feature = "serve")]
mod serve;
mod served;
#[cfg(feature = "serve")]
mod server;
mod shards;
mod stdio;
#[cfg(feature = "service")]
mod tenant;
mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::exit_code::{Exit, TABLE};

pub(crate) use again::{ReplayArguments, ResumeArguments};
pub(crate) use bench::BenchArguments;
pub(crate) use check::CheckArguments;
pub(crate) use doctor::DoctorArguments;
pub(crate) use failures::{AttemptArguments, FailureArguments, JournalArguments, LimitArguments};
pub(crate) use given::{AllowName, GivenArguments};
pub(crate) use names::{KindName, OnErrorName, ProgressMode, SandboxName};
pub(crate) use new::{Language, NewArguments};
pub(crate) use run::{
    CallArguments, MessageArguments, PictureArguments, ReportArguments, RunArguments, RunCommand, WorkerArguments,
};
#[cfg(feature = "serve")]
pub(crate) use serve::{LogFormat, ServeArguments};
pub(crate) use served::Earlier;
#[cfg(feature = "serve")]
pub(crate) use server::{JobArguments, JobCommand, NamedJob, ServerArguments, ThereArguments};
pub(crate) use shards::{
    AttachArguments, EngineArguments, EngineName, MergeArguments, PlanArguments, ShardArguments, ShardCommand,
    ShardRunArguments,
};
pub(crate) use stdio::StdioArguments;
#[cfg(feature = "service")]
pub(crate) use tenant::{ServiceArguments, TenantArguments, TenantCommand, TokenArguments};
pub(crate) use values::FolderName;

/// Apply a WebAssembly kernel to a large input on every core.
///
/// Each worker is a locked-down process with one kernel in it; results are merged in order.
#[derive(Debug, Parser)]
#[command(name = "taskhost", version, disable_help_subcommand = true, arg_required_else_help = true)]
#[command(after_help = "Try `taskhost run sobel picture.png -o edges.png`, or `taskhost inspect sobel`.")]
#[command(after_long_help = exit_codes())]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Apply a kernel to an input
    Run(Box<RunCommand>),
    /// Serve another program: items come on standard input, replies go to standard output
    Stdio(Box<StdioArguments>),
    /// Say what a kernel is and what it takes
    Inspect(LookArguments),
    /// Write a kernel of your own: a folder that builds
    New(NewArguments),
    /// Say whether a kernel keeps the contract, and what to do when not
    Check(Box<CheckArguments>),
    /// Compile a kernel now, so that its first run need not
    Compile(InspectArguments),
    /// Go on with a run that was interrupted
    Resume(ResumeArguments),
    /// Run one failed item again, alone
    Replay(ReplayArguments),
    /// Cut a run into shards, to be run one by one and on other machines
    Plan(Box<PlanArguments>),
    /// Run one shard of a plan
    Shard(ShardArguments),
    /// Join what the shards of a plan have made
    Merge(MergeArguments),
    /// Wait again for a run that a cluster's scheduler has
    Attach(AttachArguments),
    /// Measure how a kernel scales, and what an item costs
    Bench(BenchArguments),
    /// Look after the compiled kernels
    Cache(CacheArguments),
    /// Run kernels and jobs of several tenants, over HTTP
    #[cfg(feature = "serve")]
    Serve(ServeArguments),
    /// Look after jobs that a service has
    #[cfg(feature = "serve")]
    Job(JobArguments),
    /// Look after the tenants of a service: who may use it, and how much of it
    #[cfg(feature = "service")]
    Tenant(Box<TenantArguments>),
    /// Say what this machine has, and whether the walls around workers hold
    Doctor(DoctorArguments),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one for each command into a folder
    Man {
        /// Where the pages go
        #[arg(value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
}

/// The walls around workers.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct SandboxArguments {
    /// Walls around the workers: those that this machine allows, all of them or nothing, or none
    #[arg(long = "sandbox", value_enum, value_name = "HOW", default_value = "auto", help_heading = "Workers")]
    pub(crate) insistence: SandboxName,
}

/// A kernel, and how to take it.
#[derive(Clone, Debug, Args)]
pub(crate) struct InspectArguments {
    /// The kernel: a .wasm or .wat file, or the name of an installed or first-party one
    #[arg(value_name = "KERNEL")]
    pub(crate) kernel: PathBuf,
    /// Take the file for this kind of kernel, whatever it looks like
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) kind: Option<KindName>,
    #[command(flatten)]
    pub(crate) sandbox: SandboxArguments,
}

/// A kernel that is looked at.
#[derive(Clone, Debug, Args)]
pub(crate) struct LookArguments {
    #[command(flatten)]
    pub(crate) kernel: InspectArguments,
    /// Print it as JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CacheArguments {
    #[command(subcommand)]
    pub(crate) command: CacheCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Print the folder
    Path,
    /// List the compiled kernels
    Ls,
    /// Delete all compiled kernels
    Clear,
}

/// The exit codes, for the long help and the manual.
fn exit_codes() -> String {
    let mut text = String::from("Exit codes:\n");
    for (code, meaning) in TABLE {
        text.push_str(&format!("  {code:>3}  {meaning}\n"));
    }
    text
}

/// Prints why the command line was not understood, or the help that was asked for.
pub(crate) fn explain(error: &clap::Error) -> Exit {
    if crate::words::are_handed_over() {
        crate::report::note(&crate::words::in_parameters(&error.render().to_string()));
        return Exit::Usage;
    }
    // Help and version come as errors too, and go to standard output.
    let _ = error.print();
    if !error.use_stderr() {
        return Exit::Done;
    }
    // `taskhost filter.wasm input`: the word is missing.
    if let (clap::error::ErrorKind::InvalidSubcommand, Some(clap::error::ContextValue::String(word))) =
        (error.kind(), error.get(clap::error::ContextKind::InvalidSubcommand))
        && (word.ends_with(".wasm") || word.ends_with(".wat"))
    {
        crate::report::hint(&format!("to run a kernel, write: taskhost run {word} INPUT"));
    }
    Exit::Usage
}
