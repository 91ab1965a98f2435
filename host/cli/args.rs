//! The command line, exactly as typed. What it means is decided in [`crate::plan`].

mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use taskhost_protocol::kernel::Kind;
use taskhost_protocol::message::Level;
use taskhost_protocol::picture::Sample;
use taskhost_protocol::work::{Merge, Split};

use crate::exit_code::{Exit, TABLE};
use values::{BatchSize, WorkerCount};

pub(crate) use values::WorkerCount as Workers;

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
    Run(Box<RunArguments>),
    /// Say what a kernel is and what it takes
    Inspect(InspectArguments),
    /// Compile a kernel now, so that its first run need not
    Compile(InspectArguments),
    /// Look after the compiled kernels
    Cache(CacheArguments),
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

/// A kernel, and how to take it.
#[derive(Clone, Debug, Args)]
pub(crate) struct InspectArguments {
    /// The kernel: a .wasm or .wat file, or the name of an installed or first-party one
    #[arg(value_name = "KERNEL")]
    pub(crate) kernel: PathBuf,
    /// Take the file for this kind of kernel, whatever it looks like
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) kind: Option<KindName>,
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

/// `taskhost run`.
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
    pub(crate) picture: PictureArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
    #[command(flatten)]
    pub(crate) workers: WorkerArguments,
    #[command(flatten)]
    pub(crate) report: ReportArguments,
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
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Items")]
pub(crate) struct ItemArguments {
    /// A setting of the kernel (may be repeated; `taskhost inspect KERNEL` lists them)
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = values::setting)]
    pub(crate) config: Vec<(String, String)>,
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
    /// Where results go: a file, a folder (one result per input), or a name made from the input's: 'out/{stem}.png'
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// Leave out inputs whose result is there already
    #[arg(long, requires = "output")]
    pub(crate) skip_existing: bool,
}

#[derive(Debug, Args)]
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
    /// Memory of one worker's kernel
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = values::memory)]
    pub(crate) memory: u64,
    /// Longest result of one item
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = values::max_output)]
    pub(crate) max_output: u64,
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
    /// Least grave lines of the kernel's log to print
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "info")]
    pub(crate) log: LevelName,
    /// Write what happened as JSON; `-` is standard output
    #[arg(long, value_name = "FILE.json")]
    pub(crate) report: Option<PathBuf>,
    /// Print nothing but errors and results
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Kinds of kernels, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindName {
    /// A component built for a world of taskhost:kernel
    Component,
    /// A core module with memory, `taskhost_alloc` and `taskhost_process`
    Raw,
}

impl From<KindName> for Kind {
    fn from(name: KindName) -> Self {
        match name {
            KindName::Component => Self::Component,
            KindName::Raw => Self::RawModule,
        }
    }
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// A bar on a terminal, lines elsewhere
    Auto,
    /// A bar
    Bar,
    /// A line every 30 seconds
    Plain,
    /// Nothing
    Never,
}

/// Levels of the log, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LevelName {
    /// For the kernel's author
    Debug,
    /// For the user
    Info,
    /// Something is odd
    Warn,
    /// Something is wrong
    Error,
}

impl From<LevelName> for Level {
    fn from(name: LevelName) -> Self {
        match name {
            LevelName::Debug => Self::Debug,
            LevelName::Info => Self::Info,
            LevelName::Warn => Self::Warn,
            LevelName::Error => Self::Error,
        }
    }
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
