//! Kernels in every language: each is built by the command that its documentation shows, and all give the same bytes.

mod bindings;
mod build;
mod expected;
mod table;
mod worked;
mod worlds;

use build::{Row, Tools, rows};
use expected::{KERNELS, check};

use crate::harness::skipped;

/// Builds and runs all kernels of a language, each way in.
#[track_caller]
fn conforms(language: &str) {
    let rows: Vec<Row> = rows().into_iter().filter(|row| row.language == language).collect();
    assert!(!rows.is_empty(), "the table has nothing in {language}");
    for row in rows {
        let tools = Tools::find();
        if let Err(reason) = tools.have(&row.tools) {
            skipped(&format!("abi: {language}, {}", row.way), &reason);
            continue;
        }
        for kernel in KERNELS.into_iter().filter(|kernel| row.has(kernel)) {
            check(&row, kernel, &tools.build(&row, kernel));
        }
    }
}

macro_rules! languages {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                conforms($name);
            }
        )*

        #[test]
        fn every_language_of_the_table_has_a_test() {
            for row in rows() {
                assert!([$($name),*].contains(&row.language.as_str()), "{} has no test", row.language);
            }
        }
    };
}

languages! {
    c: "C",
    cpp: "C++",
    zig: "Zig",
    go: "Go",
    assemblyscript: "AssemblyScript",
    javascript: "JavaScript",
    python: "Python",
    rust: "Rust",
}
