//! A Slurm cluster of two nodes on this machine, for one test at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use taskhost_os::container::{Refusal, refuse};

use crate::harness::{Place, Process, Program, Running, eventually, skipped};
use rustix::process::Signal;

/// One cluster at a time: each starts daemons, and two cores are enough for one.
static ONE: Mutex<()> = Mutex::new(());

/// What is special about a cluster.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Plain,
    /// Each node has a network of its own.
    Apart,
    /// Its nodes allow no namespaces.
    WithoutNamespaces,
    /// On its nodes root has no rights to what others own, as on storage that takes root for nobody.
    Squashed,
}

/// Runs a program as root that has no rights to what others own.
pub(super) const SQUASHED: [&str; 2] = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"];

/// A cluster. Dropping it ends it.
pub(super) struct Cluster {
    pub(super) place: Place,
    kind: Kind,
    folder: PathBuf,
    _one: MutexGuard<'static, ()>,
}

/// A cluster in the way that is asked for; `None`, in words, where there cannot be one.
pub(super) fn cluster(test: &str, kind: Kind) -> Option<Cluster> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !["slurmctld", "slurmd", "sbatch"].into_iter().all(has) {
        skipped(test, "there is no Slurm; tests/engines/setup.sh gets it");
        return None;
    }
    if !rustix::process::geteuid().is_root() {
        // Also one on loopback: slurmd sets up jobs as root does.
        skipped(test, "only root can have a cluster of its own");
        return None;
    }
    let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = Place::new();
    let folder = place.path("slurm");
    let cluster = Cluster { place, kind, folder, _one: one };
    let up = cluster.script(if kind == Kind::Apart { &["up", "apart"] } else { &["up"] });
    let said = String::from_utf8_lossy(&up.stderr).into_owned();
    if kind == Kind::Apart && !up.status.success() && said.contains("Operation not permitted") {
        skipped(test, "no networks can be made here");
        return None;
    }
    assert!(up.status.success(), "the cluster does not come up: {said}");
    Some(cluster)
}

impl Cluster {
    /// Runs cluster.sh with a command and what follows it.
    pub(super) fn script(&self, words: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines/cluster.sh");
        let mut command = match self.kind {
            Kind::Squashed => {
                let mut command = Command::new(SQUASHED[0]);
                command.args(&SQUASHED[1..]).arg(script);
                command
            }
            Kind::Plain | Kind::Apart | Kind::WithoutNamespaces => Command::new(script),
        };
        command.arg(words[0]).arg(&self.folder).args(&words[1..]);
        if self.kind != Kind::WithoutNamespaces {
            return command.output().unwrap();
        }
        let narrowed = || {
            // For this thread alone, and what it starts: the daemons, and with them all jobs.
            refuse(&[Refusal::Namespaces]).unwrap();
            command.output().unwrap()
        };
        thread::scope(|scope| scope.spawn(narrowed).join().unwrap())
    }

    #[track_caller]
    pub(super) fn must(&self, words: &[&str]) {
        let output = self.script(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(super) fn taskhost(&self, arguments: &str) -> Program {
        self.with_slurm(self.place.taskhost(arguments))
    }

    /// A program that can find the commands of this cluster.
    pub(super) fn with_slurm(&self, program: Program) -> Program {
        program.env("SLURM_CONF", self.folder.join("slurm.conf"))
    }

    /// What `taskhost doctor --json` finds on a node.
    #[track_caller]
    pub(super) fn doctor(&self) -> serde_json::Value {
        let run = Program::of("srun".as_ref(), &self.place.path("")).argument(env!("CARGO_BIN_EXE_taskhost"));
        let outcome = self.with_slurm(run).arguments("doctor --json").run().success();
        serde_json::from_slice(&outcome.stdout).unwrap()
    }

    /// What a command of Slurm says.
    pub(super) fn ask(&self, program: &str, words: &[&str]) -> String {
        let mut command = Command::new(program);
        let output = command.args(words).env("SLURM_CONF", self.folder.join("slurm.conf")).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The processes of jobs of this cluster that have this in their environment.
    pub(super) fn processes(&self, with: &[&str]) -> Vec<Process> {
        let configuration = format!("SLURM_CONF={}", self.folder.join("slurm.conf").display());
        let is_one = |environment: &[u8]| {
            let has = |wanted: &str| environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes());
            has(&configuration) && with.iter().all(|wanted| has(wanted))
        };
        let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let ours = ids.filter(|id| *id != std::process::id());
        let is_ours = |id: &u32| fs::read(format!("/proc/{id}/environ")).is_ok_and(|environment| is_one(&environment));
        ours.filter(is_ours).filter_map(Process::open).collect()
    }

    /// Waits until a shard runs, and gives its coordinator.
    pub(super) fn shard(&self, index: u32) -> Process {
        let mut found = None;
        eventually("the shard runs", || {
            let one = format!("SLURM_ARRAY_TASK_ID={index}");
            let is_shard = |process: &Process| {
                let line = fs::read(format!("/proc/{}/cmdline", process.id)).unwrap_or_default();
                line.split(|byte| *byte == 0).any(|word| word == b"shard")
            };
            found = self.processes(&[&one]).into_iter().find(is_shard);
            found.is_some()
        });
        found.unwrap()
    }

    /// Kills a node with everything on it.
    pub(super) fn kill_node(&self, node: u32) {
        let daemon = self.daemon(&format!("node.n{node}"));
        daemon.signal(Signal::KILL);
        let name = format!("SLURMD_NODENAME=n{node}");
        for process in self.processes(&[&name]) {
            // The step that looks after it is its parent.
            let parent = parent(process.id).filter(|parent| is_step(*parent)).and_then(Process::open);
            parent.into_iter().for_each(|step| step.signal(Signal::KILL));
            process.signal(Signal::KILL);
        }
    }

    /// A daemon of this cluster.
    pub(super) fn daemon(&self, name: &str) -> Process {
        let number = fs::read_to_string(self.folder.join(format!("run/{name}.pid"))).unwrap();
        Process::open(number.trim().parse().unwrap()).unwrap()
    }

    /// Parts that are there, of the plan `out.plan`.
    pub(super) fn parts(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.place.path("out.plan.parts")) else { return Vec::new() };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut parts: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == "part")).collect();
        parts.sort();
        parts
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let output = self.script(&["down"]);
        // What a daemon that was killed did not end.
        self.processes(&[]).iter().for_each(|process| process.signal(Signal::KILL));
        if !output.status.success() && !std::thread::panicking() {
            panic!("the cluster does not go down: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// Waits for the end of a run, and asserts that it went well.
#[track_caller]
pub(super) fn ends_well(running: Running) -> String {
    running.end().success().stderr
}

fn parent(id: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

fn is_step(id: u32) -> bool {
    fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| line.starts_with(b"slurmstepd"))
}
