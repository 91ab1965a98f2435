//! `taskhost new`: in every language, a project in an empty folder builds, passes `check`, and does what it says.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{Place, skipped};

/// Where compilers are, when not in the target folder; `plugins/languages/setup.sh` takes the same.
const TOOLCHAINS: &str = "TASKHOST_TOOLCHAINS";

/// With the value `full`, a compiler that is missing is a failure.
const REQUIRE: &str = "TASKHOST_REQUIRE";

fn toolchains() -> PathBuf {
    let default = || Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("toolchains");
    std::env::var_os(TOOLCHAINS).map_or_else(default, PathBuf::from)
}

/// Types the build command of a project.
#[track_caller]
fn build(folder: &Path, what: &str) {
    let rest = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect::<Vec<_>>();
    let path = std::env::join_paths(std::iter::once(toolchains().join("bin")).chain(rest)).unwrap();
    let mut build = Command::new("./build.sh");
    build.current_dir(folder).env("PATH", path).stdin(Stdio::null());
    // Whoever types it is not inside of cargo.
    for name in ["RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_MANIFEST_DIR", "RUSTUP_TOOLCHAIN"] {
        build.env_remove(name);
    }
    let output = build.output().unwrap();
    assert!(output.status.success(), "{what}:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// New, build, check, run, compare; with each kind of kernel.
#[track_caller]
fn works(language: &str, tools: &str, kinds: &[&str]) {
    if !toolchains().join("installed").join(tools).exists() {
        let reason = format!("{tools} is not installed; `plugins/languages/setup.sh {tools}` does it");
        assert!(std::env::var_os(REQUIRE).is_none_or(|value| value != "full"), "{reason}");
        return skipped(&format!("new: {language}"), &reason);
    }
    for kind in kinds {
        let place = Place::new();
        let what = format!("{language} as {kind}");
        let new = place.taskhost("new my-kernel --lang").arguments(language).arguments("--kind").argument(kind);
        let new = new.run().success();
        let next: Vec<&str> = new.text().lines().collect();
        let [enter, check, run] = next[..] else { panic!("not three commands: {next:?}") };
        assert_eq!(enter, "cd my-kernel && ./build.sh");
        build(&place.path("my-kernel"), &what);
        let typed = |line: &str| {
            let words = line.strip_prefix("taskhost ").unwrap_or_else(|| panic!("{line}"));
            crate::harness::Program::new(&place.path("my-kernel")).arguments(words).run()
        };
        let checked = typed(check).success();
        assert!(checked.text().ends_with("\nit keeps the contract\n"), "{what}:\n{}", checked.text());
        let wanted: String = place
            .text("my-kernel/input.txt")
            .lines()
            .map(|line| line.chars().rev().chain(['\n']).collect::<String>())
            .collect();
        assert_eq!(typed(run).success().text(), wanted, "{what}");
    }
}

macro_rules! languages {
    ($($test:ident: $tools:literal $kinds:expr;)*) => {
        $(
            #[test]
            fn $test() {
                works(stringify!($test), $tools, &$kinds);
            }
        )*

        #[test]
        fn every_language_has_a_test() {
            let help = Place::new().taskhost("new --help").run().success();
            let (_, listed) = help.text().split_once("--lang").unwrap();
            let (listed, _) = listed.split_once("--kind").unwrap();
            let listed = listed.lines().filter_map(|line| line.trim().strip_prefix("- ")?.split_once(':'));
            let listed: Vec<&str> = listed.map(|(name, _)| name).collect();
            assert_eq!(listed, [$(stringify!($test)),*]);
        }
    };
}

languages! {
    rust: "rust" ["component", "command"];
    c: "zig" ["component", "raw", "command"];
    cpp: "zig" ["component", "raw", "command"];
    zig: "zig" ["component", "raw", "command"];
    go: "go" ["raw", "component", "command"];
    assemblyscript: "assemblyscript" ["raw", "component"];
    javascript: "javascript" ["component"];
    python: "python" ["component"];
}

#[test]
fn nothing_is_written_over() {
    let place = Place::new();
    place.write("taken/file", "mine");
    let refused = place.taskhost("new taken --lang c").run().code(5);
    assert!(refused.stderr.contains("taken is not empty"), "{}", refused.stderr);
    assert_eq!(place.files(), ["taken/file"]);
    place.taskhost("new taken/file --lang c").run().code(5);
    std::fs::create_dir(place.path("empty")).unwrap();
    place.taskhost("new empty --lang c").run().success();
    place.taskhost("new empty --lang c").run().code(5);
}

#[test]
fn what_cannot_be_made_is_refused() {
    let place = Place::new();
    for arguments in ["new Kernel --lang c", "new 3d --lang c", "new a --lang python --kind raw", "new a --lang cobol"]
    {
        place.taskhost(arguments).run().code(2);
    }
    assert_eq!(place.files(), Vec::<String>::new());
}
