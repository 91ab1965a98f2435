//! `taskhost serve`, as typed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use taskhost_service::fetch::Host;
use taskhost_service::http::Limits;
use taskhost_service::webhook::Network;

use super::SandboxName;
use super::values::{self, WorkerCount};

/// `taskhost serve`.
///
/// Every flag but the first two may also stand in the file that --config names, as NAME = VALUE, and in the environment: that
/// of --listen is TASKHOST_SERVE_LISTEN. What is typed comes first, then the environment, then the file.
#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// A file of settings (TOML) [default: the variable TASKHOST_SERVE_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print all settings, with the place that each comes from, and serve nothing
    #[arg(long)]
    pub(crate) check_config: bool,
    /// Print the description of the HTTP interface (OpenAPI), and serve nothing
    #[arg(long, hide = true)]
    pub(crate) openapi: bool,
    /// Where everything is kept: tenants, kernels, jobs, results. Made when it is missing
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Where to listen; port 0 takes one that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8420")]
    pub(crate) listen: SocketAddr,
    /// A certificate for TLS, with those that vouch for it behind it, in PEM; SIGHUP has it read again
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Where to tell numbers for Prometheus, those of each tenant among them; `/metrics` where tenants are has sums alone
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics: Option<SocketAddr>,
    /// How to write the log: for people, or a line of JSON for each request; auto is the first on a terminal
    #[arg(long, value_enum, value_name = "HOW", default_value = "auto")]
    pub(crate) log_format: LogFormat,
    /// Listen where other machines can reach it, although all can read what is sent: there is no TLS
    #[arg(long)]
    pub(crate) plain_http_beyond_loopback: bool,
    /// Number of workers of all jobs together, or one for each `physical` or `logical` core
    #[arg(short = 'j', long, value_name = "N", default_value = "physical", value_parser = values::workers)]
    pub(crate) workers: WorkerCount,
    /// Workers of these that jobs leave to calls, and calls to tenants that have none under way
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) reserve: usize,
    /// A network that webhooks, registries and sources of contents may be reached in although it is not public, and without TLS, such as 10.0.0.0/8 (may be
    /// repeated)
    #[arg(long, value_name = "NETWORK")]
    pub(crate) webhook_network: Vec<Network>,
    /// A registry that tenants may have kernels fetched from, such as ghcr.io; with http:// in front when it has no TLS (may be repeated)
    #[arg(long, value_name = "HOST")]
    pub(crate) registry: Vec<Host>,
    /// A host that tenants may have contents fetched from, such as storage.example.org; with http:// in front when it has no TLS (may be
    /// repeated)
    #[arg(long, value_name = "HOST")]
    pub(crate) content_source: Vec<Host>,
    /// Public keys of minisign: a kernel is taken only with a signature made with one of them; SIGHUP has them read again
    #[arg(long, value_name = "FILE")]
    pub(crate) kernel_keys: Option<PathBuf>,
    /// Connections at a time; more are closed
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections, value_parser = values::one_or_more)]
    pub(crate) max_connections: usize,
    /// Connections at a time from one address
    #[arg(long, value_name = "N", default_value_t = Limits::default().per_address, value_parser = values::one_or_more)]
    pub(crate) max_connections_per_address: usize,
    /// How long the record of a job stays after its end, at least a day: beyond what came of it, which has a time of its own
    #[arg(long, value_name = "DUR", default_value = "30d", value_parser = values::days)]
    pub(crate) keep_jobs: Duration,
    /// How long jobs and calls may go on after a first SIGTERM; what runs then is parked, and goes on with the next server
    #[arg(long, value_name = "DUR", default_value = "10s", value_parser = values::time)]
    pub(crate) drain_time: Duration,
    /// Walls around the workers: those that this machine allows, all of them or nothing, or none
    #[arg(long, value_enum, value_name = "HOW", default_value = "full")]
    pub(crate) sandbox: SandboxName,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Auto,
    Text,
    Json,
}
