//! `taskhost resume`: going on with a run that was interrupted, and running its failed items again.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Parser as _;
use taskhost_pool::journal::{Journal, JournalError};

use crate::args::{Arguments, Command, Earlier, ResumeArguments, RunArguments};
use crate::exit_code::{Exit, Failure};
use crate::journal::{Left, RunJournal, failure};
use crate::report::{self, ProgressFile};
use crate::run::{self, Again};

pub(crate) fn resume(arguments: ResumeArguments) -> Result<Exit> {
    if arguments.kernel.is_some() && !arguments.retry_failed {
        return Err(Failure::usage(
            "another kernel makes other results: --kernel is for --retry-failed, which says that this is meant",
        )
        .into());
    }
    let exit = go_on(&arguments)?;
    // The run had not ended: its failed items are known only now.
    let rest_failed = arguments.retry_failed && exit.1 == Phase::Rest && exit.0 == Exit::ItemsFailed;
    // One that was stopped by an item has just run that one again.
    if rest_failed && arguments.journal.exists() && has_ended(&arguments.journal)? {
        return Ok(go_on(&arguments)?.0);
    }
    Ok(exit.0)
}

/// Whether the run of this journal has an output, without its failed items.
fn has_ended(journal: &Path) -> Result<bool, Failure> {
    Journal::open(journal).map(|(_, contents)| contents.ended.is_some()).map_err(failure)
}

/// What was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// What the run before had not come to.
    Rest,
    /// Its failed items.
    Failed,
}

fn go_on(arguments: &ResumeArguments) -> Result<(Exit, Phase)> {
    let shown = &arguments.journal;
    let (journal, contents) = Journal::open(shown).map_err(|error| match error {
        JournalError::Io { ref error, .. } if error.kind() == std::io::ErrorKind::NotFound => {
            let shown = shown.display();
            Failure::input(format!("there is no journal {shown}; a run that ends well removes its own"))
        }
        error => failure(error),
    })?;
    if contents.torn_bytes > 0 {
        let bytes = report::count(contents.torn_bytes, "byte");
        report::message(
            "note",
            &format!("{bytes} at the end of the journal were not complete; what they say is done again"),
        );
    }
    let mut left = Left::new(contents);
    let journal = RunJournal::new(shown, journal, &left.header);
    let folder = PathBuf::from(OsString::from_vec(left.header.folder.clone()));
    if left.ended.is_none() && left.is_in_place(&folder) {
        note_progress(&left, &folder, arguments.earlier)?;
        if left.failed.is_empty() {
            journal.remove();
            report::message("note", "this run had done all its work; its output is in its place");
            return Ok((Exit::Done, Phase::Rest));
        }
        journal.note_end(Exit::ItemsFailed)?;
        left.ended = Some(Exit::ItemsFailed.code());
    }
    let phase = match left.ended {
        None => Phase::Rest,
        Some(_) if arguments.retry_failed => Phase::Failed,
        Some(_) => {
            let what = match left.failed_count() {
                0 => "some of its inputs failed".into(),
                failed => format!("{} failed", report::count(failed, "item")),
            };
            let shown = shown.display();
            report::message("note", &format!("this run is finished, and {what}"));
            report::hint(&format!("to run what failed again, type: taskhost resume {shown} --retry-failed"));
            return Ok((Exit::ItemsFailed, Phase::Failed));
        }
    };
    if phase == Phase::Failed && left.failed_in_pipe() {
        return Err(Failure::input(
            "the failed items came from standard input, which cannot be read again: run it from the start, from a file",
        )
        .into());
    }
    // Paths of the command are meant from where it was typed; those of this one from here.
    let kernel = arguments.kernel.as_deref().map(std::path::absolute).transpose()?;
    let mut command = command(&left)?;
    std::env::set_current_dir(&folder)
        .map_err(|error| Failure::input(format!("the run's folder {}: {error}", folder.display())))?;
    if let Some(workers) = arguments.workers {
        command.workers.workers = workers;
    }
    if let Some(batch) = arguments.batch {
        command.workers.batch = batch;
    }
    arguments.changed.apply(&mut command);
    // What was before the run that is gone on with is not what was before this.
    command.served.earlier = arguments.earlier;
    if let Some(kernel) = kernel {
        command.kernel.kernel = kernel;
    }
    let other_kernel = arguments.kernel.is_some();
    Ok((run::again(command, Again { journal, left, other_kernel })?, phase))
}

/// Writes down how far a run came that was ended before it could write its report.
fn note_progress(left: &Left, folder: &Path, earlier: Option<Earlier>) -> Result<(), Failure> {
    if let Some(file) = command(left)?.report.progress_file {
        ProgressFile::new(folder.join(file), earlier).show(&left.progress());
    }
    Ok(())
}

/// The command of the run.
fn command(left: &Left) -> Result<RunArguments, Failure> {
    let words = left.header.command.iter().map(|word| OsString::from_vec(word.clone()));
    let words = std::iter::once(OsString::from("taskhost")).chain(words);
    let ours = env!("CARGO_PKG_VERSION");
    let parsed = Arguments::try_parse_from(words).map_err(|error| {
        let theirs = &left.header.taskhost;
        Failure::usage(format!("the command of the run, by taskhost {theirs}, is not understood by {ours}: {error}"))
    })?;
    match parsed.command {
        Command::Run(command) => Ok(command.run),
        _ => Err(Failure::input("the journal is of something that is no run")),
    }
}
