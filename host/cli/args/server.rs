//! `taskhost run --server` and `taskhost job`, as typed: which service is asked, and for what.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// A service, and what it is to be shown.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "A service")]
pub(crate) struct ServerArguments {
    /// Have it done by the service there, such as https://jobs.example.org; '' is none [default: the variable
    /// TASKHOST_SERVER]
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// The file that the token for the service is in [default: the variable TASKHOST_TOKEN_FILE]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificates (PEM) of whoever vouches for the service, in place of those that browsers trust [default: the variable
    /// TASKHOST_SERVER_CA]
    #[arg(long, value_name = "FILE")]
    pub(crate) server_ca: Option<PathBuf>,
}

/// What is said of a run that a service does, and that means nothing here.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "A service")]
pub(crate) struct ThereArguments {
    /// Have it begun before those of your jobs there that have less: from -100 to 100 [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i8).range(-100..=100))]
    pub(crate) priority: Option<i8>,
}

/// `taskhost job`.
#[derive(Debug, Args)]
pub(crate) struct JobArguments {
    #[command(subcommand)]
    pub(crate) command: JobCommand,
}

/// What is asked about jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// List jobs, from the newest to the oldest
    List {
        #[command(flatten)]
        server: ServerArguments,
        /// Only jobs that are so: queued, running, succeeded, partial, failed, cancelled
        #[arg(long, value_name = "STATE", help_heading = "Options")]
        state: Option<String>,
        /// So many at most
        #[arg(long, value_name = "N", help_heading = "Options", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// Print a line of JSON for each
        #[arg(long, help_heading = "Options")]
        json: bool,
    },
    /// Say how far a job is, and what came of it
    Show {
        #[command(flatten)]
        job: NamedJob,
        /// Print it as JSON
        #[arg(long, help_heading = "Options")]
        json: bool,
    },
    /// End a job that is not over
    Cancel {
        #[command(flatten)]
        job: NamedJob,
        /// Print what it is then as JSON
        #[arg(long, help_heading = "Options")]
        json: bool,
    },
    /// Print what a job has said so far, and a line for each item that failed
    Logs {
        #[command(flatten)]
        job: NamedJob,
        /// Print what was said of one item that failed, by its number
        #[arg(long, value_name = "NUMBER")]
        item: Option<u64>,
        /// Print a line of JSON for each item that failed
        #[arg(long, help_heading = "Options")]
        json: bool,
    },
}

/// One job of a service.
#[derive(Debug, Args)]
pub(crate) struct NamedJob {
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    /// The number of the job
    #[arg(value_name = "JOB")]
    pub(crate) id: String,
}
