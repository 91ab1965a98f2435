//! Components made by other people's tools, of sources that know nothing of taskhost.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{Place, skipped};

/// Where the compilers are, if not beside what cargo builds.
const TOOLCHAINS: &str = "TASKHOST_TOOLCHAINS";

/// `full`: a compiler that is not there is no reason to leave a test out.
const REQUIRE: &str = "TASKHOST_REQUIRE";

/// The component of `source`, or why there is no compiler for it. It is built anew when the source or the compiler is
/// another. `command` is run beside the sources, with the file to be made at its end.
fn build(tools: &str, source: &str, command: &str) -> Result<PathBuf, String> {
    let default = || Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("toolchains").into_os_string();
    let toolchains = PathBuf::from(std::env::var_os(TOOLCHAINS).unwrap_or_else(default));
    let Ok(installed) = fs::read(toolchains.join("installed").join(tools)) else {
        let reason = format!("{tools} is not installed; `plugins/languages/setup.sh {tools}` does it");
        assert!(std::env::var_os(REQUIRE) != Some(OsString::from("full")), "{reason}");
        return Err(reason);
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invoke/foreign");
    let mut hasher = blake3::Hasher::new();
    for part in [&installed, command.as_bytes()] {
        hasher.update(part);
    }
    for name in ["numbers.wit", source] {
        hasher.update(&fs::read(folder.join(name)).unwrap());
    }
    let built = toolchains.join("built");
    let name = format!("typed-{tools}-{}", &hasher.finalize().to_hex()[..16]);
    let file = built.join(format!("{name}.wasm"));
    if !file.exists() {
        fs::create_dir_all(&built).unwrap();
        let new = built.join(format!("{name}-{}.new", std::process::id()));
        let path = std::env::var_os("PATH").unwrap();
        let path = [toolchains.join("bin")].into_iter().chain(std::env::split_paths(&path));
        let mut words = command.split(' ');
        let mut compiler = Command::new(toolchains.join("bin").join(words.next().unwrap()));
        compiler.args(words).arg(&new).current_dir(&folder).env("PATH", std::env::join_paths(path).unwrap());
        let output = compiler.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        fs::rename(new, &file).unwrap();
    }
    Ok(file)
}

#[track_caller]
fn calls(tools: &str, source: &str, command: &str) {
    let component = match build(tools, source, command) {
        Ok(component) => component,
        Err(reason) => return skipped(&format!("invoke: a component of {tools}"), &reason),
    };
    let place = Place::new();
    fs::copy(component, place.path("numbers.wasm")).unwrap();
    let numbers: String = (0..300).map(|number| format!("{number}\n")).collect();
    place.write("numbers.jsonl", numbers);
    let run = "run numbers.wasm --invoke is-prime --input numbers.jsonl";
    let outcome = place.taskhost(run).run().success();
    let primes: Vec<usize> =
        outcome.text().lines().enumerate().filter(|(_, line)| *line == "true").map(|(number, _)| number).collect();
    assert_eq!((outcome.text().lines().count(), primes.len(), &primes[..4]), (300, 62, &[2, 3, 5, 7][..]));
    // What it is said to take, it takes; `swap` refuses nothing but an empty list.
    assert!(super::examples_work(&place, "numbers.wasm") >= 2);
    let lines = "{\"pairs\":[{\"first\":1,\"second\":\"a\"}]}\n[[]]\n[[{\"second\":\"ä\",\"first\":2}]]\n";
    let outcome = place.taskhost("run numbers.wasm --invoke math.swap --on-error skip").input(lines).run().code(3);
    assert_eq!(outcome.text(), "[[\"a\",1]]\n[[\"ä\",2]]\n");
    assert!(outcome.stderr.contains(": nothing to swap\n"), "{}", outcome.stderr);
}

#[test]
fn a_component_in_javascript() {
    calls("javascript", "numbers.js", "componentize-qjs --wit numbers.wit -n numbers --js numbers.js --sync -o");
}

#[test]
fn a_component_in_python() {
    calls("python", "answers.py", "componentize-py -d numbers.wit -w numbers componentize answers -o");
}
