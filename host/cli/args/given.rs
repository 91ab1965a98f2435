//! What a kernel gets besides its items and settings.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values::{self, FolderName};

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "What the kernel gets")]
pub(crate) struct GivenArguments {
    /// Arguments of a command, a kernel that is a WASI program
    #[arg(last = true, value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<OsString>,
    /// A variable in the environment of a command (may be repeated)
    #[arg(long, value_name = "NAME=VALUE", value_parser = values::setting)]
    pub(crate) env: Vec<(String, String)>,
    /// A folder of this machine that the kernel may read, or write, too; without GUEST it calls it as HOST is written here
    /// (may be repeated)
    #[arg(long, value_name = "HOST[::GUEST][:rw]", value_parser = values::folder)]
    pub(crate) dir: Vec<FolderName>,
    /// A file that all workers can read: `broadcast` of kernels, /broadcast/NAME of commands (may be repeated)
    #[arg(long, value_name = "NAME=PATH", value_parser = values::broadcast)]
    pub(crate) broadcast: Vec<(String, PathBuf)>,
    /// What the kernel may have of the world that differs from run to run (may be repeated)
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    pub(crate) allow: Vec<AllowName>,
}

/// What may differ from run to run, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AllowName {
    /// Clocks that show the time, not that of the run's start
    Clock,
    /// Random numbers that nobody can foretell
    Random,
}
