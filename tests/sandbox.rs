//! What surrounds a worker while it runs, seen from outside through /proc.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::thread;

use taskhost_os::container::{Refusal, refuse};

use crate::harness::{Outcome, Place, Process, Program, Running, eventually, not_for_this_user, skipped};

/// Starts a run with two workers that are locked in and have work.
fn two_workers(place: &Place, flags: &str) -> (Running, Vec<Process>) {
    let mut running = place.taskhost(&format!("run primes -j 2 {flags}")).env("SECRET", "x").start();
    running.write("0 10\n".repeat(8));
    assert_eq!(running.line(), "4");
    let mut workers = Vec::new();
    // The second worker may still be on its way when the first has done all there was to do.
    eventually("both workers are locked in", || {
        workers = running.process.workers();
        workers.len() == 2 && workers.iter().all(|worker| worker.status("CapBnd") == "0000000000000000")
    });
    (running, workers)
}

/// Who is not root may not look at everything of a process that hides its memory.
#[track_caller]
fn hidden(test: &str, error: &std::io::Error) {
    assert!(!rustix::process::geteuid().is_root(), "{error}");
    not_for_this_user(test, &error.to_string());
}

/// Whether this machine allows what workers are surrounded by.
fn has_namespaces() -> bool {
    let mut unshare = std::process::Command::new("unshare");
    let unshare = unshare.args(["--user", "--mount", "--pid", "--fork", "true"]).stderr(std::process::Stdio::null());
    unshare.status().is_ok_and(|status| status.success())
}

#[test]
fn workers_have_no_rights() {
    let place = Place::new();
    let (running, workers) = two_workers(&place, "");
    for worker in &workers {
        assert_eq!(worker.status("NoNewPrivs"), "1");
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(worker.status(set), "0000000000000000", "{set}");
        }
        assert_eq!(worker.status("Threads"), "1");
    }
    running.end().success();
}

#[test]
fn workers_live_in_namespaces_of_their_own() {
    if !has_namespaces() {
        return skipped("sandbox::workers_live_in_namespaces_of_their_own", "user namespaces are not allowed here");
    }
    let place = Place::new();
    let (running, workers) = two_workers(&place, "");
    for name in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let file = format!("ns/{name}");
        let mut seen = BTreeSet::from([fs::read_link(format!("/proc/self/{file}")).unwrap()]);
        for worker in &workers {
            match fs::read_link(worker.file(&file)) {
                Ok(namespace) => assert!(seen.insert(namespace), "{name}: shared"),
                Err(error) => hidden("sandbox::workers_live_in_namespaces_of_their_own", &error),
            }
        }
    }
    for worker in &workers {
        let pids = worker.status("NSpid");
        assert_eq!(pids.split_whitespace().next_back(), Some("1"), "{pids}");
        let mounts = fs::read_to_string(worker.file("mountinfo")).unwrap_or_default();
        assert!(mounts.lines().count() <= 1, "{mounts}");
    }
    running.end().success();
}

#[test]
fn workers_know_nothing_of_their_surroundings() {
    let place = Place::new();
    let (running, workers) = two_workers(&place, "");
    for worker in &workers {
        match fs::read(worker.file("environ")) {
            Ok(environment) => assert!(environment.iter().all(|byte| *byte == 0), "an environment"),
            Err(error) => hidden("sandbox::workers_know_nothing_of_their_surroundings", &error),
        }
        let command = fs::read(worker.file("cmdline")).unwrap();
        assert_eq!(command, b"taskhost\0__worker\0");
    }
    running.end().success();
}

/// Where the executable lies in this worker's memory.
fn lies_at(worker: &Process) -> std::io::Result<String> {
    let maps = fs::read_to_string(worker.file("maps"))?;
    Ok(maps.split('-').next().unwrap_or_default().to_owned())
}

/// Whoever has workers crash to find out where the program lies learns nothing about the next ones.
#[test]
fn workers_after_a_death_lie_elsewhere() {
    const TEST: &str = "sandbox::workers_after_a_death_lie_elsewhere";
    let place = Place::new();
    let (mut running, workers) = two_workers(&place, "");
    let before = match workers.iter().map(lies_at).collect::<Result<BTreeSet<String>, _>>() {
        Ok(before) => before,
        Err(error) => return hidden(TEST, &error),
    };
    for worker in &workers {
        worker.signal(rustix::process::Signal::KILL);
    }
    running.write("0 10\n".repeat(100));
    let old: BTreeSet<u32> = workers.iter().map(|worker| worker.id).collect();
    let mut later = Vec::new();
    eventually("another worker is locked in", || {
        later = running.process.workers();
        later.retain(|worker| !old.contains(&worker.id) && worker.status("CapBnd") == "0000000000000000");
        !later.is_empty()
    });
    for worker in &later {
        let now = lies_at(worker).unwrap();
        assert!(!now.is_empty() && !before.contains(&now), "{now} of {before:?}");
    }
    running.end().success();
}

#[test]
fn workers_hold_no_descriptor_but_those_they_were_given() {
    let place = Place::new();
    place.write("ranges.txt", "0 4000000000\n");
    let running = place.taskhost("run primes -j 1 ranges.txt").start();
    let mut worker = None;
    eventually("the worker computes", || {
        worker = running.process.workers().into_iter().next();
        worker.as_ref().is_some_and(|worker| worker.status("State").starts_with('R') && has_input(worker))
    });
    let worker = worker.unwrap();
    let held: Vec<String> = worker.open_files();
    let is_given = |name: &String| {
        let parts = ["socket:[", "/memfd:taskhost-"];
        name == "/dev/null" || parts.iter().any(|part| name.starts_with(part)) || name.ends_with("/ranges.txt")
    };
    let others: Vec<&String> = held.iter().filter(|name| !is_given(name)).collect();
    assert!(others.is_empty(), "{others:?}");
    assert_eq!(held.iter().filter(|name| name.starts_with("socket:[")).count(), 1, "{held:?}");
    running.process.signal(rustix::process::Signal::TERM);
    running.end().code(143);
}

fn has_input(process: &Process) -> bool {
    process.open_files().iter().any(|name| name.ends_with("/ranges.txt"))
}

#[test]
fn each_worker_is_pinned_to_a_core_of_its_own() {
    let cores = std::thread::available_parallelism().unwrap().get();
    if cores < 2 {
        return skipped("sandbox::each_worker_is_pinned_to_a_core_of_its_own", "there is one cpu only");
    }
    let place = Place::new();
    // Claims on cores of its own, since other tests hold some.
    fs::create_dir(place.path("runtime")).unwrap();
    let mut running = place.taskhost("run primes").env("XDG_RUNTIME_DIR", place.path("runtime")).start();
    running.write("0 10\n".repeat(100));
    assert_eq!(running.line(), "4");
    let workers = running.process.workers();
    let mut used = BTreeSet::new();
    for worker in &workers {
        let cpus = worker.status("Cpus_allowed_list");
        assert!(cpus.parse::<u32>().is_ok(), "pinned to {cpus}");
        assert!(used.insert(cpus.clone()), "two workers on cpu {cpus}");
    }
    // A second run at the same time finds these cores taken, and runs where there is room.
    let other = place.taskhost("run primes").env("XDG_RUNTIME_DIR", place.path("runtime")).input("0 10\n").run();
    if workers.len() == cores {
        assert!(other.stderr.contains("cores are taken by another run"), "{}", other.stderr);
    }
    assert_eq!(other.success().text(), "4\n");
    running.end().success();
}

#[test]
fn workers_that_are_not_to_be_pinned_are_not() {
    let place = Place::new();
    let (running, workers) = two_workers(&place, "--no-pin");
    for worker in workers {
        assert_eq!(
            worker.status("Cpus_allowed_list"),
            Process::open(std::process::id()).unwrap().status("Cpus_allowed_list")
        );
    }
    running.end().success();
}

/// Each worker leads a session, and where each session has a share of the cores of its own, what a worker inherits of being nice
/// means nothing to those of others.
#[test]
fn workers_of_a_nice_run_are_nice() {
    const TEST: &str = "sandbox::workers_of_a_nice_run_are_nice";
    // Who has a share is asked of a session that is new: that of these tests may be as old as the machine, and have none.
    let new = std::process::Command::new("setsid").args(["--wait", "cat", "/proc/self/autogroup"]).output().unwrap();
    if new.stdout.is_empty() {
        return not_for_this_user(TEST, "this kernel gives sessions no shares");
    }
    let place = Place::new();
    let start = || {
        // For this thread alone, and what it starts. One that comes before others is no nicer than they are until it is above zero.
        let now = rustix::process::getpriority_process(None).unwrap();
        let nice = rustix::process::nice(7 - now.min(0)).unwrap();
        (two_workers(&place, ""), nice)
    };
    let ((running, workers), nice) = thread::scope(|scope| scope.spawn(start).join()).unwrap();
    let groups =
        || workers.iter().map(|worker| fs::read_to_string(worker.file("autogroup")).unwrap()).collect::<Vec<_>>();
    // From all who are not root the kernel takes one such request in a tenth of a second.
    eventually(&format!("each has a share of nice {nice}: {:?}", groups()), || {
        groups().iter().all(|group| group.ends_with(&format!(" nice {nice}\n")))
    });
    running.end().success();
}

/// What becomes of a run inside a container that refuses this.
fn in_a_container(refusals: &[Refusal], flags: &str) -> Outcome {
    let run = || {
        // For this thread alone, and what it starts.
        refuse(refusals).unwrap();
        Place::new().taskhost(&format!("run primes -j 1 {flags}")).input("0 10\n").run()
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap())
}

#[test]
fn what_a_container_refuses_is_done_without_or_insisted_on() {
    for (refusals, missing) in [
        ([Refusal::Namespaces], "namespaces (it was started without them), empty root (it needs a mount namespace)"),
        ([Refusal::Landlock], "Landlock (Operation not permitted (os error 1))"),
    ] {
        let said = in_a_container(&refusals, "--sandbox auto").success().stderr;
        let line = format!("this machine does not allow every wall around the workers; missing: {missing}\n");
        assert!(said.ends_with(&line), "{said}");
        let full = in_a_container(&refusals, "--sandbox full").code(6);
        let (layer, _) = missing.split_once(" (").unwrap();
        let error = format!(
            "error: this machine does not allow a wall that --sandbox full needs around the workers: {layer} ("
        );
        assert!(full.stderr.contains(&error), "{}", full.stderr);
        assert_eq!(full.text(), "");
        in_a_container(&refusals, "--sandbox off").success();
    }
}

#[test]
fn nothing_runs_without_the_filter_unless_all_walls_are_off() {
    for flags in ["", "--sandbox full"] {
        let said = in_a_container(&[Refusal::Filters], flags).code(6).stderr;
        assert!(said.contains("system-call filter (Operation not permitted"), "{said}");
    }
    let said = in_a_container(&[Refusal::Filters], "--sandbox off").success().stderr;
    assert!(said.contains("the workers had no walls around them (--sandbox off)"), "{said}");
}

#[test]
fn workers_of_root_are_users_of_their_own() {
    if !rustix::process::geteuid().is_root() {
        return not_for_this_user("sandbox::workers_of_root_are_users_of_their_own", "this is not root");
    }
    let place = Place::new();
    let (running, workers) = two_workers(&place, "");
    let mut users = BTreeSet::from(["0".to_owned()]);
    for worker in &workers {
        let ids = worker.status("Uid");
        let own = ids.split_whitespace().next().unwrap().to_owned();
        assert!(ids.split_whitespace().all(|id| id == own), "{ids}");
        assert_eq!(worker.status("Gid"), ids);
        assert!(users.insert(own), "shared: {ids}");
    }
    running.end().success();
}

/// A control group of this test, handed over to whoever is in it. Only in a hierarchy where this process is at the top: others
/// belong to somebody.
struct Group(PathBuf);

impl Group {
    fn new(name: &str) -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap();
        if !rustix::process::geteuid().is_root() || !groups.lines().any(|line| line.ends_with(":pids:/")) {
            return None;
        }
        let group = Self(PathBuf::from(format!("/sys/fs/cgroup/pids/test-{name}-{}", std::process::id())));
        fs::create_dir(&group.0).ok()?;
        let mark = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(&group.0, "trusted.delegate", b"1", mark).ok().map(|()| group)
    }

    /// Starts a program in it.
    fn start(&self, place: &Place, program: &str) -> Running {
        let script = format!("echo $$ >{}/cgroup.procs && exec \"$0\" {program}", self.0.display());
        let shell = Program::of("sh".as_ref(), &place.path("")).argument("-c").argument(script);
        shell.argument(env!("CARGO_BIN_EXE_taskhost")).start()
    }

    /// The groups below it.
    fn leaves(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(&self.0).unwrap().map(Result::unwrap);
        let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
        folders.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn workers_have_control_groups_where_these_were_handed_over() {
    let test = "sandbox::workers_have_control_groups_where_these_were_handed_over";
    let Some(group) = Group::new("leaves") else {
        return not_for_this_user(test, "a group for processes cannot be made here");
    };
    let place = Place::new();
    let mut killed = group.start(&place, "run primes -j 2");
    killed.write("0 10\n".repeat(8));
    assert_eq!(killed.line(), "4");
    let mut workers = Vec::new();
    eventually("both workers have a group", || {
        workers = killed.process.workers();
        workers.len() == 2 && group.leaves().len() == 2
    });
    for worker in &workers {
        let groups = fs::read_to_string(worker.file("cgroup")).unwrap();
        let own = groups.lines().find_map(|line| line.split_once(":pids:/")).unwrap().1;
        assert!(own.contains("/taskhost-"), "{own}");
        let limit = fs::read_to_string(format!("/sys/fs/cgroup/pids/{own}/pids.max")).unwrap();
        assert_eq!(limit, "1\n");
    }
    // Nobody removes them then, but the next run does.
    killed.process.signal(rustix::process::Signal::KILL);
    killed.end().code(137);
    let left = group.leaves();
    assert_eq!(left.len(), 2, "{left:?}");
    let mut next = group.start(&place, "run primes -j 1");
    next.write("0 10\n");
    assert_eq!(next.line(), "4");
    let now = group.leaves();
    assert!(now.len() == 1 && now.is_disjoint(&left), "{now:?} {left:?}");
    next.end().success();
    assert!(group.leaves().is_empty());
}
