//! `taskhost tenant`, as typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use taskhost_service::network::Network;
use taskhost_service::tenant::{QuotaChange, Scope};

use super::values;

#[derive(Debug, Args)]
pub(crate) struct TenantArguments {
    #[command(subcommand)]
    pub(crate) command: TenantCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Add a tenant, and print its token, once
    Create {
        #[command(flatten)]
        place: ServiceArguments,
        /// Its name: letters a-z, digits, `.`, `_` and `-`
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        share: ShareArguments,
        #[command(flatten)]
        token: TokenArguments,
    },
    /// List all tenants
    List {
        #[command(flatten)]
        place: ServiceArguments,
    },
    /// Say all that is known of a tenant
    Show {
        #[command(flatten)]
        place: ServiceArguments,
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Change what a tenant may have; what is not named stays
    Set {
        #[command(flatten)]
        place: ServiceArguments,
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        share: ShareArguments,
        /// Let a disabled tenant in again
        #[arg(long)]
        enable: bool,
    },
    /// Give a tenant a new token, and end those that it has
    Rotate {
        #[command(flatten)]
        place: ServiceArguments,
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        token: TokenArguments,
        /// How long the old ones are still good, such as 1h
        #[arg(long, value_name = "TIME", default_value = "0s", value_parser = values::time)]
        overlap: Duration,
    },
    /// Write the audit log, a line of JSON for each thing that was done
    Audit {
        #[command(flatten)]
        place: ServiceArguments,
        /// What was done to this tenant alone
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// Say whether all rows are what was written, and write none
        #[arg(long, conflicts_with = "name")]
        verify: bool,
    },
    /// Copy all that is kept into a folder that is not there yet, while the service runs; the copy is a data folder
    Backup {
        #[command(flatten)]
        place: ServiceArguments,
        /// The folder
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
    /// Print a link to the operator's page: tenants, queue, cores, health. It is good once
    Page {
        #[command(flatten)]
        place: ServiceArguments,
    },
    /// Start nothing of a tenant, or of anybody, until `resume`: jobs wait, calls are refused; also when the service is started anew
    Pause {
        #[command(flatten)]
        place: ServiceArguments,
        /// Its name; without it, everybody is paused
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// Park what runs, too; it goes on where it was after `resume`
        #[arg(long)]
        park: bool,
    },
    /// Start things of a tenant again, or of everybody who was not paused by name
    Resume {
        #[command(flatten)]
        place: ServiceArguments,
        /// Its name; without it, the pause of everybody ends
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// Let no tenant store or run a kernel; jobs of it that wait or run are ended
    Block {
        #[command(flatten)]
        place: ServiceArguments,
        /// What the kernel is known by
        #[arg(value_name = "DIGEST")]
        digest: String,
        /// Why, in words that its tenants are told
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// Let a kernel be stored and run again
    Unblock {
        #[command(flatten)]
        place: ServiceArguments,
        /// What the kernel is known by
        #[arg(value_name = "DIGEST")]
        digest: String,
    },
    /// List the kernels that are blocked
    Blocked {
        #[command(flatten)]
        place: ServiceArguments,
    },
    /// Keep a tenant out, until `tenant set NAME --enable`: no token of it is accepted, no job of it runs
    Disable {
        #[command(flatten)]
        place: ServiceArguments,
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Which service.
#[derive(Debug, Args)]
pub(crate) struct ServiceArguments {
    /// The data folder of the service, whether it runs or not
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
}

/// What a new token is to be.
#[derive(Debug, Args)]
pub(crate) struct TokenArguments {
    /// What the token is good for (may be repeated); without this, everything that a tenant can do
    #[arg(long, value_name = "SCOPE", value_parser = scope)]
    pub(crate) scope: Vec<Scope>,
    /// How long the token is good, such as 720h; without this, for ever
    #[arg(long, value_name = "TIME", value_parser = values::time_limit)]
    pub(crate) expires: Option<Duration>,
    /// A network or an address from which the token is good, such as 10.0.0.0/8 (may be repeated); without this, everywhere
    #[arg(long, value_name = "NETWORK")]
    pub(crate) token_network: Vec<Network>,
}

/// How much a tenant may have.
#[derive(Debug, Args)]
pub(crate) struct ShareArguments {
    /// Its share of the cores while others want them too: twice as much for twice the weight
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    weight: Option<u32>,
    /// Jobs that run at a time
    #[arg(long, value_name = "N")]
    concurrent_jobs: Option<u32>,
    /// Jobs that wait or run
    #[arg(long, value_name = "N")]
    queued_jobs: Option<u32>,
    /// Workers of all its jobs at a time, and of its calls
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    cores: Option<u32>,
    /// Seconds of CPU time a day
    #[arg(long, value_name = "N")]
    cpu_seconds: Option<u64>,
    /// Memory of one worker's kernel
    #[arg(long, value_name = "SIZE", value_parser = values::memory)]
    worker_memory: Option<u64>,
    /// Kernels, inputs and results that are kept
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    stored: Option<u64>,
    /// One kernel
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    kernel_size: Option<u64>,
    /// Requests in a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    requests: Option<u32>,
    /// Synchronous calls that are under way at a time
    #[arg(long, value_name = "N")]
    concurrent_calls: Option<u32>,
    /// How long what came of a job is kept, at most
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    keep: Option<Duration>,
}

impl ShareArguments {
    pub(crate) fn weight(&self) -> Option<u32> {
        self.weight
    }

    pub(crate) fn quotas(&self) -> QuotaChange {
        QuotaChange {
            concurrent_jobs: self.concurrent_jobs,
            queued_jobs: self.queued_jobs,
            cores: self.cores,
            cpu_seconds_per_day: self.cpu_seconds,
            worker_memory: self.worker_memory,
            stored_bytes: self.stored,
            kernel_bytes: self.kernel_size,
            requests_per_second: self.requests,
            concurrent_calls: self.concurrent_calls,
            keep_seconds: self.keep.map(|keep| keep.as_secs()),
        }
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    text.parse().map_err(|error: taskhost_service::tenant::ScopeError| error.to_string())
}
