//! `taskhost serve`, as typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::SandboxName;
use super::values::{self, WorkerCount};

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Where everything is kept: tenants, kernels, jobs, results. Made when it is missing
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Where to listen; port 0 takes one that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8420")]
    pub(crate) listen: SocketAddr,
    /// Listen where other machines can reach it, although all can read what is sent: there is no TLS
    #[arg(long)]
    pub(crate) plain_http_beyond_loopback: bool,
    /// Number of workers of all jobs together, or one for each `physical` or `logical` core
    #[arg(short = 'j', long, value_name = "N", default_value = "physical", value_parser = values::workers)]
    pub(crate) workers: WorkerCount,
    /// Walls around the workers: those that this machine allows, all of them or nothing, or none
    #[arg(long, value_enum, value_name = "HOW", default_value = "full")]
    pub(crate) sandbox: SandboxName,
}
