//! The plan of a run as a file: JSON, so that it can be looked at. Its digest is in the name of every part.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser as _;
use serde::{Deserialize, Serialize};
use taskhost_os::atomic_file::{AtomicFile, Durability};

use super::cut::Shard;
use crate::args::{Arguments, Command, RunArguments};
use crate::exit_code::{Exit, Failure};
use crate::inputs::FoundFile;

/// Raised when a plan of before is not understood any more.
const VERSION: u32 = 1;

/// Hexadecimal digits of a digest that stand in names: 64 bits tell the plans of one folder apart.
const SHORT_DIGITS: usize = 16;

/// An input, frozen: its place, and how it is known again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlannedInput {
    #[serde(flatten)]
    pub(crate) file: FoundFile,
    pub(crate) bytes: u64,
    /// When it was last changed, in nanoseconds since 1970.
    pub(crate) modified: i64,
}

/// Everything that decides what comes out of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    version: u32,
    /// The taskhost that made it: another one may make other results.
    taskhost: String,
    /// The processor architecture: results of floating-point arithmetic are the same on one.
    architecture: String,
    /// The folder from which all paths count.
    pub(crate) folder: PathBuf,
    /// The command, without the name of the program.
    pub(crate) command: Vec<String>,
    /// BLAKE3 of the kernel.
    pub(crate) kernel: String,
    /// How the input is cut and results are joined.
    pub(crate) shape: String,
    /// What its items are, if it has any.
    pub(crate) split: Option<String>,
    /// How their results are joined.
    pub(crate) merge: Option<String>,
    /// What the kernel's clocks show, in nanoseconds since 1970.
    clock: u64,
    /// Seconds of work of one core, when that was tried out.
    pub(crate) seconds: Option<f64>,
    pub(crate) inputs: Vec<PlannedInput>,
    pub(crate) shards: Vec<Shard>,
    /// The file it was read from or written to.
    #[serde(skip)]
    pub(crate) path: PathBuf,
    /// BLAKE3 of that file.
    #[serde(skip)]
    pub(crate) digest: String,
}

/// What a plan is made of.
pub(crate) struct Frozen {
    pub(crate) kernel: blake3::Hash,
    pub(crate) shape: String,
    pub(crate) split: Option<String>,
    pub(crate) merge: Option<String>,
    pub(crate) clock: SystemTime,
    pub(crate) seconds: Option<f64>,
    pub(crate) inputs: Vec<PlannedInput>,
    pub(crate) shards: Vec<Shard>,
}

impl Plan {
    /// The plan of the command that this process was started with, to be written to `path`.
    pub(crate) fn new(path: &Path, frozen: Frozen) -> Result<Self, Failure> {
        let host = |error: std::io::Error| Failure::new(Exit::Host, format!("the current folder: {error}"));
        let text = |word: OsString| {
            word.into_string().map_err(|word| {
                Failure::usage(format!("{} is not UTF-8, and cannot be put in a plan", word.to_string_lossy()))
            })
        };
        let since_1970 = frozen.clock.duration_since(UNIX_EPOCH).unwrap_or_default();
        let Frozen { kernel, shape, split, merge, seconds, inputs, shards, .. } = frozen;
        Ok(Self {
            version: VERSION,
            taskhost: env!("CARGO_PKG_VERSION").into(),
            architecture: std::env::consts::ARCH.into(),
            folder: std::env::current_dir().map_err(host)?,
            command: std::env::args_os().skip(1).map(text).collect::<Result<_, _>>()?,
            kernel: kernel.to_hex().to_string(),
            shape,
            split,
            merge,
            clock: u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX),
            seconds,
            inputs,
            shards,
            path: std::path::absolute(path).map_err(host)?,
            digest: String::new(),
        })
    }

    /// Writes it.
    pub(crate) fn write(&mut self) -> Result<(), Failure> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| Failure::input(format!("an input's name cannot be put in a plan: {error}")))?;
        text.push(b'\n');
        let failed = |error: &dyn std::fmt::Display| Failure::input(error.to_string());
        let file = AtomicFile::create(&self.path).map_err(|error| failed(&error))?;
        file.file().write_all(&text).map_err(|error| failed(&error))?;
        file.commit(Durability::Disk).map_err(|error| failed(&error))?;
        self.digest = blake3::hash(&text).to_hex().to_string();
        Ok(())
    }

    /// Reads a plan that this program can carry out on this machine.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let text = fs::read(path).map_err(|error| Failure::input(format!("the plan {shown}: {error}")))?;
        let mut plan: Self = serde_json::from_slice(&text)
            .map_err(|error| Failure::input(format!("{shown} is no plan of this taskhost: {error}")))?;
        plan.path = fs::canonicalize(path).map_err(|error| Failure::input(format!("the plan {shown}: {error}")))?;
        plan.digest = blake3::hash(&text).to_hex().to_string();
        let here = (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
        if plan.version != VERSION || plan.taskhost != here.0 {
            let theirs = &plan.taskhost;
            return Err(Failure::input(format!(
                "{shown} was made by taskhost {theirs}, and this is {}: results could differ; plan it again",
                here.0
            )));
        }
        if plan.architecture != here.1 {
            let theirs = &plan.architecture;
            return Err(Failure::new(
                Exit::Host,
                format!(
                    "{shown} was made on {theirs}, and this machine is {}: floating-point results could differ; ask the \
                     scheduler for {theirs} nodes",
                    here.1
                ),
            ));
        }
        Ok(plan)
    }

    /// The flags of the run. They mean what they mean in the folder of the plan.
    pub(crate) fn arguments(&self) -> Result<RunArguments, Failure> {
        let words = std::iter::once("taskhost").chain(self.command.iter().map(String::as_str));
        let parsed = Arguments::try_parse_from(words)
            .map_err(|error| Failure::usage(format!("the command of the plan is not understood: {error}")))?;
        match parsed.command {
            Command::Plan(arguments) => {
                let mut run = arguments.run;
                run.output.output = arguments.result;
                Ok(settled(run))
            }
            Command::Run(command) => Ok(settled(command.run)),
            _ => Err(Failure::input("the plan is of something that is no run")),
        }
    }

    /// Goes to the folder from which its paths count.
    pub(crate) fn enter(&self) -> Result<(), Failure> {
        std::env::set_current_dir(&self.folder)
            .map_err(|error| Failure::input(format!("the folder of the plan, {}: {error}", self.folder.display())))
    }

    /// What kernels see as the time.
    pub(crate) fn clock(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.clock)
    }

    /// The digest as names have it.
    pub(crate) fn short_digest(&self) -> &str {
        self.digest.get(..SHORT_DIGITS).unwrap_or(&self.digest)
    }

    /// The folder of its parts.
    pub(crate) fn parts(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".parts");
        PathBuf::from(name)
    }

    /// Bytes of all inputs.
    pub(crate) fn bytes(&self) -> u64 {
        self.inputs.iter().map(|input| input.bytes).sum()
    }
}

/// The flags of the run itself: those of an engine are taken out.
fn settled(mut arguments: RunArguments) -> RunArguments {
    if arguments.cluster.engine.is_some() {
        engine_options(&mut arguments);
    }
    arguments.cluster = crate::args::EngineArguments::default();
    arguments
}

/// Takes the engine's options out of what stands behind `--`. What stands behind a second one is the kernel's.
pub(crate) fn engine_options(arguments: &mut RunArguments) -> Vec<OsString> {
    let mut options = std::mem::take(&mut arguments.given.arguments);
    if let Some(at) = options.iter().position(|word| word == "--") {
        arguments.given.arguments = options.split_off(at).split_off(1);
    }
    options
}
