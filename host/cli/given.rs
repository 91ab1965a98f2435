//! What the user gives a kernel besides its items and settings: checked, and made ready for the workers.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use taskhost_os::memfd;
use taskhost_pool::runner::GrantedFolder;
use taskhost_protocol::given::{Allow, Broadcast, Given, Program};
use taskhost_protocol::kernel::{KernelInfo, Kind};
use taskhost_protocol::limits::{BROADCASTS, PROGRAM_BYTES};

use crate::args::{AllowName, CallArguments, FolderName, GivenArguments};
use crate::exit_code::{Exit, Failure};

/// What was typed, as it is kept with a failed item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Gifts {
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Names and paths.
    pub(crate) broadcast: Vec<(String, PathBuf)>,
    pub(crate) folders: Vec<FolderName>,
    pub(crate) clock: bool,
    pub(crate) random: bool,
}

/// The same, ready for a pool.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    pub(crate) given: Given,
    /// The data of `given.broadcast`.
    pub(crate) broadcast: Option<OwnedFd>,
    pub(crate) folders: Vec<GrantedFolder>,
}

impl Gifts {
    /// Understands what was typed.
    pub(crate) fn new(arguments: &GivenArguments) -> Result<Self, Failure> {
        let text = |argument: &std::ffi::OsString| {
            argument.clone().into_string().map_err(|argument| {
                let shown = argument.to_string_lossy();
                Failure::usage(format!(
                    "the argument {shown:?} is not UTF-8, which is all that WASI programs can be given"
                ))
            })
        };
        let allows = |what| arguments.allow.contains(&what);
        let (mut broadcast, mut folders) = (arguments.broadcast.clone(), arguments.dir.clone());
        let paths = broadcast.iter_mut().map(|(_, path)| path).chain(folders.iter_mut().map(|folder| &mut folder.host));
        for path in paths {
            // A failed item may be run again from another folder.
            *path = std::path::absolute(&*path).unwrap_or_else(|_| path.clone());
        }
        Ok(Self {
            arguments: arguments.arguments.iter().map(text).collect::<Result<_, _>>()?,
            environment: arguments.env.clone(),
            broadcast,
            folders,
            clock: allows(AllowName::Clock),
            random: allows(AllowName::Random),
        })
    }

    /// What workers of this kernel are told, and the broadcast data.
    pub(crate) fn prepare(&self, kernel: &str) -> Result<Prepared, Failure> {
        let bytes: usize = self.arguments.iter().map(|argument| argument.len() + 4).sum::<usize>()
            + self.environment.iter().map(|(name, value)| name.len() + value.len() + 8).sum::<usize>()
            + self.broadcast.iter().map(|(name, _)| name.len() + 24).sum::<usize>()
            + self.folders.iter().map(|folder| folder.guest.len() + 8).sum::<usize>();
        if bytes > PROGRAM_BYTES {
            let limit = PROGRAM_BYTES >> 10;
            return Err(Failure::usage(format!(
                "the arguments, the environment and the names of what is given have more than {limit} KiB together; give \
                 large data as input or with --broadcast"
            )));
        }
        let name = Path::new(kernel).file_name().map_or(kernel.into(), |name| name.to_string_lossy().into_owned());
        let program = Program { name, arguments: self.arguments.clone(), environment: self.environment.clone() };
        let (entries, broadcast) = self.gather()?;
        let allow = Allow { clock: self.clock, random: self.random };
        let folders = self.folders.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Prepared { given: Given { program, allow, broadcast: entries, profile: false }, broadcast, folders })
    }

    /// Lays all broadcast data end to end in one file in memory: what changes on the disk later changes no result.
    fn gather(&self) -> Result<(Vec<Broadcast>, Option<OwnedFd>), Failure> {
        if self.broadcast.is_empty() {
            return Ok((Vec::new(), None));
        }
        if self.broadcast.len() > BROADCASTS {
            return Err(Failure::usage(format!("--broadcast can be given {BROADCASTS} times at most")));
        }
        let no_memory = |error: std::io::Error| {
            Failure::new(Exit::Host, format!("there is no room for the broadcast data: {error}"))
        };
        let mut all = File::from(memfd::create(c"taskhost-broadcast").map_err(no_memory)?);
        let mut entries: Vec<Broadcast> = Vec::new();
        let mut at = 0;
        for (name, path) in &self.broadcast {
            if entries.iter().any(|entry| entry.name == *name) {
                return Err(Failure::usage(format!("--broadcast {name} is given twice")));
            }
            let failed =
                |error| Failure::input(format!("--broadcast {name}: {} cannot be read: {error}", path.display()));
            let mut file = File::open(path).map_err(failed)?;
            let len = std::io::copy(&mut file, &mut all).map_err(failed)?;
            entries.push(Broadcast { name: name.clone(), at, len });
            at += len;
        }
        memfd::seal_read_only(all.as_fd()).map_err(no_memory)?;
        Ok((entries, Some(all.into())))
    }
}

/// Opens a folder, so that it is the same one for all workers.
fn open(folder: &FolderName) -> Result<GrantedFolder, Failure> {
    let failed = |why: String| Failure::input(format!("--dir {}: {why}", folder.host.display()));
    let file = File::open(&folder.host).map_err(|error| failed(error.to_string()))?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(failed("it is no folder".into()));
    }
    Ok(GrantedFolder { folder: file.into(), guest: folder.guest.clone(), writable: folder.writable })
}

/// Whether a command is a core module, whose files are either those of folders or broadcast data.
fn is_preview_1(info: &KernelInfo) -> bool {
    info.import_names.iter().any(|name| name.starts_with("wasi_snapshot_preview1."))
}

/// Refuses what this kernel cannot be given.
pub(crate) fn check_kernel(given: &GivenArguments, call: &CallArguments, info: &KernelInfo) -> Result<(), Failure> {
    let refused = if info.kind == Kind::Command {
        [
            (!call.config.is_empty(), "--config", "a command has no settings: use --env or arguments after --"),
            (
                !given.broadcast.is_empty() && !given.dir.is_empty() && is_preview_1(info),
                "--broadcast with --dir",
                "a WASI preview 1 program that is granted folders has no other files: put the data into one of them",
            ),
        ]
    } else {
        let advice = "only a command, a kernel that is a WASI program, has any; settings are given with --config";
        [(!given.arguments.is_empty(), "arguments after --", advice), (!given.env.is_empty(), "--env", advice)]
    };
    match refused.into_iter().find(|(is_given, ..)| *is_given) {
        Some((_, what, why)) => Err(Failure::usage(format!("no {what} here: {why}"))),
        None => Ok(()),
    }
}

/// What is said at the end of a run that may differ from the next.
pub(crate) fn not_reproducible(arguments: &GivenArguments) -> Option<String> {
    let allowed: Vec<&str> = [(AllowName::Clock, "clock"), (AllowName::Random, "random")]
        .into_iter()
        .filter(|(name, _)| arguments.allow.contains(name))
        .map(|(_, text)| text)
        .collect();
    let list = allowed.join(",");
    if !allowed.is_empty() {
        return Some(format!("not reproducible: the kernel had --allow {list}, so another run may differ"));
    }
    let written = arguments.dir.iter().any(|folder| folder.writable);
    written.then(|| "not reproducible: items could write to folders (--dir …:rw) and read what others wrote".into())
}
