//! Starting the program itself for a job or for a look at a kernel: in a folder, with nothing of the server's environment, and
//! never longer than the server lives.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions};
use serde_json::Value;
use taskhost_os::process_id::ProcessId;
use taskhost_os::usage::family_cpu_time;

use super::handle::Handle;
use super::veil::Veil;

/// Tells a process of the service whose it is: it ends when that process does.
pub const SERVER_VARIABLE: &str = "TASKHOST_SERVICE_PROCESS";

/// Stands behind the command of a process whose other words are on its standard input, each with a NUL behind it: every user of the
/// machine can read argument lists, and what tenants ask for is nobody's business.
pub const HANDED_OVER: &str = "__handed-over";

/// Most that is kept of what a process says at its end, which is why it ends.
const SAID_BYTES: usize = 16 << 10;

/// Most that is kept of all that the processes of a job say.
const LOG_BYTES: u64 = 1 << 20;

/// Most that is read of what is known of a kernel.
const INFO_BYTES: u64 = 1 << 20;

/// The program, and how it is started.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The program: this one.
    pub program: PathBuf,
    /// `--sandbox`.
    pub sandbox: String,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its exit code; none when a signal ended it.
    pub(super) code: Option<u8>,
    /// What it said on standard error.
    pub(super) said: String,
}

/// What became of a look at a kernel.
#[derive(Clone, Debug, PartialEq)]
pub enum KernelCheck {
    /// It can be run; this is what it is.
    Fits(Value),
    /// It cannot, and why.
    Refused(String),
    /// It could not be looked at, which is not its fault.
    Failed(String),
}

impl Launcher {
    fn command(&self, folder: &Path, cache: &Path, arguments: &[String]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(folder).env_clear();
        command.env(SERVER_VARIABLE, std::process::id().to_string()).env("XDG_CACHE_HOME", cache);
        // Ctrl-C is for the server, which knows what to do with its jobs.
        command.process_group(0);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Starts the process of a job. `taken` is the file whose lock says that somebody is at work in the folder: the process
    /// holds it as its standard input, and nobody else does. It finds its arguments in it. It ends with the thread that calls this.
    pub(super) fn start(&self, folder: &Path, cache: &Path, taken: File, arguments: &[String]) -> io::Result<Child> {
        let (command, words) = arguments.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        hand_over(&taken, words)?;
        self.command(folder, cache, &[command.clone(), HANDED_OVER.to_owned()]).stdin(taken).spawn()
    }

    /// Looks at the kernel in a file, in a sandbox; its code goes into `cache`. Returns what that has used of CPU time, too.
    #[must_use]
    pub fn check(&self, kernel: &Path, cache: &Path) -> (KernelCheck, Duration) {
        let failed =
            |error: io::Error| (KernelCheck::Failed(format!("it cannot be looked at: {error}")), Duration::ZERO);
        let (Some(folder), Some(name)) = (kernel.parent(), kernel.file_name().and_then(|name| name.to_str())) else {
            return (KernelCheck::Failed("it has no folder".into()), Duration::ZERO);
        };
        let words = ["inspect", "--json", &format!("--sandbox={}", self.sandbox), name].map(str::to_owned);
        let mut child = match self.command(folder, cache, &words).stdin(Stdio::null()).stdout(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(error) => return failed(error),
        };
        let stdout = child.stdout.take();
        // It writes either: what it found, or what is wrong.
        let mut found = Vec::new();
        if let Some(mut stdout) = stdout
            && let Err(error) = Read::by_ref(&mut stdout).take(INFO_BYTES).read_to_end(&mut found)
        {
            return failed(error);
        }
        let handle = Handle::default();
        handle.began(child.id());
        let ended = match wait(child, None, Veil::new(&[folder, cache]), &handle) {
            Ok(ended) => ended,
            Err(error) => return failed(error),
        };
        let said = ended.said.trim().trim_start_matches("error: ").trim_start_matches(&format!("{name}: ")).to_owned();
        let check = match (ended.code, serde_json::from_slice(&found)) {
            (Some(0), Ok(info)) => KernelCheck::Fits(info),
            (Some(4), _) => KernelCheck::Refused(said),
            _ => KernelCheck::Failed(said),
        };
        (check, Duration::from_millis(handle.cpu_ms()))
    }
}

/// Has a file say these words, and be read from its beginning.
fn hand_over(mut file: &File, words: &[String]) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(words.iter().flat_map(|word| [word, "\0"]).collect::<String>().as_bytes())?;
    file.rewind()
}

/// Waits for the end of a process, taking what it says; a log takes the beginning of that, up to a limit for all of the log.
pub(super) fn wait(mut child: Child, mut log: Option<File>, mut veil: Veil, handle: &Handle) -> io::Result<Ended> {
    let mut said = VecDeque::new();
    if let Some(mut stderr) = child.stderr.take() {
        let mut room =
            log.as_ref().map_or(0, |log| log.metadata().map_or(0, |log| LOG_BYTES.saturating_sub(log.len())));
        let mut part = vec![0; SAID_BYTES];
        loop {
            // A kernel may write as much as it likes; the process must not wait for us.
            let (shown, is_all) = match stderr.read(&mut part) {
                Ok(0) => (veil.rest(), true),
                Ok(read) => (veil.take(&part[..read]), false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            said.extend(&shown);
            said.drain(..said.len().saturating_sub(SAID_BYTES));
            let kept = &shown[..shown.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
            if let Some(log) = &mut log {
                // A job does not fail for want of a place for its log.
                let _ = log.write_all(kept);
            }
            room -= kept.len() as u64;
            if is_all {
                break;
            }
        }
    }
    wait_for_end(child.id());
    handle.ended();
    let status = child.wait()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).filter(|_| status.signal().is_none());
    let text = String::from_utf8_lossy(said.make_contiguous()).into_owned();
    Ok(Ended { code, said: last_words(&text) })
}

/// Waits for the end of a process, which stays known to the system until it is waited for once more.
pub(super) fn wait_for_end(process: u32) {
    if let Some(process) = Pid::from_raw(i32::try_from(process).unwrap_or(0)) {
        // Where that is not possible, only what it used last is not known.
        let _ = rustix::process::waitid(WaitId::Pid(process), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
    }
}

/// What is wrong, of all that a process has said: its last message, without what the kernel has logged before.
pub(super) fn last_words(text: &str) -> String {
    let is_message = |line: &&str| ["error: ", "warning: "].iter().any(|kind| line.starts_with(kind));
    // What to type on a command line helps nobody here.
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("hint: ")).collect();
    match lines.iter().position(is_message) {
        Some(first) => lines[first..].join("\n"),
        None => lines.join("\n"),
    }
}

/// CPU time of a process and of all that it started, in milliseconds: those that have ended, and those that run.
pub(super) fn cpu_ms(process: u32) -> u64 {
    let id = i32::try_from(process).ok().and_then(ProcessId::new);
    id.map_or(0, |id| u64::try_from(family_cpu_time(id).as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_children_counts() {
        let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; read x";
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("sh -c '{script}' & wait")]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.spawn().expect("a shell");
        let before = std::time::Instant::now();
        while cpu_ms(child.id()) < 50 {
            assert!(before.elapsed().as_secs() < 60, "no time is seen");
        }
        child.kill().expect("it is there");
        child.wait().expect("it ends");
    }

    #[test]
    fn words_are_handed_over_whatever_was_said_before() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"--these=are longer than those").expect("written");
        hand_over(&file, &["--config=a=b c".to_owned(), String::new(), "\n".to_owned()]).expect("handed over");
        let mut said = String::new();
        file.read_to_string(&mut said).expect("read");
        assert_eq!(said, "--config=a=b c\0\0\n\0");
    }

    #[test]
    fn what_a_process_says_is_kept_as_far_as_it_goes() {
        let place = tempfile::tempdir().expect("a folder");
        let log = File::create(place.path().join("log")).expect("a file");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "echo hint: no >&2; yes | head -c 2000000 >&2; echo error: this is why >&2; exit 3"])
            .stderr(Stdio::piped());
        let ended =
            wait(shell.spawn().expect("a shell"), Some(log), Veil::new(&[]), &Handle::default()).expect("it ends");
        assert_eq!((ended.code, ended.said.as_str()), (Some(3), "error: this is why"));
        let kept = std::fs::read_to_string(place.path().join("log")).expect("it is there");
        assert!(kept.starts_with("hint: no\ny\ny\n") && kept.len() as u64 == LOG_BYTES, "{}", kept.len());
    }
}
