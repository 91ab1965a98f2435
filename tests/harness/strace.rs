//! System calls, counted by strace: the same on every machine, which times are not.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::process::{Command, Stdio};

use super::{Place, Program, skipped};

/// System calls of all processes of a run, by name; `total` is all of them.
pub(crate) type Calls = BTreeMap<String, u64>;

/// Whether strace is there and may trace. Says so when not.
pub(crate) fn can_trace(test: &str) -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let works = strace.status().is_ok_and(|status| status.success());
    if !works {
        skipped(test, "strace is not there, or may not trace: apt-get install strace");
    }
    works
}

/// The system calls of the command with these arguments.
#[track_caller]
pub(crate) fn calls(place: &Place, arguments: &str) -> Calls {
    let traced = Program::of(OsStr::new("strace"), &place.path("")).arguments("-f -qq -c -o calls");
    traced.argument(env!("CARGO_BIN_EXE_taskhost")).arguments(arguments).run().success();
    counted(&place.text("calls"))
}

/// The table that strace writes.
#[track_caller]
pub(crate) fn counted(table: &str) -> Calls {
    // `% time, seconds, usecs/call, calls, errors if any, name`
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        Some(((*words.last()?).to_owned(), words.get(3)?.parse().ok()?))
    };
    let calls: Calls = table.lines().filter_map(row).collect();
    assert!(calls.contains_key("execve") && calls.contains_key("total"), "strace saw nothing: {calls:?}");
    calls
}
