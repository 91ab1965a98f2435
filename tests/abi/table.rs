//! The README's table of languages: how each is built, how large that is, and what an item costs.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::build::{Row, Tools, rows};
use crate::harness::{Place, Program};

/// Names the program to measure with, a release. Without it nothing is measured.
///
///     TASKHOST_TABLE=$PWD/target/release/taskhost cargo test --test tests -- abi::table
const TABLE: &str = "TASKHOST_TABLE";

/// Items of eight bytes in the two runs whose difference is measured: starting and compiling cancel out.
const ITEMS: [u32; 2] = [20_000, 220_000];

/// The same for commands, which have a fresh instance for each item.
const ITEMS_OF_COMMANDS: [u32; 2] = [100, 600];

/// What one item of eight bytes costs on one worker: all of the way from the file to the result.
fn cost_of_item(program: &OsStr, kernel: &Path, items: [u32; 2]) -> Duration {
    let place = Place::new();
    let run = || {
        let began = Instant::now();
        let program = Program::of(program, &place.path("")).argument("run").argument(kernel);
        let flags = "--input items --split lines --merge discard --workers 1";
        program.arguments(flags).env("XDG_CACHE_HOME", Tools::find().cache()).run().success();
        began.elapsed()
    };
    let [few, many] = items.map(|count| {
        place.write("items", "12345678\n".repeat(count as usize));
        run();
        run().min(run())
    });
    many.saturating_sub(few) / (items[1] - items[0])
}

fn line(row: &Row, kernel: &Path, program: &OsStr) -> String {
    let size = fs::metadata(kernel).unwrap().len();
    let size =
        if size < 100_000 { format!("{:.1} kB", size as f64 / 1e3) } else { format!("{:.1} MB", size as f64 / 1e6) };
    let items = if row.is_command() { ITEMS_OF_COMMANDS } else { ITEMS };
    let cost = format!("{:.2} µs", cost_of_item(program, kernel, items).as_secs_f64() * 1e6);
    let command = row.command.replace("KERNEL", "invert").replace("WORLD", "map-kernel");
    format!("| {} | {} | `{command}` | {size} | {cost} |\n", row.language, row.way)
}

#[test]
fn the_table_is_measured() {
    let mut table = String::from("| language | way in | command | size | an item |\n| --- | --- | --- | --- | --- |\n");
    let tools = Tools::find();
    for row in rows().iter().filter(|row| row.has("invert") && tools.have(&row.tools).is_ok()) {
        let kernel = tools.build(row, "invert");
        assert!(fs::metadata(&kernel).unwrap().len() > 0, "{}", kernel.display());
        if let Some(program) = std::env::var_os(TABLE) {
            write!(table, "{}", line(row, &kernel, &program)).unwrap();
        }
    }
    if std::env::var_os(TABLE).is_some() {
        let _ = write!(std::io::stderr(), "\n{table}");
    }
}
