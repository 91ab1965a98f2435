//! What a run reads, as the user says it: files, `-`, folders, globs and lists of paths, turned into one ordered list
//! of sources. The list is lazy: a folder of a million files, or a list that another program is still writing, is
//! never held as a whole. Where each source's result goes is in [`outputs`].

pub(crate) mod outputs;

mod filter;
mod list;
mod walk;

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use filter::Filter;
pub(crate) use list::{List, ListSource};
pub(crate) use walk::Skipped;

use walk::Walk;

/// One source that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Standard input.
    Stdin,
    /// A file.
    File(FoundFile),
    /// No input at all: a call that was typed.
    Call(String),
}

/// A file to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FoundFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What messages and kernels call it: as it was given, or its path within the folder that was given.
    pub(crate) name: String,
    /// Where its result goes within an output folder: its path within the folder that was given, as listed for a
    /// path of a list when that stays below the current folder, its bare name otherwise.
    pub(crate) relative: PathBuf,
}

/// Why a source cannot be read, or the request cannot be understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// A path that cannot be looked at.
    #[error("{}: {error}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The list itself cannot be read.
    #[error("the list of inputs, {name}: {error}")]
    List {
        /// The list's name.
        name: String,
        /// Why.
        error: std::io::Error,
    },
    /// An entry of a list that is no path.
    #[error(
        "the list of inputs, {name}: entry {entry} has over {} bytes, more than any path; {advice}",
        list::PATH_BYTES
    )]
    LongEntry {
        /// The list's name.
        name: String,
        /// Which entry, from 1.
        entry: u64,
        /// What may be wrong.
        advice: &'static str,
    },
    /// A pattern that is none.
    #[error("--glob '{pattern}': {reason}")]
    Glob {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two things that would both read standard input.
    #[error("standard input can be read once: `-` is given more than once among the inputs and --input-list")]
    StdinTwice,
}

impl InputError {
    /// Whether the command line is at fault (exit code 2), not a file (exit code 5).
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Glob { .. } | Self::StdinTwice)
    }
}

/// How to look for files in folders.
#[derive(Clone, Debug, Default)]
pub(crate) struct InputOptions {
    /// `--glob`, in the order given.
    pub(crate) globs: Vec<String>,
    /// `--hidden`: names that begin with a dot are taken too.
    pub(crate) hidden: bool,
    /// A folder that is not entered, however it is reached: the output folder, which may lie within an input folder
    /// and hold the results of the last run.
    pub(crate) exclude: Option<PathBuf>,
}

/// The sources in order: first the arguments, then the entries of the list. Reading goes on after an error, which
/// concerns one path alone.
#[derive(Debug)]
pub(crate) struct Inputs {
    arguments: VecDeque<PathBuf>,
    list: Option<List>,
    walk: Option<Walk>,
    filter: Filter,
    options: InputOptions,
    skipped: Skipped,
}

impl Inputs {
    /// The sources that `arguments` and `list` name. Nothing but the list is opened yet.
    ///
    /// # Errors
    /// When a glob is none, standard input is wanted twice, or the list cannot be opened.
    pub(crate) fn new(
        arguments: Vec<PathBuf>,
        list: Option<ListSource>,
        options: InputOptions,
    ) -> Result<Self, InputError> {
        let stdin_arguments = arguments.iter().filter(|path| is_stdin(path)).count();
        if stdin_arguments + usize::from(matches!(list, Some(ListSource { path: None, .. }))) > 1 {
            return Err(InputError::StdinTwice);
        }
        let filter = Filter::new(&options.globs)?;
        let list = list.map(List::open).transpose()?;
        Ok(Self { arguments: arguments.into(), list, walk: None, filter, options, skipped: Skipped::default() })
    }

    /// Whether more sources may come at any time, so that the list must not be read to its end before work begins.
    pub(crate) fn is_open_ended(&self) -> bool {
        self.list.is_some()
    }

    /// What was left out of the folders walked so far.
    pub(crate) fn skipped(&self) -> Skipped {
        let mut skipped = self.skipped;
        if let Some(walk) = &self.walk {
            skipped.add(walk.skipped());
        }
        skipped
    }

    /// The source at `path`, or the folder there as a walk to be done.
    fn look_at(&mut self, path: PathBuf, relative: PathBuf) -> Option<Result<Found, InputError>> {
        match std::fs::metadata(&path) {
            Err(error) => Some(Err(InputError::Path { path, error })),
            Ok(metadata) if metadata.is_dir() => {
                self.walk = Some(Walk::new(path, &self.options));
                None
            }
            Ok(_) => {
                let name = path.to_string_lossy().into_owned();
                Some(Ok(Found::File(FoundFile { path, name, relative })))
            }
        }
    }
}

impl Iterator for Inputs {
    type Item = Result<Found, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(walk) = &mut self.walk {
                if let Some(found) = walk.next_file(&self.filter) {
                    return Some(found.map(Found::File));
                }
                self.skipped.add(walk.skipped());
                self.walk = None;
            }
            let (path, relative) = if let Some(path) = self.arguments.pop_front() {
                if is_stdin(&path) {
                    return Some(Ok(Found::Stdin));
                }
                let relative = file_name(&path);
                (path, relative)
            } else {
                match self.list.as_mut()?.next_path()? {
                    Ok(path) => {
                        let relative = listed_relative(&path);
                        (path, relative)
                    }
                    Err(error) => return Some(Err(error)),
                }
            };
            if let Some(found) = self.look_at(path, relative) {
                return Some(found);
            }
        }
    }
}

/// Whether an argument means standard input.
fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == OsStr::from_bytes(b"-")
}

/// The last part of a path.
fn file_name(path: &Path) -> PathBuf {
    path.file_name().map_or_else(|| path.to_owned(), PathBuf::from)
}

/// What a path of a list keeps of itself in an output folder: all of it when it stays below the current folder, since
/// lists mostly come from programs that walk one.
fn listed_relative(path: &Path) -> PathBuf {
    let stays_below = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if stays_below { path.components().filter(|part| *part != Component::CurDir).collect() } else { file_name(path) }
}

#[cfg(test)]
mod tests;
