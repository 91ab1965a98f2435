//! What came of a job, brought here: its result to the place where a run would have put it, its failed items, its exit code.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use taskhost_os::atomic_file::{AtomicFile, Durability};
use taskhost_pool::job::Output;

use super::connection::{Asked, Connection};
use super::wanted::Work;
use crate::exit_code::{Exit, Failure};
use crate::output::{self, Place};
use crate::report::{self, errors::ErrorFile};

/// Failed items that are shown one by one.
const SHOWN: usize = 20;

/// How long after the end of an answer it is looked whether there is more.
const STREAM_AGAIN: Duration = Duration::from_millis(200);

/// How often a result that was cut off is asked for again, from where it was cut off, without a byte of progress.
const TRIES: u32 = 5;

/// Where a result goes.
pub(super) enum Target {
    Stdout,
    File(Box<AtomicFile>),
    /// A device or a pipe that has a name.
    Stream(File),
}

impl Target {
    /// Looks at the place of a result.
    pub(super) fn prepare(place: &Place, is_many: bool) -> Result<Self, Failure> {
        let Place::File(path) = place else { return Ok(Self::Stdout) };
        let made = if is_many { output::file_of_many(path, None) } else { output::file(path, None) };
        match made? {
            Output::File(file) => Ok(Self::File(file)),
            Output::Stream(stream) => Ok(Self::Stream(stream.into())),
            _ => Err(Failure::usage(format!("{} is no place for a result", path.display()))),
        }
    }
}

/// A job that is over.
pub(super) struct Outcome<'a> {
    pub(super) connection: &'a Connection,
    pub(super) work: &'a Work,
    /// As the service tells of it.
    pub(super) job: &'a Value,
    /// What of its result is in its place already.
    pub(super) streamed: u64,
}

/// What was written of a result while its job went on.
#[derive(Debug, Default)]
pub(super) struct Streamed {
    pub(super) bytes: u64,
    /// Why no more of it can be written, when that is so.
    pub(super) unwritten: Option<io::Error>,
}

impl Streamed {
    /// What is to be said of that.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.unwritten.as_ref().map_or(Ok(()), |error| Err(unwritten("standard output", error)))
    }
}

/// A place that takes nothing more: a reader that has gone away needs no words.
fn unwritten(place: &str, error: &io::Error) -> Failure {
    let exit = if error.kind() == io::ErrorKind::BrokenPipe { Exit::ReaderGone } else { Exit::InputOutput };
    Failure::new(exit, format!("{place} cannot be written: {error}"))
}

/// Writes the result of a job to standard output as it comes to be, until the job is over. What is not written then is fetched
/// when it is known what came of the job.
pub(super) fn stream(connection: &Connection, job: &str, is_over: &AtomicBool) -> Streamed {
    let path = format!("/v1/jobs/{job}/result?follow=true");
    let (mut done, mut buffer) = (Streamed::default(), vec![0; 256 << 10]);
    let goes_on = || !is_over.load(Ordering::Relaxed) && !connection.stop.is_set();
    while goes_on() {
        let Some(mut from) = connection.open_growing(&path, done.bytes) else {
            connection.stop.pause(STREAM_AGAIN);
            continue;
        };
        // One that is cut off goes on where it was, or is of a job that has failed.
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let mut to = io::stdout();
            if let Err(error) = to.write_all(&buffer[..read]).and_then(|()| to.flush()) {
                done.unwritten = Some(error);
                connection.cancel(job);
                return done;
            }
            done.bytes += read as u64;
        }
        if goes_on() {
            connection.stop.pause(STREAM_AGAIN);
        }
    }
    done
}

/// What came of a job.
pub(super) struct Brought {
    pub(super) exit: Exit,
    /// Whether there is a result, and so a file of it.
    pub(super) has_result: bool,
    /// Whether items failed.
    pub(super) by_item: bool,
    /// The file that was made since a terminal is no place for the result.
    pub(super) spared: Option<PathBuf>,
}

impl Outcome<'_> {
    /// Brings what came of it, and tells what failed.
    pub(super) fn bring(&self, target: Target, errors: &mut Option<ErrorFile>) -> Result<Brought, Failure> {
        let exit = self.exit();
        let has_result = !self.job["result"].is_null();
        let spared = if has_result { self.fetch(target)? } else { None };
        let by_item = self.tell_failures(errors)?;
        if !by_item && exit != Exit::Done {
            self.tell_messages();
        }
        Ok(Brought { exit, has_result, by_item, spared })
    }

    fn exit(&self) -> Exit {
        if self.job["state"] == "cancelled" {
            report::message("error", "the job was cancelled, not by this run");
            return Exit::Terminated;
        }
        let code = self.job["exit_code"].as_u64().and_then(|code| u8::try_from(code).ok());
        code.and_then(Exit::from_code).unwrap_or(Exit::Host)
    }

    fn path(&self, part: &str) -> String {
        format!("/v1/jobs/{}/{part}", self.job["id"].as_str().unwrap_or_default())
    }

    /// Writes the result to its place. Returns the file that was made when a terminal is no place for it.
    fn fetch(&self, target: Target) -> Result<Option<PathBuf>, Failure> {
        match target {
            Target::File(file) => {
                let mut to = file.file();
                self.copy(&mut to, &file.path().display().to_string())?;
                file.commit(Durability::Process).map_err(|error| Failure::input(error.to_string()))?;
                Ok(None)
            }
            Target::Stream(mut stream) => self.copy(&mut stream, "the result").map(|()| None),
            Target::Stdout => {
                let input = self.work.inputs.first().and_then(|input| input.path.as_deref());
                match output::spare_terminal(&self.work.place, input).filter(|_| self.is_binary()) {
                    Some(path) => {
                        let failed = |error: &dyn std::fmt::Display| Failure::input(error.to_string());
                        let file = AtomicFile::create(&path).map_err(|error| failed(&error))?;
                        self.copy(&mut file.file(), &path.display().to_string())?;
                        file.commit(Durability::Process).map_err(|error| failed(&error))?;
                        Ok(Some(path))
                    }
                    None => self.copy(&mut io::stdout(), "standard output").map(|()| None),
                }
            }
        }
    }

    /// Writes the report of the run to its place. A run that was ended before it was over has none, there as here.
    pub(super) fn fetch_report(&self, path: &Path) -> Result<(), Failure> {
        if self.job["report"].is_null() {
            return Ok(());
        }
        let answer = self.connection.ask(&Asked::get(&self.path("report")))?;
        if !answer.is_good() {
            return Err(self.connection.refused(&answer));
        }
        if path.as_os_str() == "-" {
            report::bytes(&answer.body);
            return Ok(());
        }
        let failed = |error| Failure::input(format!("the report {} cannot be written: {error}", path.display()));
        std::fs::write(path, &answer.body).map_err(failed)
    }

    /// Whether a terminal is no place for the result.
    fn is_binary(&self) -> bool {
        let mut first = Vec::new();
        let reader = self.connection.open(&self.path("result"), 0);
        let read = reader.map(|reader| reader.take(4096).read_to_end(&mut first));
        read.is_ok() && (first.contains(&0) || str::from_utf8(&first).is_err_and(|error| error.error_len().is_some()))
    }

    /// Copies the result, going on where it was cut off.
    fn copy(&self, to: &mut dyn io::Write, place: &str) -> Result<(), Failure> {
        let total = self.job["output_bytes"].as_u64();
        let (path, mut done, mut tries) = (self.path("result"), self.streamed, 0);
        let mut buffer = vec![0; 256 << 10];
        let written = |error: io::Error| unwritten(place, &error);
        if total == Some(done) {
            return to.flush().map_err(written);
        }
        loop {
            let mut from = self.connection.open(&path, done)?;
            loop {
                self.connection.stop.check()?;
                match from.read(&mut buffer) {
                    Ok(0) => return to.flush().map_err(written),
                    Ok(read) => {
                        to.write_all(&buffer[..read]).map_err(written)?;
                        (done, tries) = (done + read as u64, 0);
                        if total == Some(done) {
                            return to.flush().map_err(written);
                        }
                    }
                    Err(error) if tries >= TRIES => {
                        return Err(Failure::input(format!("the result cannot be read: {error}")));
                    }
                    Err(_) => {
                        tries += 1;
                        break;
                    }
                }
            }
        }
    }

    /// Tells of the items that failed. Returns whether there were any.
    fn tell_failures(&self, errors: &mut Option<ErrorFile>) -> Result<bool, Failure> {
        if self.job["failures"].is_null() {
            return Ok(false);
        }
        let answer = self.connection.ask(&Asked::get(&self.path("failures")))?;
        if !answer.is_good() {
            return Err(self.connection.refused(&answer));
        }
        let text = String::from_utf8_lossy(&answer.body);
        let mut unshown = 0;
        for (number, line) in text.lines().enumerate() {
            if let Some(errors) = errors {
                errors.write_line(&format!("{line}\n")).map_err(Failure::input)?;
            }
            match number {
                0..SHOWN if !errors.as_ref().is_some_and(ErrorFile::is_stderr) => {
                    report::message("error", &described(line));
                }
                0..SHOWN => {}
                _ => unshown += 1,
            }
        }
        if unshown > 0 {
            let advice = if errors.is_some() { "" } else { "; --errors FILE lists all of them" };
            report::message("error", &format!("{} failed{advice}", report::count(unshown, "more item")));
        }
        Ok(text.lines().next().is_some())
    }

    /// Repeats what the run said there.
    fn tell_messages(&self) {
        let said = self.job["message"].as_str().unwrap_or_default();
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        if errors.is_empty() && !said.is_empty() {
            report::note(&report::escape(said));
        }
        errors.into_iter().for_each(|line| report::note(&report::escape(line)));
    }
}

/// A failed item, in the words that a run has for it.
pub(super) fn described(line: &str) -> String {
    let item: Value = serde_json::from_str(line).unwrap_or_default();
    let source = item["source"].as_str().unwrap_or("?");
    let place = match (item["item"].as_u64(), item["row"].as_u64(), item["offset"].as_u64()) {
        (Some(number), _, Some(offset)) => format!("{source}, item {number} (at byte {offset})"),
        (Some(number), _, None) => format!("{source}, item {number}"),
        (None, Some(row @ 1..), _) => format!("{source}, at row {row}"),
        (None, None, Some(offset)) => format!("{source}, at byte {offset}"),
        (None, ..) => source.to_owned(),
    };
    let mut text = format!("{place}: {}", item["message"].as_str().unwrap_or("failed"));
    for frame in item["backtrace"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        text.push_str(&format!("\n    at {frame}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_item_is_told_of_as_a_run_here_would() {
        let line = r#"{"version":1,"item":2,"source":"folder/ä.txt","offset":9,"message":"no","backtrace":["f"]}"#;
        assert_eq!(described(line), "folder/ä.txt, item 2 (at byte 9): no\n    at f");
        assert_eq!(described("{}"), "?: failed");
    }
}
