//! Every wrong shape, of kernels and of what they are given: each has a message of its own, and its exit code.

use std::collections::BTreeMap;

use crate::harness::Place;
use crate::invoke::library;

/// What is wrong, how it is run, and what comes of it.
struct Wrong {
    what: &'static str,
    /// Written as `kernel.wasm`; none: the library of functions.
    kernel: Option<fn() -> Vec<u8>>,
    flags: &'static str,
    input: fn() -> Vec<u8>,
    code: i32,
    says: &'static str,
}

const fn kernel(what: &'static str, kernel: fn() -> Vec<u8>, code: i32, says: &'static str) -> Wrong {
    Wrong { what, kernel: Some(kernel), flags: "--split lines", input: || b"1\n".to_vec(), code, says }
}

const fn line(what: &'static str, flags: &'static str, input: fn() -> Vec<u8>, says: &'static str) -> Wrong {
    Wrong { what, kernel: None, flags, input, code: 3, says }
}

/// So many bytes of a string.
const LONG: usize = 100 << 20;

const WRONG: &[Wrong] = &[
    kernel("a missing export", || raw("", ""), 4, "it exports memory, taskhost_process; a kernel is a component"),
    kernel(
        "a program without memory",
        || br#"(module (func (export "_start")))"#.to_vec(),
        4,
        "its export memory is missing, but a WASI program has memory: memory",
    ),
    kernel(
        "a wrong signature",
        || raw(ALLOC, r#"(func (export "taskhost_combine") (param i32) (result i64) (i64.const 0))"#),
        4,
        "its export taskhost_combine is (i32) -> i64, but a raw module has taskhost_combine: (i32, i32) -> i64",
    ),
    kernel(
        "an import that is not offered",
        || program(r#"(import "env" "gettimeofday" (func (param i32 i32) (result i32)))"#, ""),
        4,
        "imports env.gettimeofday, which is not offered",
    ),
    kernel(
        "an import of another type",
        || program(r#"(import "wasi_snapshot_preview1" "fd_close" (func (param i64)))"#, ""),
        4,
        "fd_close",
    ),
    Wrong {
        flags: "--invoke run",
        ..kernel("an interface that is not offered", library::needy, 4, "imports example:needy/helper, which is not")
    },
    // It is there, and gives nothing: error number 8, a bad descriptor.
    kernel(
        "WASI without a grant",
        || {
            program(
                OPEN,
                "(call $exit (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1)
            (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 64)))",
            )
        },
        3,
        "the program ended with exit code 8",
    ),
    Wrong { flags: "--invoke name", ..kernel("a result that is no UTF-8", names_badly, 3, "invalid utf-8") },
    Wrong { flags: "--invoke name", ..kernel("a result outside the memory", names_outside, 3, "out of bounds") },
    line(
        "a line that is no UTF-8",
        "--invoke greet",
        || b"\"ab\xffc\"\n".to_vec(),
        "the line is not UTF-8, from byte 3",
    ),
    line(
        "half of a character",
        "--invoke greet",
        || b"\"\\ud800\"\n".to_vec(),
        "the escape \\ud800 is half of a character",
    ),
    line("no JSON", "--invoke greet", || b"hello\n".to_vec(), "this is not JSON, at byte 0"),
    line("JSON that ends early", "--invoke greet", || b"\"hel\n".to_vec(), "unexpected end of file"),
    line("two values", "--invoke greet", || b"\"a\" \"b\"\n".to_vec(), "already contains one root element"),
    line("no line", "--invoke greet", || b"\n".to_vec(), "the line is empty, but the arguments were expected"),
    line("another type", "--invoke greet", || b"7\n".to_vec(), "argument name: expected a string, but 7 came"),
    line("a list that is taken for the arguments", "--invoke longest", || b"[\"a\",\"b\"]\n".to_vec(), "[["),
    line("an argument too many", "--invoke math.add", || b"[1,2,3]\n".to_vec(), "expected 2 arguments, but more came"),
    line("a name that is none", "--invoke math.add", || b"{\"a\":1,\"c\":2}\n".to_vec(), "there is no argument \"c\""),
    line(
        "a name twice",
        "--invoke math.add",
        || b"{\"a\":1,\"a\":1,\"b\":2}\n".to_vec(),
        "argument a: it is there twice",
    ),
    line(
        "a number out of range",
        "--invoke math.add",
        || b"[2147483648,1]\n".to_vec(),
        "a whole number from -2147483648 to 2147483647, but 2147483648 came",
    ),
    line("a number with a fraction", "--invoke math.add", || b"[1.5,1]\n".to_vec(), "with a fraction or an exponent"),
    line("a negative number", "--invoke is-prime", || b"-1\n".to_vec(), "from 0 to 18446744073709551615, but -1 came"),
    line("a float out of range", "--invoke flip", || b"{\"x\":1e999,\"y\":1}\n".to_vec(), "1e999"),
    line(
        "NaN that is not quoted",
        "--invoke flip",
        || b"{\"x\":NaN,\"y\":1}\n".to_vec(),
        "at byte 5: unexpected char: 'N'",
    ),
    line("NaN for an integer", "--invoke math.add", || b"[\"NaN\",1]\n".to_vec(), "but the string \"NaN\" came"),
    line(
        "deep nesting",
        "--invoke longest",
        || b"[".repeat(100_000),
        "argument words[0]: expected a string, but an array",
    ),
    line(
        "deep nesting that ends",
        "--invoke same",
        || [b"[".repeat(100_000), b"]".repeat(100_000)].concat(),
        "argument value: expected an object, a record {",
    ),
    line(
        "a long string for little output",
        "--invoke greet --max-output 1MiB",
        long_string,
        "1048576 that --max-output",
    ),
    line("a long string for little memory", "--invoke greet --memory 64MiB", long_string, "--memory"),
];

const ALLOC: &str = r#"(func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))"#;

/// A raw module with these exports.
fn raw(alloc: &str, more: &str) -> Vec<u8> {
    let process = r#"(func (export "taskhost_process") (param i32 i32) (result i64) (i64.const 0))"#;
    format!(r#"(module (memory (export "memory") 1) {alloc} {process} {more})"#).into_bytes()
}

const OPEN: &str = r#"(import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))"#;

/// A program.
fn program(imports: &str, start: &str) -> Vec<u8> {
    let exit = r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;
    format!(r#"(module {exit} {imports} (memory (export "memory") 1) (func (export "_start") {start}))"#).into_bytes()
}

/// A function that gives a string that is where these words of memory say.
fn names(place: &str) -> Vec<u8> {
    let code = format!(
        r#"(module (memory (export "memory") 1) (data (i32.const 16) "{place}") (data (i32.const 64) "ab\ff")
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
          (func (export "name") (param i32) (result i32) (i32.const 16)))"#
    );
    library::module(&code, "package wrong:names; world names { export name: func(of: u32) -> string; }")
}

fn names_badly() -> Vec<u8> {
    names("\\40\\00\\00\\00\\03\\00\\00\\00")
}

fn names_outside() -> Vec<u8> {
    names("\\40\\00\\ff\\ff\\03\\00\\00\\00")
}

fn long_string() -> Vec<u8> {
    let mut line = vec![b'x'; LONG];
    (line[0], line[LONG - 1]) = (b'"', b'"');
    line
}

/// What is said first, without the name of the kernel.
fn first_message(stderr: &str) -> String {
    let first = stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or(stderr);
    first.trim_start_matches("error: ").trim_start_matches("kernel.wasm: ").to_owned()
}

#[test]
fn each_has_its_own_message_and_exit_code() {
    let mut said = BTreeMap::new();
    let mut others = Vec::new();
    for Wrong { what, kernel, flags, input, code, says } in WRONG {
        let place = Place::new();
        place.write("kernel.wasm", kernel.map_or_else(library::library, |kernel| kernel()));
        // A pipe may be closed before all of it is read.
        place.write("input", input());
        let outcome = place.taskhost("run kernel.wasm input -o out").arguments(flags).run();
        let message = first_message(&outcome.stderr);
        if outcome.code != *code || !message.contains(says) {
            others.push(format!("{what}: exit code {} for {code}: {}", outcome.code, outcome.stderr));
        }
        assert!(!place.path("out").exists(), "{what}: there is an output");
        assert!(outcome.stderr.len() < 4096, "{what}: {} bytes are said", outcome.stderr.len());
        if let Some(same) = said.insert(message.clone(), what) {
            others.push(format!("{what} and {same} have one message: {message}"));
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[test]
fn two_kinds_at_once_are_told_of() {
    let place = Place::new();
    let start = r#"(func (export "_start"))"#;
    place.write("kernel.wasm", raw(ALLOC, start));
    let why = place.taskhost("inspect kernel.wasm").run().success();
    assert!(why.text().starts_with("raw module: "), "{}", why.text());
    assert!(why.text().contains("it is a WASI program as well: --kind command runs it as one\n"), "{}", why.text());
    for (kind, result) in [("", "\n"), ("--kind command", "\n"), ("--kind raw", "\n")] {
        let run = place.taskhost("run kernel.wasm --split lines").arguments(kind).input("1\n").run().success();
        assert_eq!(run.text(), result, "{kind}");
    }
    let why = place.taskhost("inspect kernel.wasm --kind raw").run().success();
    assert!(!why.text().contains("as well"), "{}", why.text());
}

/// What is no mistake, however it looks.
#[test]
fn what_looks_wrong_and_is_not() {
    let place = Place::new();
    place.write("kernel.wasm", library::library());
    let call = |function: &str, line: &str| {
        let run = place.taskhost("run kernel.wasm --invoke").argument(function).input(line).run().success();
        run.text().to_owned()
    };
    assert_eq!(call("flip", "{\"x\":\"NaN\",\"y\":\"-Infinity\"}\n"), "{\"x\":\"-Infinity\",\"y\":\"NaN\"}\n");
    assert_eq!(call("is-prime", "18446744073709551615\n"), "false\n");
    assert_eq!(call("greet", "\"\\ud83d\\ude00\\u0000\"\n"), "\"😀\\u0000\"\n");
    assert_eq!(call("flip", "{\"x\":1e-999,\"y\":-0}\n"), "{\"x\":-0.0,\"y\":0.0}\n");
}
