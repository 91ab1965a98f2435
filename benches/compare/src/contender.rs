//! A program that does the work of a row: how it is started, what it leaves behind, what was measured of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// The one that all others are measured against.
pub(crate) const OURS: &str = "taskhost";

/// How often a process that is watched is looked at.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// One of the programs of a row.
pub(crate) struct Contender {
    pub(crate) name: String,
    /// The program, or why it is not there and how to get it.
    program: Result<PathBuf, String>,
    arguments: Vec<OsString>,
    input: Option<PathBuf>,
    output: Option<PathBuf>,
    exit_code: i32,
    watched: bool,
    /// At most so many rounds, for those that take long.
    pub(crate) most_rounds: usize,
    /// Whether its output has to be that of all others.
    is_compared: bool,
}

/// What was measured of one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    /// The most memory the process ever had, in bytes, its children apart.
    pub(crate) peak: Option<f64>,
    /// What it said in numbers: lines `name value`, or JSON.
    pub(crate) said: BTreeMap<String, f64>,
    /// A digest of what it wrote.
    pub(crate) digest: Option<String>,
}

impl Contender {
    pub(crate) fn new(name: &str, program: Result<PathBuf, String>) -> Self {
        Self {
            name: name.to_owned(),
            program,
            arguments: Vec::new(),
            input: None,
            output: None,
            exit_code: 0,
            watched: false,
            most_rounds: usize::MAX,
            is_compared: true,
        }
    }

    /// Arguments that are separated by white space.
    pub(crate) fn arguments(mut self, arguments: &str) -> Self {
        self.arguments.extend(arguments.split_whitespace().map(OsString::from));
        self
    }

    pub(crate) fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// What it reads from standard input.
    pub(crate) fn reads(mut self, input: &Path) -> Self {
        self.input = Some(input.to_owned());
        self
    }

    /// The file or folder that it makes.
    pub(crate) fn writes(mut self, output: &Path) -> Self {
        self.output = Some(output.to_owned());
        self
    }

    /// What it writes is not what the others write.
    pub(crate) fn not_compared(mut self) -> Self {
        self.is_compared = false;
        self
    }

    pub(crate) fn exits_with(mut self, code: i32) -> Self {
        self.exit_code = code;
        self
    }

    /// Has its memory looked at, again and again, which costs a little time.
    pub(crate) fn watched(mut self) -> Self {
        self.watched = true;
        self
    }

    pub(crate) fn rounds(mut self, most: usize) -> Self {
        self.most_rounds = most;
        self
    }

    /// Why it cannot be run.
    pub(crate) fn missing(&self) -> Option<&str> {
        self.program.as_ref().err().map(String::as_str)
    }

    /// Runs it once.
    pub(crate) fn run(&self) -> Result<Sample, String> {
        let program = self.program.as_ref().map_err(Clone::clone)?;
        let told = |what: &str, error: io::Error| format!("{} {what}: {error}", self.name);
        let mut command = Command::new(program);
        command.args(&self.arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
        if let Some(input) = &self.input {
            command.stdin(File::open(input).map_err(|error| told("has no input", error))?);
        }
        let began = Instant::now();
        let child = command.spawn().map_err(|error| told("cannot be started", error))?;
        let mut peak = None;
        if self.watched {
            peak = watch(&child).map_err(|error| told("cannot be watched", error))?;
        }
        let ended = child.wait_with_output().map_err(|error| told("was lost", error))?;
        let seconds = began.elapsed().as_secs_f64();
        if ended.status.code() != Some(self.exit_code) {
            let words = String::from_utf8_lossy(&ended.stderr);
            return Err(format!("{} ended with {}: {}", self.name, ended.status, words.trim()));
        }
        let digest = self.take_output().map_err(|error| told("left no output", error))?;
        Ok(Sample { seconds, peak, said: numbers(&String::from_utf8_lossy(&ended.stdout)), digest })
    }

    /// Takes the output away: what is not on its way to a disk any more does not slow down whoever comes next.
    fn take_output(&self) -> io::Result<Option<String>> {
        let Some(output) = &self.output else { return Ok(None) };
        let mut hasher = blake3::Hasher::new();
        if output.is_dir() {
            let mut files = fs::read_dir(output)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
            files.sort();
            for file in files {
                hasher.update_reader(File::open(file)?)?;
            }
            fs::remove_dir_all(output)?;
        } else {
            hasher.update_reader(File::open(output)?)?;
            fs::remove_file(output)?;
        }
        Ok(self.is_compared.then(|| hasher.finalize().to_string()))
    }
}

/// The most memory that a process has until it ends.
fn watch(child: &Child) -> io::Result<Option<f64>> {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let handle = pidfd_open(id.ok_or_else(|| io::Error::other("no such process"))?, PidfdFlags::empty())?;
    let mut peak = None;
    while poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&LOOK))? == 0 {
        let mut status = String::new();
        File::open(format!("/proc/{}/status", child.id()))?.read_to_string(&mut status)?;
        let field = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = field.and_then(|field| field.trim().trim_end_matches(" kB").parse::<f64>().ok());
        peak = kilobytes.map(|kilobytes| kilobytes * 1024.0).or(peak);
    }
    Ok(peak)
}

/// Numbers by name, from lines `name value` or from JSON, where names are joined with dots.
fn numbers(text: &str) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    if let Ok(json) = serde_json::from_str(text) {
        flatten("", &json, &mut found);
    } else {
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        found.extend(pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))));
    }
    found
}

fn flatten(name: &str, json: &serde_json::Value, found: &mut BTreeMap<String, f64>) {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    if let Some(number) = json.as_f64() {
        found.insert(name.to_owned(), number);
    }
    for (at, value) in json.as_array().into_iter().flatten().enumerate() {
        flatten(&below(&at.to_string()), value, found);
    }
    for (key, value) in json.as_object().into_iter().flatten() {
        flatten(&below(key), value, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_from_lines_and_from_json() {
        let lines = numbers("median_us 12.5\nno number here\n");
        assert_eq!(lines, BTreeMap::from([("median_us".to_owned(), 12.5)]));
        let json = numbers(r#"{"workers": [{"cpu": 1}, {"cpu": 2}], "name": "x"}"#);
        assert_eq!(json, BTreeMap::from([("workers.0.cpu".to_owned(), 1.0), ("workers.1.cpu".to_owned(), 2.0)]));
    }

    #[test]
    fn a_wrong_exit_code_is_an_error() {
        let shell = |code| Contender::new("sh", Ok("/bin/sh".into())).argument("-c").argument(format!("exit {code}"));
        assert!(shell(0).run().is_ok());
        assert!(shell(3).run().is_err_and(|error| error.contains("exit status: 3")));
        assert!(shell(3).exits_with(3).run().is_ok());
    }
}
