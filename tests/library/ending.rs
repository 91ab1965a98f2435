//! How pools end: without leaving anything, whatever they were at; and what happens where no worker can be started.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use taskhost::{Error, Pool, TaskError};

use crate::Scenario;
use crate::kernels::{bytes, pool, primes};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("closing_finishes_what_was_submitted", closing_finishes_what_was_submitted),
    ("dropping_gives_up_what_is_at_work", dropping_gives_up_what_is_at_work),
    ("a_panicking_owner_leaves_nothing", a_panicking_owner_leaves_nothing),
    ("many_pools_leave_nothing", many_pools_leave_nothing),
    ("forgetting_the_entry_is_an_error", forgetting_the_entry_is_an_error),
    ("a_worker_that_goes_astray_ends", a_worker_that_goes_astray_ends),
    ("another_program_can_be_the_worker", another_program_can_be_the_worker),
    ("a_program_that_is_no_worker_is_named", a_program_that_is_no_worker_is_named),
    ("a_kernel_that_is_none_is_refused", a_kernel_that_is_none_is_refused),
];

/// Set for a child that does not call `run_if_worker`.
const FORGETFUL: &str = "TASKHOST_TEST_FORGETFUL";

fn closing_finishes_what_was_submitted() {
    let pool = pool();
    let kernel = primes(&pool);
    let tasks: Vec<_> =
        (0..20_u64).map(|_| kernel.submit::<_, u64>(&(0_u64, 20_000_u64)).expect("the pool is open")).collect();
    pool.close();
    for task in tasks {
        assert_eq!(task.wait(), Ok(2262));
    }
    assert!(matches!(kernel.submit::<_, u64>(&(0_u64, 1_u64)), Err(Error::Closed)));
    assert_eq!(kernel.map::<_, u64>([(0_u64, 1_u64)]).collect::<Vec<_>>(), [Err(TaskError::Closed)]);
}

fn dropping_gives_up_what_is_at_work() {
    let pool = pool();
    let never = bytes(&pool, "never-returns");
    let task = never.submit_bytes(b"7").expect("the pool is open");
    drop(pool);
    assert!(matches!(task.wait(), Err(TaskError::Closed | TaskError::Cancelled)));
}

fn a_panicking_owner_leaves_nothing() {
    let before = settled();
    let before_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(|| {
        let pool = pool();
        let never = bytes(&pool, "never-returns");
        let _task = never.submit_bytes(b"7").expect("the pool is open");
        let mut map = primes(&pool).map::<_, u64>((0_u64..).map(|number| (number, number + 1)));
        assert!(map.next().is_none(), "which it is not");
    }));
    std::panic::set_hook(before_hook);
    assert!(result.is_err());
    assert_eq!(settled(), before);
}

/// Pools that are made and dropped: as many as CI has time for, or as it is asked for.
fn pools() -> u64 {
    std::env::var("TASKHOST_POOLS").ok().and_then(|count| count.parse().ok()).unwrap_or(100)
}

/// Bytes that many pools may add to the memory of this process: less than a hundredth of what one of them has.
const GROWTH: u64 = 8 << 20;

fn many_pools_leave_nothing() {
    let once = |round: u64| {
        let pool = pool();
        let result = primes(&pool).submit::<_, u64>(&(round, round + 2)).expect("the pool is open").wait();
        assert!(result.is_ok(), "{result:?}");
    };
    // The first ones open what is opened once, and fill what is kept for the next.
    (0..5).for_each(once);
    let (before, memory) = (settled(), memory());
    (0..pools()).for_each(once);
    assert_eq!(settled(), before);
    let after = self::memory();
    assert!(after < memory + GROWTH, "{memory} bytes before, {after} after");
}

/// Bytes of memory of this process that no other has.
fn memory() -> u64 {
    taskhost_os::usage::shares(taskhost_os::process_id::ProcessId::current()).expect("this process").private
}

/// Whether this process is one that does not call `run_if_worker`.
pub(crate) fn forgets_the_entry() -> bool {
    std::env::var_os(FORGETFUL).is_some() || std::env::args().nth(1).is_some_and(|argument| argument == "--forgetful")
}

/// What such a process does: it makes a pool.
pub(crate) fn forgetful() {
    let pool = Pool::new();
    assert!(matches!(pool, Err(Error::NoWorkerEntry)), "{pool:?}");
    let text = pool.expect_err("as was just seen").to_string();
    assert!(text.contains("run_if_worker();"), "{text}");
    let shown = format!("{:?}", Pool::new().expect_err("as before"));
    assert_eq!(shown, text, "what a `main` shows that returns it");
}

fn forgetting_the_entry_is_an_error() {
    let program = std::env::current_exe().expect("this program has a file");
    let status = Command::new(program).arg("--forgetful").env_remove("TASKHOST_WORKER").status();
    assert!(status.expect("it can be started").success());
}

fn a_worker_that_goes_astray_ends() {
    let program = std::env::current_exe().expect("this program has a file");
    let child = Command::new(program).arg("__worker").env(FORGETFUL, "1").stderr(Stdio::null()).status();
    assert_eq!(child.expect("it can be started").code(), Some(70), "it makes no pool");
}

fn another_program_can_be_the_worker() {
    let Some(program) = option_env!("CARGO_BIN_EXE_taskhost") else { return };
    let pool = Pool::builder().workers(1).pin(false).worker_program(program).build().expect("it is there");
    assert_eq!(primes(&pool).submit::<_, u64>(&(0_u64, 10_u64)).expect("the pool is open").wait(), Ok(4));
}

fn a_program_that_is_no_worker_is_named() {
    let missing = Pool::builder().worker_program("/no/such/program").build();
    assert!(matches!(&missing, Err(Error::WorkerProgram { .. })), "{missing:?}");
    let wrong = Pool::builder().worker_program("/bin/true").cache(None).build().expect("it is a program");
    let error = wrong.kernel(b"(module)".as_slice()).expect_err("it says nothing");
    assert!(matches!(error, Error::Start(_) | Error::Refused { .. }), "{error}");
}

fn a_kernel_that_is_none_is_refused() {
    let pool = pool();
    assert!(matches!(pool.kernel("no/such/file.wasm"), Err(Error::Kernel { .. })));
    assert!(matches!(pool.kernel(b"no kernel".as_slice()), Err(Error::Refused { .. })));
    assert_eq!(primes(&pool).submit::<_, u64>(&(0_u64, 10_u64)).expect("it goes on").wait(), Ok(4));
}

/// Threads, descriptors, children and temporary files of this process, when the threads that nobody waits for are gone:
/// this one, and that which watches over the scenario.
fn settled() -> [usize; 4] {
    let began = Instant::now();
    while count("/proc/self/task") > 2 && began.elapsed() < Duration::from_secs(10) {
        thread::yield_now();
    }
    [count("/proc/self/task"), count("/proc/self/fd"), children(), temporary_files()]
}

fn count(folder: &str) -> usize {
    fs::read_dir(folder).expect("a folder of /proc").count()
}

/// Processes whose parent is this one, zombies included.
fn children() -> usize {
    processes().count()
}

/// The workers among them.
pub(crate) fn workers() -> usize {
    let is_worker =
        |path: &PathBuf| fs::read(path.join("cmdline")).is_ok_and(|command| command.ends_with(b"__worker\0"));
    processes().filter(is_worker).count()
}

fn processes() -> impl Iterator<Item = PathBuf> {
    let own = std::process::id().to_string();
    let parent = |path: &Path| {
        let stat = fs::read_to_string(path.join("stat")).ok()?;
        // Behind the name, which may hold anything: the state, and the parent.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1).map(str::to_owned)
    };
    let processes = fs::read_dir("/proc").expect("/proc").flatten().map(|process| process.path());
    processes.filter(move |path| parent(path).is_some_and(|parent| parent == own))
}

fn temporary_files() -> usize {
    let files = fs::read_dir(std::env::temp_dir()).expect("a folder").flatten();
    files.filter(|file| file.file_name().to_string_lossy().contains("taskhost")).count()
}
