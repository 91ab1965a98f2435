//! Measures taskhost beside what people would take instead, prints a table, and writes it into `docs/performance.md`.
//!
//! `setup` finds the programs, each file of `rows` is a kind of work, `measure` runs it, `page` shows it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program, and this its result")]

mod arguments;
mod contender;
mod machine;
mod measure;
mod page;
mod record;
mod row;
mod rows;
mod setup;
mod statistics;

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use arguments::Arguments;
use measure::Measured;
use record::Entry;
use setup::Setup;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    if arguments.help {
        print!("{}", arguments::HELP);
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = rows::ALL.iter().filter(|(name, _)| arguments.wants(name)).collect();
    if arguments.list {
        rows.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(ExitCode::SUCCESS);
    }
    if rows.is_empty() {
        return Err("no row has such a name: see --list".into());
    }
    if arguments.build {
        build()?;
    }
    let setup = Setup::new(&arguments)?;
    let mut measured = Vec::new();
    for (name, make) in rows {
        eprintln!("{name} …");
        let row = make(&setup).map_err(|error| format!("{name} cannot be prepared: {error}"))?;
        let found = measure::row(name, &row, arguments.rounds);
        print!("{}", page::row(&found));
        measured.push(found);
        if let Some(path) = &arguments.write {
            // After each row: what takes an hour may be interrupted.
            write(path, &setup, &measured)?;
        }
    }
    let targets: String = measured.iter().map(|row| page::targets(row, arguments.full)).collect();
    println!("{}{targets}", page::HEAD);
    let failed: Vec<&str> = measured.iter().filter(|row| !row.failures.is_empty()).map(|row| row.name).collect();
    if !failed.is_empty() {
        eprintln!("failed: {}", failed.join(", "));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Puts what was measured into the page.
fn write(path: &Path, setup: &Setup, measured: &[Measured]) -> Result<(), Box<dyn Error>> {
    let mut machine = String::new();
    for (what, value) in machine::describe(&setup.taskhost_path()) {
        let _ = writeln!(machine, "* {what}: {value}");
    }
    if !setup.is_full {
        let _ = writeln!(machine, "* Small sizes, which say nothing about the targets");
    }
    let entry = |row: &Measured| {
        let targets = page::targets(row, setup.is_full);
        (row.name, Entry { targets, section: page::row(row) })
    };
    let order = rows::ALL.map(|(name, _)| name);
    let page = fs::read_to_string(path).unwrap_or_default();
    Ok(fs::write(path, record::update(&page, &machine, measured.iter().map(entry).collect(), &order))?)
}

/// Builds everything that is measured.
fn build() -> Result<(), Box<dyn Error>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--locked", "--package", "taskhost", "--package", "taskhost-compare"]);
    let status = command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).status()?;
    if status.success() { Ok(()) } else { Err("what is measured does not build".into()) }
}
