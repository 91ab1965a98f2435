//! What is to hold, as root and as nobody.

use std::os::fd::{AsFd as _, AsRawFd as _};

use taskhost_os::attacks::{self, Aim, Attempt, Outcome, Scene, TRACES, Trial, Victim};
use taskhost_os::child::End;
use taskhost_os::container::{Refusal, refuse};
use taskhost_os::sandbox::{
    Grants, Held, Insistence, Layer, Policy, Role, SandboxError, Specification, inspect, known_numbers, probe,
};
use taskhost_os::socket::{Descriptors, Socket};
use taskhost_os::spawn::{Namespaces, Program, Spawn, SpawnError, Step, WorkerUser, can_give_users};

use crate::child::{CAME_THROUGH, NO_MEMORY, Plan, REFUSED, STACK_OVERFLOW};
use crate::raw;

const BOTH: [Namespaces; 2] = [Namespaces::All, Namespaces::None];

/// The newest call that is known has the number 470.
const NUMBERS: std::ops::RangeInclusive<i64> = 0..=470;

/// `uretprobe` and `uprobe` of x86-64: newer kernels let them pass by every filter, and refuse them to a program
/// that makes them where nobody put a probe, by SIGILL or an error.
const PROBES: [i64; 2] = [335, 336];

const VIOLATION: End = End::Signal(libc::SIGSYS);

pub(crate) fn run(who: &str) {
    for finding in probe() {
        if let Err(reason) = &finding.offer {
            let required = std::env::var("TASKHOST_REQUIRE").is_ok_and(|value| value == "full");
            assert!(!required, "{} is required, and missing: {reason}", finding.layer);
            println!("SKIPPED {who}: all about {} ({reason})", finding.layer);
            return;
        }
    }
    every_layer_is_live_and_seen_from_outside();
    without_namespaces_what_is_hidden_is_named();
    each_worker_can_be_a_user_of_its_own();
    policies_decide_about_what_is_missing();
    limits_hold();
    what_a_worker_does_passes();
    threads_compile();
    memory_that_is_refused_is_no_violation();
    every_attack_is_stopped();
    every_number_that_is_not_listed_is_a_violation();
    crashes_stay_what_they_are();
    println!("what stops an attack on the outside, {who}:");
    no_attack_is_stopped_by_one_layer_alone();
}

fn receive(socket: &Socket) -> Option<String> {
    let mut buffer = [0; 4096];
    let received = socket.recv(&mut buffer, Descriptors::Refuse).expect("open");
    (!received.closed).then(|| String::from_utf8(buffer[..received.len].to_vec()).expect("text"))
}

fn every_layer_is_live_and_seen_from_outside() {
    for role in Role::ALL {
        let mut times = Vec::new();
        for _ in 0..9 {
            let (child, socket) = Plan::new(role, "wait").start(Namespaces::All);
            let said = receive(&socket).expect("it waits");
            let (micros, missing) = said.split_once(' ').expect("two fields");
            assert_eq!(missing, "", "{said}");
            times.push(micros.parse::<u64>().expect("a number"));
            let specification =
                Specification { namespaces: true, threads: 1, filtered: true, user: None, held: Held::Anything };
            let seen = inspect(child.id(), &specification).expect("it is locked in");
            assert!(seen.layers.missing().is_empty(), "{seen:?}");
            // Who made a user namespace has every right over what lives in it.
            assert!(seen.hidden.is_empty(), "{seen:?}");
            // It has other sockets.
            let wrong = Specification { held: Held::MemoryFiles, ..specification };
            assert!(inspect(child.id(), &wrong).is_err());
            let wrong = Specification { user: Some(1), ..specification };
            assert!(inspect(child.id(), &wrong).is_err());
        }
        times.sort_unstable();
        println!("locking in a worker ({role:?}) took {} µs, at most {}", times[4], times[8]);
    }
    let (child, socket) = Plan::new(Role::Execute, "wait").without(Layer::SystemCalls).start(Namespaces::All);
    assert!(receive(&socket).expect("it waits").contains("system-call filter"));
    let specification =
        Specification { namespaces: true, threads: 1, filtered: true, user: None, held: Held::Anything };
    let error = inspect(child.id(), &specification).expect_err("it has no filter").to_string();
    assert!(error.ends_with("is not locked in: Seccomp is `0` instead of `2`"), "{error}");
}

fn without_namespaces_what_is_hidden_is_named() {
    let (child, socket) = Plan::new(Role::Execute, "wait").start(Namespaces::None);
    let said = receive(&socket).expect("it waits");
    assert!(said.contains("namespaces") && said.contains("empty root") && !said.contains("Landlock"), "{said}");
    let (held, hidden): (_, &[&str]) = if rustix::process::geteuid().is_root() {
        (Held::Anything, &[])
    } else {
        (Held::MemoryFiles, &["its descriptors"])
    };
    let specification = Specification { namespaces: false, threads: 1, filtered: true, user: None, held };
    let seen = inspect(child.id(), &specification).expect("it is locked in");
    assert_eq!(seen.hidden, hidden);
}

fn what_a_worker_does_passes() {
    let sent = taskhost_os::memfd::sealed_copy(c"input", b"input!").expect("memory");
    for (role, namespaces) in Role::ALL.into_iter().flat_map(|role| BOTH.map(|namespaces| (role, namespaces))) {
        let (mut child, socket) = Plan::new(role, "work").start(namespaces);
        socket.send(b"work", &[sent.as_fd()]).expect("it listens");
        assert_eq!(receive(&socket).as_deref(), Some("worked"), "{role:?} {namespaces:?} {:?}", child.wait());
        assert_eq!(child.wait().expect("a child").end, End::Code(0));
    }
}

fn threads_compile() {
    for namespaces in BOTH {
        let (mut child, socket) = Plan::new(Role::Compile, "threads").start(namespaces);
        assert_eq!(receive(&socket).as_deref(), Some("3145728"), "{:?}", child.wait());
        assert_eq!(child.wait().expect("a child").end, End::Code(0));
    }
}

fn memory_that_is_refused_is_no_violation() {
    for role in Role::ALL {
        let (mut child, socket) = Plan::new(role, "allocate").start(Namespaces::All);
        let refused: Option<u64> = receive(&socket).and_then(|text| text.parse().ok());
        assert!(refused.is_some_and(|refused| refused > 0), "{role:?} {refused:?} {:?}", child.wait());
        assert_eq!(child.wait().expect("a child").end, End::Code(0));
    }
}

fn ended(plan: &Plan, namespaces: Namespaces) -> End {
    let (mut child, _socket) = plan.start(namespaces);
    child.wait().expect("a child").end
}

/// What comes of an attempt, behind the walls of a role without these layers.
fn outcome(role: Role, without: &[Layer], attempt: &Attempt) -> Outcome {
    let victim = Victim::open().expect("a network of its own");
    let trial = Trial { role, without: without.to_vec(), victim: victim.spot(), attempt: attempt.name, user: None };
    trial.run().expect("it is tried")
}

fn every_attack_is_stopped() {
    for attempt in attacks::all(&Scene::blank()) {
        for role in Role::ALL {
            for without in [&[][..], &[Layer::Namespaces]] {
                let outcome = outcome(role, without, &attempt);
                let is_right = match (attempt.aim, attempt.name, outcome) {
                    (Aim::Granted, "pass-descriptor", Outcome::Unwanted) => true,
                    (Aim::Granted, "take-memory", Outcome::Refused(libc::ENOMEM)) => true,
                    (Aim::Granted, "write-input" | "grow-arena", Outcome::Refused(libc::EPERM)) => true,
                    (Aim::Granted, ..) => false,
                    (.., Outcome::Killed) => true,
                    // What compiling needs, or is told that there is none of.
                    (_, "thread", Outcome::CameThrough) => role == Role::Compile,
                    (_, "clone3", Outcome::Refused(libc::ENOSYS)) => role == Role::Compile,
                    (_, name, Outcome::Refused(libc::ENOENT)) => {
                        matches!(role, Role::Compile | Role::Stream)
                            && (name.starts_with("open") || name == "create-file")
                    }
                    // Threads ask by their number, which a filter cannot tell from another's.
                    (_, "affinity", Outcome::Refused(libc::ESRCH)) => role == Role::Compile && without.is_empty(),
                    (_, "affinity", Outcome::CameThrough) => role == Role::Compile && !without.is_empty(),
                    _ => false,
                };
                assert!(is_right, "{} {role:?} without {without:?}: {outcome:?}", attempt.name);
            }
        }
    }
}

/// Each in a process of its own, which is a copy of this one: there are many.
fn every_number_that_is_not_listed_is_a_violation() {
    let (control, _other) = Socket::pair().expect("descriptors are left");
    for role in [Role::Execute, Role::Compile] {
        let known = known_numbers(role);
        for number in NUMBERS.filter(|number| !known.contains(number)) {
            let end = raw::in_fork(|| {
                Plan::new(role, "").lock(&control).expect("any Linux allows that");
                if raw::call(number, [0; 6]) < 0 { REFUSED } else { CAME_THROUGH }
            });
            let is_probe = cfg!(target_arch = "x86_64") && PROBES.contains(&number);
            assert!(
                end == VIOLATION || is_probe && [End::Signal(libc::SIGILL), End::Code(REFUSED)].contains(&end),
                "{role:?} {number}: {end:?}"
            );
        }
    }
}

fn crashes_stay_what_they_are() {
    for (role, namespaces) in Role::ALL.into_iter().flat_map(|role| BOTH.map(|namespaces| (role, namespaces))) {
        // The first process of a namespace ignores an abort's signal; the C library then executes what no program may.
        let abort = if namespaces == Namespaces::All { libc::SIGSEGV } else { libc::SIGABRT };
        for (deed, end) in [
            ("segv", End::Signal(libc::SIGSEGV)),
            ("abort", End::Signal(abort)),
            ("panic", End::Code(101)),
            ("exit42", End::Code(42)),
            ("exhaust-memory", End::Code(NO_MEMORY)),
            ("overflow-stack", End::Code(STACK_OVERFLOW)),
            ("sys", VIOLATION),
        ] {
            assert_eq!(ended(&Plan::new(role, deed), namespaces), end, "{deed} {role:?} {namespaces:?}");
        }
    }
}

/// Each layer is left out in turn, and then the filter and another, which need not be enough: that is told, so that one
/// sees which layers stand behind the filter.
fn no_attack_is_stopped_by_one_layer_alone() {
    for attempt in attacks::all(&Scene::blank()).into_iter().filter(|attempt| attempt.aim.needs_two()) {
        let is_shown = attempt.aim == Aim::Machine || !rustix::process::geteuid().is_root() || is_possible(&attempt);
        assert!(is_shown, "{} shows nothing", attempt.name);
        let mut others = Vec::new();
        for layer in Layer::ALL {
            let outcome = |without: &[Layer]| outcome(Role::Execute, without, &attempt);
            match outcome(&[layer]) {
                Outcome::Killed if layer != Layer::SystemCalls => {}
                Outcome::Refused(_) if layer == Layer::SystemCalls => continue,
                outcome => panic!("{} without {layer}: {outcome:?}", attempt.name),
            }
            if !matches!(outcome(&[layer, Layer::SystemCalls]), Outcome::Refused(_)) {
                others.push(layer.name());
            }
        }
        let behind = if others.is_empty() { "more than one other".to_owned() } else { others.join(", ") };
        println!("  {:<22} the filter, and behind it {behind}", attempt.name);
    }
}

/// Whether it comes through where there are no walls at all: otherwise it shows nothing that it is stopped by some.
fn is_possible(attempt: &Attempt) -> bool {
    let victim = Victim::open().expect("a network of its own");
    let (control, _other) = Socket::pair().expect("descriptors are left");
    let file = || taskhost_os::memfd::create_sized(c"arena", 4096).expect("memory");
    let (arena, input) = (file(), file());
    let end = raw::in_fork(|| {
        // What it does to the machine shall stay in here.
        let flags = libc::CLONE_NEWNS | libc::CLONE_NEWUTS;
        assert_eq!(raw::call(libc::SYS_unshare, [flags as usize, 0, 0, 0, 0, 0]), 0);
        let private = (libc::MS_REC | libc::MS_PRIVATE) as usize;
        assert_eq!(raw::call(libc::SYS_mount, [0, c"/".as_ptr().addr(), 0, private, 0, 0]), 0);
        let scene = Scene::prepare(victim.spot(), control.as_fd().as_raw_fd(), arena, input);
        let attempt = attacks::by_name(&scene, attempt.name).expect("there is one of that name");
        match attempt.make(&scene) {
            Ok(()) => CAME_THROUGH,
            Err(_) => REFUSED,
        }
    });
    for path in TRACES {
        let _ = rustix::fs::unlink(path);
        let _ = rustix::fs::rmdir(path);
    }
    // A program that was executed instead ends like this.
    [End::Code(CAME_THROUGH), End::Code(0)].contains(&end)
}

/// Needs a coordinator that is root.
fn each_worker_can_be_a_user_of_its_own() {
    let Some(user) = WorkerUser::for_slot(7) else { panic!("seven is no large number") };
    let (own, other) = Socket::pair().expect("descriptors are left");
    let argument = Plan::new(Role::Execute, "wait").argument();
    let program = &Program::ProcSelfExe;
    let namespaces = Namespaces::All;
    let spawn = Spawn { args: &[&argument], program, namespaces, core: None, socket: other.as_fd() };
    if !can_give_users() {
        assert!(matches!(spawn.start_as(user), Err(SpawnError::NamespacesRefused { step: Step::User, .. })));
        return;
    }
    let mut child = spawn.start_as(user).expect("root may");
    drop(other);
    assert!(receive(&own).is_some_and(|said| said.ends_with(' ')), "all layers are live");
    let specification =
        Specification { namespaces: true, threads: 1, filtered: true, user: Some(user.number()), held: Held::Anything };
    let seen = inspect(child.id(), &specification).expect("it is locked in");
    assert!(seen.hidden.is_empty() && seen.layers.missing().is_empty(), "{seen:?}");
    assert!(inspect(child.id(), &Specification { user: None, ..specification }).is_err());
    // The change was the child's alone, and this process can still start others and end this one.
    assert!(rustix::process::geteuid().is_root() && rustix::thread::capabilities(None).is_ok());
    assert_eq!(rustix::process::dumpable_behavior(), Ok(rustix::process::DumpableBehavior::Dumpable));
    child.kill().expect("it runs");
    assert_eq!(child.wait().expect("a child").end, End::Signal(libc::SIGKILL));
}

/// Inside a container whose own filter refuses Landlock, and all namespaces.
fn policies_decide_about_what_is_missing() {
    let (control, _other) = Socket::pair().expect("descriptors are left");
    let lock = |insistence, without: &[Layer]| {
        let policy = Policy { insistence, without: without.to_vec() };
        let grants = Grants { control: control.as_fd(), slots: 1, file_bytes: None, threads: 1 };
        taskhost_os::sandbox::lock(Role::Execute, &policy, &grants)
    };
    let refused = |insistence| {
        let end = raw::in_fork(|| {
            refuse(&[Refusal::Landlock, Refusal::Namespaces]).expect("filters");
            match lock(insistence, &[]) {
                Ok(layers) if !layers.is_live(Layer::Landlock) && layers.is_live(Layer::SystemCalls) => 0,
                Ok(_) => 1,
                Err(SandboxError::Missing(missing)) if missing.layer == Layer::Landlock => 3,
                Err(SandboxError::Missing(missing)) if missing.layer == Layer::Namespaces => 4,
                Err(_) => 2,
            }
        });
        if let End::Code(code) = end { code } else { panic!("{end:?}") }
    };
    assert_eq!(refused(Insistence::Auto), 0, "what is left of the walls holds");
    assert_eq!(refused(Insistence::Full), 4, "a copy of this process has no namespaces");
    assert_eq!(refused(Insistence::Off), 1, "nothing is done");
    let without_filter = raw::in_fork(|| {
        refuse(&[Refusal::Filters]).expect("filters");
        match lock(Insistence::Auto, &[]) {
            Err(SandboxError::Missing(missing)) if missing.layer == Layer::SystemCalls => 0,
            _ => 1,
        }
    });
    assert_eq!(without_filter, End::Code(0), "never without the filter");
    let orphan = raw::in_fork(|| {
        let (control, other) = Socket::pair().expect("descriptors are left");
        drop(other);
        let grants = Grants { control: control.as_fd(), slots: 1, file_bytes: None, threads: 1 };
        let result = taskhost_os::sandbox::lock(Role::Execute, &Policy::default(), &grants);
        i32::from(!matches!(result, Err(SandboxError::Step { step: "find its coordinator", .. })))
    });
    assert_eq!(orphan, End::Code(0), "a worker without a coordinator does not begin");
}

/// The limits that are left to a worker, tried out.
fn limits_hold() {
    let (control, _other) = Socket::pair().expect("descriptors are left");
    let end = raw::in_fork(|| {
        let policy = Policy { insistence: Insistence::Auto, without: vec![Layer::SystemCalls] };
        // What this test was started with; a worker starts with nothing.
        assert_eq!(raw::call(libc::SYS_close_range, [20, u32::MAX as usize, 0, 0, 0, 0]), 0);
        let file = tempfile::tempfile().expect("a temporary folder");
        let grants = Grants { control: control.as_fd(), slots: 2, file_bytes: Some(1 << 20), threads: 1 };
        taskhost_os::sandbox::lock(Role::Execute, &policy, &grants).expect("any Linux allows that");
        let mut copies = Vec::new();
        while let Ok(copy) = file.try_clone() {
            copies.push(copy);
        }
        // The slots, a message's, a batch's two; and perhaps some in gaps below.
        assert!((12..20).contains(&copies.len()), "{} descriptors", copies.len());
        assert_eq!(rustix::io::pwrite(&file, b"x", (1 << 20) - 1), Ok(1));
        // The first process of a namespace would get an error instead.
        let _ = rustix::io::pwrite(&file, b"x", 1 << 20);
        0
    });
    assert_eq!(end, End::Signal(libc::SIGXFSZ));
}
