//! validate → transform → load: the rows of CSV files, into a table of SQLite. See README.md.

#![expect(clippy::print_stdout, reason = "it is a program, and this its result")]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use taskhost::{Pool, Stage};

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    taskhost::worker::run_if_worker();
    let mut arguments = std::env::args().skip(1).skip_while(|argument| argument.starts_with('-'));
    let folder = arguments.next().ok_or("pipeline FOLDER DATABASE")?;
    let database = arguments.next().ok_or("pipeline FOLDER DATABASE")?;
    run(folder.as_ref(), database.as_ref())
}

fn run(folder: &Path, database: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::new()?;
    let kernel =
        |name: &str| Stage::new(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/pipeline")).join(name));
    let pipeline = pool.pipeline([kernel("validate.wasm"), kernel("transform.wasm")])?;

    let mut connection = Connection::open(database)?;
    connection
        .execute_batch("DROP TABLE IF EXISTS rows; CREATE TABLE rows (id INTEGER PRIMARY KEY, result REAL NOT NULL)")?;
    // All of it or nothing, and one write to the disk.
    let load = connection.transaction()?;
    let mut insert = load.prepare("INSERT INTO rows VALUES (?1 ->> '$.id', ?1 ->> '$.result')")?;
    // Rows are loaded while others are transformed, and others still validated.
    let mut rows = pipeline.map_bytes(rows_of(folder)?);
    let mut rejected = Vec::new();
    for row in &mut rows {
        match row {
            Ok(row) => drop(insert.execute([String::from_utf8(row)?])?),
            Err(error) => rejected.push(error),
        }
    }
    drop(insert);
    load.commit()?;
    println!("{}", rows.report().to_string().replace(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/pipeline/"), ""));
    for error in rejected {
        println!("rejected by stage {}: {}", error.stage, error.error);
    }
    let sum = "SELECT count(*), sum(result) FROM rows";
    let (count, sum): (i64, f64) = connection.query_row(sum, (), |row| Ok((row.get(0)?, row.get(1)?)))?;
    println!("loaded {count} rows, {sum}");
    Ok(())
}

/// The rows of all CSV files of a folder, in the order of their names, without the header of each.
fn rows_of(folder: &Path) -> std::io::Result<impl Iterator<Item = String>> {
    let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<PathBuf>>>();
    let mut files = files?;
    files.sort();
    let files = files.into_iter().map(File::open).collect::<std::io::Result<Vec<File>>>()?;
    Ok(files.into_iter().flat_map(|file| BufReader::new(file).lines().skip(1).map_while(Result::ok)))
}
