//! The program under test: started in a folder, with an environment of its own, and never for ever.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::Signal;

use super::processes::{adopt_orphans, heed_signals};
use super::{Outcome, Process, no_worker_is_left};

/// What no run of a test takes, however slow the machine: a run that hangs fails its test instead of all tests.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

/// The folders that all runs of these tests share: compiled kernels, and claims on cores.
static SHARED: LazyLock<PathBuf> = LazyLock::new(|| {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for entry in fs::read_dir(all).unwrap().filter_map(Result::ok) {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix("shared-"));
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let shared = all.join(format!("shared-{}", std::process::id()));
    for name in ["cache", "runtime", "home"] {
        fs::create_dir_all(shared.join(name)).unwrap();
    }
    shared
});

/// The program, about to be started.
pub(crate) struct Program {
    command: Command,
    input: Vec<u8>,
    limit: Duration,
}

impl Program {
    pub(crate) fn new(folder: &Path) -> Self {
        Self::of(OsStr::new(env!("CARGO_BIN_EXE_taskhost")), folder)
    }

    /// Another program that starts the one under test.
    pub(crate) fn of(program: &OsStr, folder: &Path) -> Self {
        adopt_orphans();
        heed_signals();
        let mut command = Command::new(program);
        command.current_dir(folder).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", SHARED.join("home")).env("COLUMNS", "100");
        command.env("XDG_CACHE_HOME", SHARED.join("cache")).env("XDG_RUNTIME_DIR", SHARED.join("runtime"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, input: Vec::new(), limit: LIMIT }
    }

    pub(crate) fn arguments(mut self, arguments: &str) -> Self {
        self.command.args(arguments.split_whitespace());
        self
    }

    pub(crate) fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes a variable away from its environment.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs it as another user, who must be able to read it. Only root can.
    pub(crate) fn by_user(mut self, id: u32) -> Self {
        self.command.uid(id).gid(id);
        self
    }

    /// What comes through a pipe on standard input.
    pub(crate) fn input(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.input = bytes.as_ref().to_vec();
        self
    }

    /// How long it may take, where that is more than all others may.
    pub(crate) fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// What standard input is, when it is no pipe.
    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// What standard output is, when it is no pipe.
    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    /// Runs the program to its end.
    #[track_caller]
    pub(crate) fn run(mut self) -> Outcome {
        let input = std::mem::take(&mut self.input);
        let mut running = self.start();
        let stdin = running.stdin.take();
        let feeding = thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
        let outcome = running.end();
        // A program that needs no more of its input closes it; that is for it to decide.
        let _ = feeding.join().unwrap();
        outcome
    }

    /// Starts the program, for a test that talks with it.
    #[track_caller]
    pub(crate) fn start(mut self) -> Running {
        let mut child = self.command.spawn().unwrap();
        let process = Process::open(child.id()).unwrap();
        let watched = Process::open(child.id()).unwrap();
        thread::spawn(move || {
            if !watched.is_gone_within(self.limit) {
                watched.signal(Signal::KILL);
            }
        });
        let stderr = child.stderr.take().unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        Running { stderr: Some(thread::spawn(move || read_all(stderr))), child, process, stdin, stdout }
    }
}

fn read_all(mut stderr: ChildStderr) -> String {
    let mut bytes = Vec::new();
    stderr.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The program while it runs.
pub(crate) struct Running {
    child: Child,
    pub(crate) process: Process,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: Option<JoinHandle<String>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that fails leaves nothing that goes on.
        if std::thread::panicking() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Running {
    /// The worker that converts a stream: the only one with a pipe.
    pub(crate) fn converter(&self) -> Process {
        let mut found = None;
        super::eventually("a worker reads or writes a pipe", || {
            let has_pipe = |worker: &Process| worker.open_files().iter().any(|name| name.starts_with("pipe:["));
            found = self.process.workers().into_iter().find(has_pipe);
            found.is_some()
        });
        found.expect("it was waited for")
    }

    /// Writes to its standard input.
    #[track_caller]
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().expect("its standard input is open");
        stdin.write_all(bytes.as_ref()).unwrap();
        stdin.flush().unwrap();
    }

    /// The next line of its standard output, without its end; empty at the end of all output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().expect("its standard output is open").read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    /// The next bytes of its standard output.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stdout.as_mut().expect("its standard output is open").read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Stops reading its standard output.
    pub(crate) fn stop_reading(&mut self) {
        self.stdout = None;
    }

    /// Ends its input and waits for its end, with the rest of its output. Of those of its workers that are there when
    /// this is called, nothing may be left then.
    #[track_caller]
    pub(crate) fn end(mut self) -> Outcome {
        let workers = self.process.workers();
        self.stdin = None;
        let mut stdout = Vec::new();
        if let Some(mut rest) = self.stdout.take() {
            rest.read_to_end(&mut stdout).unwrap();
        }
        let stderr = self.stderr.take().unwrap().join().unwrap();
        let status = self.child.wait().unwrap();
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap();
        no_worker_is_left();
        // Whoever was killed could not take note of its workers' ends.
        if status.code().is_some() {
            let left: Vec<u32> = workers.iter().filter(|worker| !worker.is_reaped()).map(|worker| worker.id).collect();
            assert!(left.is_empty(), "nobody took note of the end of the worker processes {left:?}");
        }
        Outcome { code, stdout, stderr }
    }
}
