//! `taskhost run`: its inputs, items, output, workers and reports.

use std::path::PathBuf;

use clap::Args;
use taskhost_protocol::picture::Sample;
use taskhost_protocol::work::{Merge, Split};

use crate::invoke::Invocation;

use super::names::{FreshName, LevelName, ProgressMode};
use super::served::ServedArguments;
use super::values::{self, BatchSize, WorkerCount};
use super::{EngineArguments, FailureArguments, GivenArguments, InspectArguments, JournalArguments, LimitArguments};

/// `taskhost run`, here or by a service.
#[derive(Debug, Args)]
pub(crate) struct RunCommand {
    #[command(flatten)]
    pub(crate) run: RunArguments,
    #[cfg(feature = "serve")]
    #[command(flatten)]
    pub(crate) server: super::ServerArguments,
    #[cfg(feature = "serve")]
    #[command(flatten)]
    pub(crate) there: super::ThereArguments,
}

/// What is run, and how.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) kernel: InspectArguments,
    /// Files or folders to read; `-` is standard input
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) input: InputArguments,
    #[command(flatten)]
    pub(crate) items: ItemArguments,
    #[command(flatten)]
    pub(crate) given: GivenArguments,
    #[command(flatten)]
    pub(crate) picture: PictureArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
    #[command(flatten)]
    pub(crate) workers: WorkerArguments,
    #[command(flatten)]
    pub(crate) limits: LimitArguments,
    #[command(flatten)]
    pub(crate) failures: FailureArguments,
    #[command(flatten)]
    pub(crate) journal: JournalArguments,
    #[command(flatten)]
    pub(crate) report: ReportArguments,
    #[command(flatten)]
    pub(crate) cluster: EngineArguments,
    #[command(flatten)]
    pub(crate) served: ServedArguments,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputArguments {
    /// A file or folder to read (the same as INPUT; may be repeated)
    #[arg(short, long = "input", value_name = "PATH")]
    pub(crate) input: Vec<PathBuf>,
    /// Read the paths of inputs from a file, one a line; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) input_list: Option<PathBuf>,
    /// Paths in the list end with a NUL instead of a newline
    #[arg(short = '0', long = "null", requires = "input_list")]
    pub(crate) null: bool,
    /// Take only files of a folder that match (may be repeated)
    #[arg(long, value_name = "PATTERN")]
    pub(crate) glob: Vec<String>,
    /// Take files and folders whose names begin with a dot, too
    #[arg(long)]
    pub(crate) hidden: bool,
    /// Take inputs that are compressed (gzip, Zstandard) or Parquet as they are, and make no result either for the sake of
    /// its name
    #[arg(long)]
    pub(crate) no_compression: bool,
}

/// What is called for an item.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Items")]
pub(crate) struct CallArguments {
    /// Call this function of a component for each item: JSON in, JSON out. With arguments, 'NAME(1, "x")': once,
    /// without input
    #[arg(long, value_name = "NAME", value_parser = Invocation::parse)]
    pub(crate) invoke: Option<Invocation>,
    /// A setting of the kernel (may be repeated; `taskhost inspect KERNEL` lists them)
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = values::setting)]
    pub(crate) config: Vec<(String, String)>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Items")]
pub(crate) struct ItemArguments {
    #[command(flatten)]
    pub(crate) call: CallArguments,
    /// What an item is: whole, lines, blocks[:SIZE], records:SIZE, chunks[:SIZE]
    #[arg(long, value_name = "HOW", value_parser = values::split)]
    pub(crate) split: Option<Split>,
    /// How results become one: concat, lines, reduce, discard
    #[arg(long, value_name = "HOW", value_parser = values::merge)]
    pub(crate) merge: Option<Merge>,
    /// The first line of each file is a header and no item
    #[arg(long)]
    pub(crate) header: bool,
    /// Put the first file's header in front of the results
    #[arg(long, requires = "header")]
    pub(crate) keep_header: bool,
    /// Write results as they come, not in the order of the input
    #[arg(long)]
    pub(crate) unordered: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Raw pictures (an ENVI .hdr beside the file, or a .npy, says it too)")]
pub(crate) struct PictureArguments {
    /// Size in pixels
    #[arg(long, value_name = "WxH", value_parser = values::picture_size)]
    pub(crate) size: Option<(u32, u32)>,
    /// Samples of a pixel [default: 1]
    #[arg(long, value_name = "N", requires = "size", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) channels: Option<u32>,
    /// Type of a sample: u8, u16, i16, u32, i32, f32, f64 [default: u8]
    #[arg(long, value_name = "TYPE", requires = "size", value_parser = values::sample)]
    pub(crate) sample: Option<Sample>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArguments {
    /// Where results go: a file, a folder (one result per input), a name made from the input's: 'out/{stem}.png', or a table
    /// of a database: x.sqlite::TABLE
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// Leave out inputs whose result is there already
    #[arg(long, requires = "output")]
    pub(crate) skip_existing: bool,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Workers")]
pub(crate) struct WorkerArguments {
    /// Number of workers, or one for each `physical` or `logical` core
    #[arg(short = 'j', long, value_name = "N", default_value = "physical", value_parser = values::workers)]
    pub(crate) workers: WorkerCount,
    /// Do not pin workers to cores
    #[arg(long)]
    pub(crate) no_pin: bool,
    /// Items in a batch
    #[arg(long, value_name = "N", default_value = "auto", value_parser = values::batch)]
    pub(crate) batch: BatchSize,
    /// How long an instance of the kernel is kept
    #[arg(long, value_enum, value_name = "HOW", default_value = "worker")]
    pub(crate) fresh: FreshName,
    /// Replace each worker by a new one after so many items
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) recycle: Option<u64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Reporting")]
pub(crate) struct ReportArguments {
    /// Say what would be done, and do none of it
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Show progress: auto is a bar on a terminal, and now and then a line elsewhere
    #[arg(long, value_enum, value_name = "HOW", default_value = "auto")]
    pub(crate) progress: ProgressMode,
    /// Keep a file that says how far the run is, as JSON: for whoever has it run
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) progress_file: Option<PathBuf>,
    /// Write what happened: as JSON (`-` is standard output), or as a page to look at when the name ends with .html
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Write down where the kernel spends its time, for the Firefox Profiler; the run takes up to twice as long
    #[arg(long, value_name = "FILE.json", conflicts_with = "fuel")]
    pub(crate) profile: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) messages: MessageArguments,
}

/// What is printed beside results.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Reporting")]
pub(crate) struct MessageArguments {
    /// Least grave lines of the kernel's log to print
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "info")]
    pub(crate) log: LevelName,
    /// Print nothing but errors and results
    #[arg(short, long)]
    pub(crate) quiet: bool,
}
