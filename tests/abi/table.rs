//! The README's table of languages: how each is built, how large that is, and what an item costs.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::build::{Row, Tools, rows};
use super::worlds;
use crate::harness::{Place, Program, skipped};

/// Names the program to measure with, a release. Without it nothing is measured, and the README's rows are compared. The table
/// is printed; with `TASKHOST_UPDATE=1` it goes into the README:
///
///     TASKHOST_UPDATE=1 TASKHOST_TABLE=$PWD/target/release/taskhost cargo test --test tests -- abi::table
const TABLE: &str = "TASKHOST_TABLE";

/// Writes the README's table instead of comparing it.
const UPDATE: &str = "TASKHOST_UPDATE";

/// What stands around the table.
const MARKS: [&str; 2] = ["<!-- languages: made by abi::table -->\n", "<!-- languages end -->\n"];

const HEAD: &str = "| language | way in | command | size | an item |\n| --- | --- | --- | --- | --- |\n";

/// The kernel that is built in every row.
const KERNEL: &str = "invert";

/// How much another size may be than the README's, in per cent: what JavaScript and Python make differs from build to build.
const TOLERANCE: f64 = 10.0;

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

/// What tells a row from others: language, way in, command.
fn title(row: &Row) -> String {
    let world = worlds::of(KERNEL);
    let command = row.command.replace("WORLD", &world.full()).replace("SECTION", &world.section());
    format!("| {} | {} | `{}` |", row.language, row.way, command.replace("KERNEL", KERNEL))
}

/// A number of bytes, in kB.
fn size(kernel: &Path) -> f64 {
    fs::metadata(kernel).unwrap().len() as f64 / 1e3
}

fn line(row: &Row, kernel: &Path, program: &OsStr) -> String {
    let size = match size(kernel) {
        size if size < 100.0 => format!("{size:.1} kB"),
        size => format!("{:.1} MB", size / 1e3),
    };
    let items = if row.is_command() { ITEMS_OF_COMMANDS } else { ITEMS };
    let cost = format!("{:.2} µs", cost_of_item(program, kernel, items).as_secs_f64() * 1e6);
    format!("{} {size} | {cost} |\n", title(row))
}

fn readme() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

/// The README's rows, and what stands before and behind them.
fn parts(page: &str) -> [&str; 3] {
    let (before, rest) = page.split_once(MARKS[0]).expect("the README has the mark");
    let (table, after) = rest.split_once(MARKS[1]).expect("the README has the second mark");
    [before, table, after]
}

/// All rows of the table that have the kernel.
fn shown() -> Vec<Row> {
    rows().into_iter().filter(|row| row.has(KERNEL)).collect()
}

#[test]
fn the_readme_shows_every_language_and_way() {
    let page = fs::read_to_string(readme()).unwrap();
    let [_, table, _] = parts(&page);
    let lines: Vec<&str> = table.strip_prefix(HEAD).expect("the head of the table").lines().collect();
    let rows = shown();
    assert_eq!(lines.len(), rows.len(), "rows");
    let tools = Tools::find();
    for (row, line) in rows.iter().zip(lines) {
        let Some(figures) = line.strip_prefix(&title(row)) else {
            panic!("{line}\nis not the row of\n{}\n{UPDATE}=1 with {TABLE} writes it", title(row))
        };
        let [size_cell, _] = figures.trim_matches(['|', ' ']).split(" | ").collect::<Vec<_>>()[..] else {
            panic!("two figures: {line}")
        };
        if let Err(reason) = tools.have(&row.tools) {
            skipped(&format!("abi: size of {}, {}", row.language, row.way), &reason);
            continue;
        }
        let (number, unit) = size_cell.split_once(' ').expect("a number and a unit");
        let shown = number.parse::<f64>().expect("a number") * if unit == "MB" { 1e3 } else { 1.0 };
        let now = size(&tools.build(row, KERNEL));
        let rounded = if unit == "MB" { 50.0 } else { 0.05 };
        assert!((shown - now).abs() <= now * TOLERANCE / 100.0 + rounded, "{line}\nit has {now:.1} kB");
    }
}

/// Measures nothing unless it is told with which program: times are no matter of right or wrong.
#[test]
fn the_table_is_measured() {
    let Some(program) = std::env::var_os(TABLE) else { return };
    let tools = Tools::find();
    let mut table = String::from(HEAD);
    for row in shown() {
        tools.have(&row.tools).unwrap_or_else(|reason| panic!("{reason}"));
        table += &line(&row, &tools.build(&row, KERNEL), &program);
    }
    let _ = write!(std::io::stderr(), "\n{table}");
    if std::env::var_os(UPDATE).is_some() {
        let page = fs::read_to_string(readme()).unwrap();
        let [before, _, after] = parts(&page);
        fs::write(readme(), [before, MARKS[0], &table, MARKS[1], after].concat()).unwrap();
    }
}
