//! Programs that nobody wrote for this project, run as they are. `tests/programs/fetch.sh` fetches them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::{Place, skipped};

/// A program, when it was fetched.
fn program(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/programs/{name}.wasm"));
    if path.exists() {
        return Some(path);
    }
    skipped(&format!("programs: {name}"), "it was not fetched: tests/programs/fetch.sh");
    None
}

#[test]
fn a_python_script_for_each_line() {
    let Some(python) = program("python") else { return };
    let script = "import sys, os, random
line = sys.stdin.read()
if not line.isdigit(): sys.exit(f'{line!r} is no number')
print(int(line) ** 20, os.environ['TASKHOST_ITEM'], random.random(), sys.argv[1:], end='')";
    let place = Place::new();
    let run = |workers: u32, lines: &str| {
        let flags = format!("--split lines --on-error skip -j {workers}");
        let run = place.taskhost("run").argument(&python).arguments(&flags);
        run.argument("--").argument("-c").argument(script).argument("an argument").input(lines).run()
    };
    let one = run(1, "1\n12\nx\n7\n").code(3);
    let lines: Vec<&str> = one.text().lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[1].starts_with("3833759992447475122176 2 0."), "{lines:?}");
    assert!(lines[1].ends_with(" ['an argument']"), "{lines:?}");
    assert!(
        one.stderr.contains("item 2 (at byte 5): the program ended with exit code 1: 'x' is no number\n"),
        "{}",
        one.stderr
    );
    assert_eq!(run(2, "1\n12\nx\n7\n").code(3).stdout, one.stdout, "its random numbers are those of the item");
}

#[test]
fn python_reads_what_it_is_given() {
    let Some(python) = program("python") else { return };
    let script = "import sys, os
print(sorted(os.listdir('/broadcast')), open('/broadcast/words').read().split()[int(sys.stdin.read())], end='')";
    let place = Place::new();
    place.write("words.txt", "zero one two three");
    let run = place.taskhost("run").argument(&python).arguments("--split lines --broadcast words=words.txt");
    let outcome = run.arguments("-- -c").argument(script).input("3\n1\n").run().success();
    assert_eq!(outcome.text(), "['words'] three\n['words'] one\n");
    let script = "import os, sys
print(sorted(os.listdir('/data')), open('/data/words.txt').read(4), end='')
try: open('/data/new', 'w')
except OSError as error: print('', error.errno, end='')
try: open('/data/../out')
except OSError as error: print('', error.errno, end='')";
    place.write("data/words.txt", "zero one two three");
    place.write("out", "");
    let run = place.taskhost("run").argument(&python).arguments("--dir data::/data");
    let outcome = run.arguments("-- -c").argument(script).input("").run().success();
    assert!(
        outcome.text().starts_with("['words.txt'] zero 69 ") || outcome.text().starts_with("['words.txt'] zero 63 "),
        "{}",
        outcome.text()
    );
    assert!(!place.path("data/new").exists());
}

#[test]
fn a_solver_solves_each_file() {
    let Some(boolector) = program("boolector") else { return };
    let place = Place::new();
    let problem = |product: &str| {
        format!(
            "(set-logic QF_BV)(declare-const x (_ BitVec 16))(declare-const y (_ BitVec 16))
             (assert (= (bvmul ((_ zero_extend 16) x) ((_ zero_extend 16) y)) {product}))
             (assert (bvugt x #x0001))(assert (bvugt y #x0001))(check-sat)"
        )
    };
    place.write("in/6.smt2", problem("#x00000006"));
    place.write("in/7.smt2", problem("#x00000007"));
    let run = place.taskhost("run").argument(&boolector).arguments("in -o out/ -- --exit-codes=0");
    run.run().success();
    assert_eq!((place.text("out/6.smt2").as_str(), place.text("out/7.smt2").as_str()), ("sat\n", "unsat\n"));
    // Its own exit codes are 10 and 20, which mean success to nobody else.
    let run = place.taskhost("run").argument(&boolector).arguments("in/6.smt2");
    let outcome = run.run().code(3);
    assert!(outcome.stderr.contains("the program ended with exit code 10"), "{}", outcome.stderr);
}

/// The largest: 69 MB, it throws exceptions, and it writes files. Compiling it takes 20 s of one core in a release build.
#[test]
fn a_synthesiser_of_seventy_megabytes() {
    let Some(yosys) = program("yosys") else { return };
    let place = Place::new();
    let compile = || {
        let compile = place.taskhost("compile").argument(&yosys).within(Duration::from_secs(600)).run().success();
        compile.text().to_owned()
    };
    compile();
    assert!(compile().contains("was compiled already"), "its artifact is found again");
    place.write("not.v", "module t(input a, output b); assign b = ~a; endmodule");
    std::fs::create_dir(place.path("tmp")).unwrap();
    let run = place.taskhost("run").argument(&yosys).arguments("not.v --dir tmp::/tmp:rw");
    let script = "proc; opt; stat; write_verilog -noattr /tmp/out.v";
    let outcome = run.arguments("-- -Q -T -f verilog -p").argument(script).argument("-").run().success();
    assert!(outcome.text().contains("1   $not"), "{}", outcome.text());
    assert!(place.text("tmp/out.v").contains("assign b = ~ a;"), "{}", place.text("tmp/out.v"));
    // An error of its own is an exception that is thrown and caught, and an exit code.
    let run = place.taskhost("run").argument(&yosys).arguments("not.v -- -Q -T -p").argument("no_such_command");
    let outcome = run.run().code(3);
    assert!(outcome.stderr.contains("the program ended with exit code 1"), "{}", outcome.stderr);
}
