//! What the examples promise, and what the documentation shows.

use std::path::{Path, PathBuf};

use crate::harness::{Place, Program};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a script of the repository with the program under test.
#[track_caller]
fn script(place: &Place, path: &Path, arguments: &str) {
    let bash = Program::of("bash".as_ref(), &place.path("")).argument(path).arguments(arguments);
    bash.argument(env!("CARGO_BIN_EXE_taskhost")).argument("out").run().success();
}

#[test]
fn every_example_gives_its_expected_result() {
    let folders = std::fs::read_dir(root().join("examples")).unwrap();
    let mut scripts: Vec<PathBuf> = folders.map(|folder| folder.unwrap().path().join("run.sh")).collect();
    scripts.retain(|script| script.exists());
    scripts.sort();
    assert!(scripts.len() >= 4, "{scripts:?}");
    for path in scripts {
        script(&Place::new(), &path, "");
    }
}

#[test]
fn the_page_about_the_command_line_is_current() {
    script(&Place::new(), &root().join("docs/update.sh"), "--check");
}
