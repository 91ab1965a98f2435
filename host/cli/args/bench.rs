//! `taskhost bench`, as typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::KindName;

#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// The kernel: a .wasm or .wat file, or the name of an installed or first-party one
    #[arg(value_name = "KERNEL")]
    pub(crate) kernel: PathBuf,
    /// Files or folders to read: at least a second of work, so that starting does not count for much
    #[arg(value_name = "INPUT", required = true)]
    pub(crate) inputs: Vec<PathBuf>,
    /// Take the file for this kind of kernel, whatever it looks like
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) kind: Option<KindName>,
    /// Measure from one worker up to so many [default: one for each physical core]
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) workers: Option<u32>,
    /// How often each is measured, after one run that does not count; medians are shown
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) runs: u32,
    /// Items in a batch to try (may be repeated) [default: 1, 16, 256, 4096, and what the pool chooses]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) batch: Vec<u64>,
    /// Print JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw the speed-up beside the ideal line
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
    /// More flags of `taskhost run`, such as -- --config size=3 --split lines
    #[arg(value_name = "FLAG", last = true)]
    pub(crate) flags: Vec<OsString>,
}
