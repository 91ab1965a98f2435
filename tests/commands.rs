//! Commands: WASI programs that read an item from standard input and write its result to standard output.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;

use crate::harness::{Outcome, Place, Program};

pub(crate) fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernels/program.wat")
}

/// The program of these tests, with flags, and with arguments of its own.
fn command(place: &Place, flags: &str, arguments: &str) -> Program {
    run_file(place, program(), flags, arguments)
}

fn run_file(place: &Place, program: PathBuf, flags: &str, arguments: &str) -> Program {
    place.taskhost("run").argument(program).arguments(flags).argument("--").arguments(arguments)
}

/// The same program for preview 2, by way of the adapter that everybody uses.
pub(crate) fn component(place: &Place) -> PathBuf {
    let adapter = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER;
    let mut encoder = wit_component::ComponentEncoder::default()
        .module(&wat::parse_file(program()).unwrap())
        .unwrap()
        .adapter("wasi_snapshot_preview1", adapter)
        .unwrap();
    place.write("component.wasm", encoder.encode().unwrap())
}

/// Runs it on lines that are piped in.
fn run(flags: &str, arguments: &str, lines: &str) -> Outcome {
    command(&Place::new(), flags, arguments).input(lines).run()
}

const LINES: &str = "--split lines";

#[test]
fn a_file_is_standard_input_and_standard_output_is_the_result() {
    let place = Place::new();
    let large = "0123456789abcde\n".repeat(20_000);
    place.write("in.txt", &large);
    place.write("empty.txt", "");
    for name in ["in.txt", "empty.txt"] {
        let outcome = place.taskhost("run").argument(program()).arguments(name).run().success();
        assert_eq!(outcome.stdout, place.read(name), "{name}");
    }
    let outcome = run("", "", "through a pipe").success();
    assert_eq!(outcome.text(), "through a pipe");
}

#[test]
fn each_item_gets_a_fresh_instance_whatever_the_split() {
    let lines: String = (0..3000).map(|line| format!("{line}\n")).collect();
    for workers in [1, 2] {
        let outcome = run(&format!("{LINES} -j {workers}"), "", &lines).success();
        assert_eq!(outcome.text(), lines);
    }
    assert_eq!(run(LINES, "n", "a\nb\nc\n").success().text(), "1\n1\n1\n");
    assert_eq!(run("--split chunks:4 --merge concat", "", "abcdefghij").success().text(), "abcdefghij");
    assert_eq!(run("--split lines --merge concat --fresh item", "", "a\nb\n").success().text(), "ab");
}

#[test]
fn arguments_come_after_two_dashes() {
    let place = Place::new();
    place.write("prog.wat", std::fs::read(program()).unwrap());
    let outcome = place.taskhost("run ./prog.wat -- a -j --split").argument("two words").argument("").input("").run();
    assert_eq!(outcome.success().text(), "prog.wat\0a\0-j\0--split\0two words\0\0");
}

#[test]
fn the_environment_says_which_item_it_is() {
    let place = Place::new();
    place.write("a.txt", "x\nyy\nz\n");
    let outcome =
        command(&place, "a.txt --split lines --merge concat --env K=V --env EMPTY= -j 1", "e").run().success();
    let expected: String =
        [0, 2, 5].map(|at| format!("TASKHOST_ITEM={at}\0TASKHOST_SOURCE=a.txt\0K=V\0EMPTY=\0")).concat();
    assert_eq!(outcome.text(), expected);
}

#[test]
fn the_header_stands_before_each_item() {
    let outcome = run("--split lines --merge concat --header", "", "name,size\na,1\nb,2\n").success();
    assert_eq!(outcome.text(), "name,size\na,1name,size\nb,2");
}

#[test]
fn an_exit_code_is_a_failed_item_with_what_it_printed() {
    let place = Place::new();
    let flags = "--split lines --on-error skip --errors errors.jsonl -j 1";
    let outcome = command(&place, flags, "x").input("first\nsecond\n").run().code(3);
    assert_eq!(outcome.text(), "");
    assert_snapshot!(outcome.messages(), @r"
    error: -, item 0 (at byte 0): the program ended with exit code 7: first
    error: -, item 1 (at byte 6): the program ended with exit code 7: second
    2 items, 2 failed, 13 B in, 0 B out, TIME, WORKERS, SPEED-UP
    failed: output written without 2 items: standard output
    ");
    let errors = place.text("errors.jsonl");
    assert!(errors.contains(r#""verdict":"kernel-error","blame":"#), "{errors}");
    assert!(errors.contains(r#""message":"the program ended with exit code 7: first""#), "{errors}");
    let outcome = run("", "q", "").code(3);
    assert!(outcome.stderr.contains("the program ended with exit code 9\n"), "{}", outcome.stderr);
    let outcome = run("", "h", "").code(3);
    assert!(outcome.stderr.contains("the program ended with exit code 200\n"), "{}", outcome.stderr);
    assert_eq!(run("", "z", "exits with 0").success().text(), "exits with 0");
}

#[test]
fn much_that_it_printed_is_cut_in_front() {
    let place = Place::new();
    place.write("in.txt", format!("begin{}end", "é".repeat(20_000)));
    let outcome = command(&place, "in.txt --errors errors.jsonl", "x").run().code(3);
    assert!(outcome.stderr.contains("éend\n") && !outcome.stderr.contains("begin"), "{}", outcome.stderr);
    assert!(place.text("errors.jsonl").len() < 5000);
}

#[test]
fn a_trap_is_one_as_for_any_kernel_and_says_its_last_words() {
    let outcome = run("", "t", "").code(3);
    let wanted = "the kernel trapped: wasm `unreachable` instruction executed; it last said: out of luck";
    assert!(outcome.stderr.contains(wanted), "{}", outcome.stderr);
}

#[test]
fn what_it_prints_to_standard_error_becomes_log_lines() {
    let outcome = run(LINES, "s", "careful\n").success();
    assert!(outcome.stderr.contains("[-:0] info careful\n"), "{}", outcome.stderr);
    assert_eq!(outcome.text(), "\n");
}

#[test]
fn limits_hold() {
    let outcome = run("--max-output 100K", "o", "").code(3);
    assert!(outcome.stderr.contains("more than the 102400 that --max-output allows"), "{}", outcome.stderr);
    let outcome = run("--timeout 100ms", "l", "").code(3);
    assert!(outcome.stderr.contains("--timeout"), "{}", outcome.stderr);
    let outcome = run("--fuel 100000", "l", "").code(3);
    assert!(outcome.stderr.contains("--fuel"), "{}", outcome.stderr);
    assert_eq!(run("--fuel 100000 --split lines", "", "a\nb\n").success().text(), "a\nb\n");
    let outcome = run("--memory 64KiB", "", "").code(4);
    assert!(outcome.stderr.contains("--memory"), "{}", outcome.stderr);
}

#[test]
fn random_numbers_and_clocks_repeat_unless_they_may_differ() {
    let lines = "a\nb\nc\n";
    let draw = |flags: &str| run(&format!("--split lines --merge concat {flags}"), "r", lines).success();
    let first = draw("-j 1").stdout;
    assert_eq!(first.len(), 48);
    assert_eq!(first, draw("-j 2 --batch 1").stdout);
    assert_ne!(first[..16], first[16..32]);
    let real = draw("--allow clock,random");
    assert_ne!(first, real.stdout);
    assert!(real.stderr.contains("not reproducible: the kernel had --allow clock,random, so"), "{}", real.stderr);
    let times = |flags: &str| run(&format!("--split lines --merge concat -j 1 {flags}"), "c", lines).success().stdout;
    let standing = times("");
    assert_eq!((&standing[..8], &standing[..8]), (&standing[8..16], &standing[16..]));
    let real = times("--allow clock");
    assert_ne!(real[..8], real[8..16]);
}

#[test]
fn broadcast_data_is_a_file() {
    let place = Place::new();
    let words = "a word\n".repeat(20_000);
    place.write("words.txt", &words);
    place.write("other.txt", "x");
    let flags = "--broadcast other=other.txt --broadcast words=words.txt --split lines --merge concat";
    for program in [program(), component(&place)] {
        let run = |flags: &str, arguments: &str, input: &str| {
            run_file(&place, program.clone(), flags, arguments).input(input).run().success().stdout
        };
        assert!(run(flags, "b", "1\n2\n") == words.repeat(2).into_bytes());
        let listed = run(flags, "d", "1\n");
        assert!(["other", "words"].iter().all(|name| contains(&listed, name)), "{listed:?}");
        // ENOENT, and without any data EBADF: there is no folder.
        assert_eq!(run("--broadcast other=other.txt", "b", ""), [44, 0, 0, 0]);
        assert_eq!(run("", "b", ""), [8, 0, 0, 0]);
    }
}

/// What is granted comes first, so that the folder of the data is the second one.
#[test]
fn broadcast_data_lie_beside_the_folders_of_a_component() {
    let place = Place::new();
    place.write("words.txt", "of all workers");
    place.write("granted/words", "of a folder");
    let program = component(&place);
    let run = |flags: &str| run_file(&place, program.clone(), flags, "b").input("").run().success().text().to_owned();
    assert_eq!(run("--broadcast words=words.txt"), "of all workers");
    assert_eq!(run("--broadcast words=words.txt --dir granted"), "of a folder");
    let outcome = command(&place, "--broadcast words=words.txt --dir granted", "b").input("").run().code(2);
    assert!(outcome.stderr.contains("no --broadcast with --dir here: a WASI preview 1 program"), "{}", outcome.stderr);
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_program_for_preview_2_is_a_program() {
    let place = Place::new();
    let program = component(&place);
    let outcome = run_file(&place, program.clone(), "--split lines --merge concat -j 2", "a --flag").input("1\n2\n");
    assert_eq!(outcome.run().success().text(), "component.wasm\0a\0--flag\0".repeat(2));
    let outcome = run_file(&place, program.clone(), "--env K=V", "e").input("").run().success();
    assert_eq!(outcome.text(), "TASKHOST_ITEM=0\0TASKHOST_SOURCE=-\0K=V\0");
    let lines: String = (0..300).map(|line| format!("{line}\n")).collect();
    assert_eq!(run_file(&place, program.clone(), LINES, "").input(lines.as_str()).run().success().text(), lines);
    assert_eq!(run_file(&place, program.clone(), LINES, "n").input("a\nb\n").run().success().text(), "1\n1\n");
    // It can say that it failed, and not with which number.
    let outcome = run_file(&place, program.clone(), "", "x").input("no good").run().code(3);
    assert!(outcome.stderr.contains("the program ended with exit code 1: no good\n"), "{}", outcome.stderr);
    let outcome = run_file(&place, program, "", "t").input("").run().code(3);
    assert!(outcome.stderr.contains("it last said: out of luck"), "{}", outcome.stderr);
}

#[test]
fn a_failed_item_is_run_again_with_all_that_it_had() {
    let place = Place::new();
    command(&place, "--capture kept --env K=V", "x --flag").input("no good").run().code(3);
    let capsule = place.files().into_iter().find(|name| name.starts_with("kept/")).unwrap();
    let outcome = place.taskhost("replay").argument(capsule).run().code(3);
    assert!(outcome.stderr.contains("exit code 7: no good\n"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("as before"), "{}", outcome.stderr);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = Place::new();
    place.write("in.txt", "x\n");
    let refused = |flags: &str, says: &str| {
        let outcome = place.taskhost("run").arguments(flags).run().code(2);
        assert!(outcome.stderr.contains(says), "{flags}: {}", outcome.stderr);
    };
    refused("echo in.txt -- x", "only a command, a kernel that is a WASI program");
    refused("echo in.txt --env K=V", "only a command, a kernel that is a WASI program");
    refused("echo in.txt --allow network", "invalid value 'network'");
    refused("echo in.txt --broadcast words", "write NAME=PATH");
    refused("echo in.txt --broadcast a=in.txt --broadcast a=in.txt", "--broadcast a is given twice");
    let outcome = command(&place, "in.txt --config a=b", "").run().code(2);
    assert!(outcome.stderr.contains("a command has no settings"), "{}", outcome.stderr);
    let outcome = command(&place, "in.txt", "").argument(OsStr::from_bytes(b"\xff")).run().code(2);
    assert!(outcome.stderr.contains("is not UTF-8"), "{}", outcome.stderr);
    let outcome = command(&place, "in.txt", "").argument("x".repeat(20_000)).run().code(2);
    assert!(outcome.stderr.contains("more than 16 KiB together"), "{}", outcome.stderr);
    let outcome = place.taskhost("run echo in.txt --broadcast a=missing").run().code(5);
    assert!(outcome.stderr.contains("--broadcast a: "), "{}", outcome.stderr);
}

#[test]
fn kinds_are_told_apart() {
    let place = Place::new();
    let start = r#"(func (export "_start"))"#;
    let memory = r#"(memory (export "memory") 1)"#;
    let raw = r#"(func (export "taskhost_alloc") (param i32) (result i32) i32.const 0)
        (func (export "taskhost_process") (param i32 i32) (result i64) i64.const 0)"#;
    place.write("both.wat", format!("(module {memory} {start} {raw})"));
    place.write("no-memory.wat", format!("(module {start})"));
    place.write("takes.wat", format!(r#"(module {memory} (func (export "_start") (param i32)))"#));
    place.write("asks.wat", format!(r#"(module (import "env" "gettimeofday" (func)) {memory} {start})"#));
    place.write("library.wat", format!(r#"(module {memory} (func (export "f")))"#));
    let says = |arguments: &str, code: i32| {
        let outcome = place.taskhost(arguments).run().code(code);
        format!("{}{}", outcome.text().lines().next().unwrap_or_default(), outcome.stderr.trim_end())
    };
    assert_snapshot!(says("inspect both.wat", 0), @"raw module: it exports memory, taskhost_alloc and taskhost_process; it is a WASI program as well: --kind command runs it as one");
    assert_snapshot!(says("inspect both.wat --kind command", 0), @"command: a WASI preview 1 program, it exports _start; an item is its standard input");
    assert_snapshot!(says("inspect no-memory.wat", 4), @"error: no-memory.wat: its export memory is missing, but a WASI program has memory: memory");
    assert_snapshot!(says("inspect takes.wat", 4), @"error: takes.wat: its export _start is (i32) -> (), but a WASI program has _start: () -> ()");
    assert!(says("inspect asks.wat", 4).contains("the kernel imports env.gettimeofday, which is not offered"));
    assert!(says("inspect library.wat --kind command", 4).contains("--kind command wants a WASI program"));
    assert!(says("inspect echo --kind command", 4).contains("--kind command wants a WASI program"));
    assert!(says("inspect both.wat --kind component", 4).contains("--kind component wants a component"));
}
