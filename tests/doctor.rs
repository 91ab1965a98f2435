//! `taskhost doctor`: what it says of a machine, and that nobody gets out of a worker here.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use insta::assert_snapshot;
use regex::Regex;
use serde_json::Value;
use taskhost_os::container::{Refusal, refuse};
use tempfile::TempDir;

use crate::harness::{Outcome, Place, Program, skipped};

/// A user that has nothing to say on any machine.
const NOBODY: u32 = 65534;

fn doctor(flags: &str) -> Outcome {
    Place::new().taskhost(&format!("doctor {flags}")).run()
}

/// What `doctor` says inside a container that refuses this.
fn in_a_container(refusal: Refusal, flags: &str) -> Outcome {
    let run = || {
        // For this thread alone, and what it starts.
        refuse(&[refusal]).unwrap();
        doctor(flags)
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap())
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_slice(&outcome.stdout).unwrap()
}

/// Whether every layer is live here; says what is skipped when not.
fn has_every_layer(test: &str) -> bool {
    let found = json(&doctor("--json"));
    let works = found["sandbox"]["full"]["works"] == true;
    if !works {
        skipped(test, found["sandbox"]["full"]["what"].as_str().unwrap());
    }
    works
}

/// Without numbers, paths, and what else differs between machines.
fn masked(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, mask) in [
        (r"(?m)^(taskhost +).*$", "${1}VERSION"),
        (r"(?m)^(Linux +).*$", "${1}RELEASE"),
        (r"(?m)^(Cores +).*$", "${1}CORES"),
        (r"(?m)^(Memory +).*$", "${1}MEMORY"),
        (r"(?m)^(Limits +).*$", "${1}LIMITS"),
        (r"(?m)^( +(?:users|control groups) +).*$", "${1}STATE"),
        (r"version [0-9]+", "version N"),
        (r"[0-9.]+ (?:B|KiB|MiB|GiB|ms)", "N"),
        (r"(?m)^((?:Cache|Claims) +)[^:]*: .*$", "${1}FOLDER: STATE"),
        (r"(?ms)^Advice.*$", "Advice"),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, mask).into_owned();
    }
    text
}

#[test]
fn it_says_what_the_machine_has() {
    if !has_every_layer("doctor::it_says_what_the_machine_has") {
        return;
    }
    let outcome = doctor("").success();
    assert_eq!(outcome.stderr, "");
    assert_snapshot!(masked(outcome.text()), @"
    taskhost      VERSION
    Linux         RELEASE
    Cores         CORES
    Memory        MEMORY
    Limits        LIMITS
    Walls         namespaces          live
                  empty root          live
                  no new privileges   live
                  Landlock            live (version N)
                  no capabilities     live
                  no dumps            live
                  resource limits     live
                  system-call filter  live
                  users               STATE
                  control groups      STATE
                  --sandbox auto      runs with every layer
                  --sandbox full      runs with every layer
    Start-up      N until locked in, N until ready (`echo`, median of 9 workers)
                  N of private memory, N with its part of shared memory (PSS)
    Cache         FOLDER: STATE
    Claims        FOLDER: STATE

    Advice
    ");
}

/// The names of all fields, with what is in them.
fn fields(name: &str, value: &Value, found: &mut String) {
    let kind = match value {
        Value::Object(object) => {
            for (field, value) in object {
                fields(&format!("{name}.{field}"), value, found);
            }
            return;
        }
        Value::Array(array) => match array.first() {
            Some(first @ (Value::Object(_) | Value::Array(_))) => return fields(&format!("{name}[]"), first, found),
            _ => "list",
        },
        Value::Bool(_) => "truth",
        // What a machine may lack.
        Value::Null | Value::Number(_) | Value::String(_) => "value",
    };
    writeln!(found, "{name}: {kind}").unwrap();
}

#[test]
fn programs_get_the_same_as_people() {
    let found = json(&doctor("--json").success());
    let mut names = String::new();
    fields("", &found, &mut names);
    assert_snapshot!(names, @"
    .advice: list
    .build: value
    .cache.bytes: value
    .cache.entries: value
    .cache.folder: value
    .cache.problem: value
    .cores.affinity: value
    .cores.group: value
    .cores.logical: value
    .cores.online: value
    .cores.packages: value
    .cores.physical: value
    .cores.quota: value
    .cores.why: list
    .cores.workers: value
    .kernel: value
    .limits[].is_bytes: truth
    .limits[].name: value
    .limits[].value: value
    .memory.available_bytes: value
    .memory.group_bytes: value
    .memory.total_bytes: value
    .runtime_folder.folder: value
    .runtime_folder.problem: value
    .sandbox.auto.what: value
    .sandbox.auto.works: truth
    .sandbox.full.what: value
    .sandbox.full.works: truth
    .sandbox.layers[].live: truth
    .sandbox.layers[].name: value
    .sandbox.layers[].note: value
    .sandbox.own_groups: truth
    .sandbox.own_users: truth
    .start_up.kernel: value
    .start_up.locked_milliseconds: value
    .start_up.private_bytes: value
    .start_up.problem: value
    .start_up.proportional_bytes: value
    .start_up.ready_milliseconds: value
    .start_up.workers: value
    .taskhost: value
    .version: value
    ");
    assert_eq!(found["version"], 1);
    let start_up = &found["start_up"];
    assert!(start_up["ready_milliseconds"].as_f64() >= start_up["locked_milliseconds"].as_f64());
    assert!(start_up["proportional_bytes"].as_u64() > start_up["private_bytes"].as_u64());
}

#[test]
fn what_is_missing_is_named_with_what_can_be_done_about_it() {
    let outcome = in_a_container(Refusal::Namespaces, "").success();
    let text = outcome.text();
    assert!(text.contains("--sandbox auto      runs without namespaces, empty root"), "{text}");
    assert!(text.contains("--sandbox full      refuses to run (exit 6): namespaces is missing"), "{text}");
    assert!(text.contains("Advice        allow user namespaces: "), "{text}");
    let outcome = in_a_container(Refusal::Landlock, "--json").success();
    assert_eq!(json(&outcome)["sandbox"]["auto"]["what"], "runs without Landlock");
    // Nothing runs without the filter.
    let text = in_a_container(Refusal::Filters, "").code(6);
    assert!(text.text().contains("system-call filter  MISSING (Operation not permitted"), "{}", text.text());
    assert!(text.text().contains("Advice        no worker could be started: "), "{}", text.text());
}

#[test]
fn every_attempt_to_get_out_is_stopped() {
    let outcome = doctor("--attack").success();
    let last = outcome.text().lines().last().unwrap();
    assert!(Regex::new("^[0-9]{3} attempts: all were stopped$").unwrap().is_match(last), "{last}");
    let without_namespaces = json(&in_a_container(Refusal::Namespaces, "--attack --json").success());
    assert_eq!(without_namespaces["came_through"].as_array().unwrap().len(), 0);
    let without_filter = in_a_container(Refusal::Filters, "--attack").code(6);
    assert!(without_filter.stderr.contains("was not locked in"), "{}", without_filter.stderr);
}

/// A copy of the program where everybody can read it.
fn program_for_all() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taskhost");
    // By another process: what this one has open for writing, a child that another test is just starting would have, too,
    // and the program could not be executed for as long.
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_taskhost")).arg(&path).status().unwrap().success());
    for path in [folder.path(), &path] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    (folder, path)
}

#[test]
fn nobody_gets_out_either() {
    if !rustix::process::geteuid().is_root() {
        return skipped("doctor::nobody_gets_out_either", "only root can become nobody");
    }
    let (folder, path) = program_for_all();
    let nobody = |flags: &str| {
        let program = Program::of(path.as_os_str(), folder.path()).arguments("doctor").arguments(flags);
        program.env("XDG_CACHE_HOME", "/nowhere").env("XDG_RUNTIME_DIR", "/nowhere").by_user(NOBODY).run().success()
    };
    let text = nobody("").stdout;
    assert!(String::from_utf8(text).unwrap().contains("users               workers are the user who started them"));
    if has_every_layer("doctor::nobody_gets_out_either") {
        let found = json(&nobody("--attack --each-layer --json"));
        if std::env::var_os("TASKHOST_WRITE").is_some() {
            fs::write(PAGE, with_tables(&found)).unwrap();
        }
        compare(&found, |page| page.to_owned());
    }
}

/// The table in the documentation is what the program finds. `TASKHOST_WRITE=1` with the test above writes it.
#[test]
fn the_table_of_layers_is_current() {
    if !has_every_layer("doctor::the_table_of_layers_is_current") {
        return;
    }
    let found = json(&doctor("--attack --each-layer --json").success());
    if rustix::process::geteuid().is_root() {
        // A process that gave up the rights of root may do less to one that has them.
        compare(&found, |page| page.replace(" and more |", " |"));
    } else {
        compare(&found, |page| page.to_owned());
    }
}

#[track_caller]
fn compare(found: &Value, of: fn(&str) -> String) {
    assert_eq!(found["came_through"].as_array().unwrap().len(), 0);
    let (page, wanted) = (of(&fs::read_to_string(PAGE).unwrap()), of(&with_tables(found)));
    for (line, wanted) in page.lines().zip(wanted.lines()) {
        assert_eq!(line, wanted, "docs/security.md: as root, run doctor::nobody_gets_out_either with TASKHOST_WRITE=1");
    }
    assert_eq!(page.lines().count(), wanted.lines().count());
}

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/security.md");

/// The page with tables made of what was found. Errnos are left out: they differ between kernels.
fn with_tables(found: &Value) -> String {
    let attempts = found["attempts"].as_array().unwrap();
    let of = |aims: &'static [&str]| attempts.iter().filter(|attempt| aims.contains(&attempt["aim"].as_str().unwrap()));
    let text = |value: &Value| value.as_str().unwrap_or("NOTHING").to_owned();
    let mut outside =
        String::from("| Attempt | What it does | Stopped by | Without the filter by |\n| --- | --- | --- | --- |\n");
    for attempt in of(&["outside", "machine"]) {
        let without = &attempt["without_filter"];
        let by = text(&without["by"]);
        let more = if without["and_more"] == true && by != "several" { " and more" } else { "" };
        let (name, about, first) = (text(&attempt["name"]), text(&attempt["about"]), text(&attempt["stopped"]["by"]));
        writeln!(outside, "| `{name}` | {about} | {first} | {by}{more} |").unwrap();
    }
    let mut granted = String::from("| Attempt | What it does | Stopped by |\n| --- | --- | --- |\n");
    for attempt in of(&["granted"]) {
        let (name, about, first) = (text(&attempt["name"]), text(&attempt["about"]), text(&attempt["stopped"]["by"]));
        writeln!(granted, "| `{name}` | {about} | {first} |").unwrap();
    }
    let names: Vec<String> = of(&["inside"]).map(|attempt| format!("`{}`", text(&attempt["name"]))).collect();
    let lines: Vec<String> = names.chunks(8).map(|names| names.join(", ")).collect();
    let mut page = fs::read_to_string(PAGE).unwrap();
    for (mark, table) in [
        ("attempts on the outside", outside),
        ("attempts by granted calls", granted),
        ("attempts inside", lines.join(",\n") + ".\n"),
    ] {
        let begin = format!("<!-- {mark} -->\n");
        let (before, rest) = page.split_once(&begin).unwrap();
        let (_, after) = rest.split_once("<!-- end -->").unwrap();
        page = format!("{before}{begin}\n{table}\n<!-- end -->{after}");
    }
    page
}
