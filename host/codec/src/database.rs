//! Rows of a SQLite table, from JSON. The database is held in memory as a whole, so that whoever does this needs neither a folder
//! nor names: its bytes come in, and go out.

mod row;

use std::io::{self, BufReader, Read};

use rusqlite::{Connection, Error, ErrorCode, MAIN_DB, OpenFlags, params_from_iter};

use taskhost_protocol::limits::DATABASE_BYTES;

use crate::packing::StreamError;
use row::{Row, Value};

/// Where the header of a database says how it is written …
const MODE: std::ops::Range<usize> = 18..20;

/// … and what it says there: in place, or by way of a log beside it, which one in memory has not.
const IN_PLACE: u8 = 1;

/// Names of tables and columns, in double quotes. One in them is doubled.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Appends rows to a table of the database whose bytes these are, or of a new one when there are none; a table that is not
/// there is made for the first row. `write` is given the bytes of the database that came of it.
///
/// # Errors
/// When a row is not for that table, the bytes are no database, or there is too much. Nothing is written then.
pub fn load(
    table: &str,
    rows: impl Read,
    mut before: Vec<u8>,
    write: impl FnOnce(&[u8]) -> io::Result<()>,
) -> Result<(), StreamError> {
    let modes = before.get(MODE).map(<[u8]>::to_vec);
    if let Some(bytes) = before.get_mut(MODE) {
        bytes.fill(IN_PLACE);
    }
    let mut connection = open(&before).map_err(|error| broken(&error))?;
    drop(before);
    insert(&connection, table, rows)?;
    let database = connection.serialize(MAIN_DB).map_err(|error| broken(&error))?;
    match modes.filter(|modes| modes.iter().any(|mode| *mode != IN_PLACE)) {
        None => write(&database),
        Some(modes) => {
            let mut whole = database.to_vec();
            if let Some(bytes) = whole.get_mut(MODE) {
                bytes.copy_from_slice(&modes);
            }
            write(&whole)
        }
    }
    .map_err(StreamError::Write)
}

/// A database in memory with this content.
fn open(before: &[u8]) -> Result<Connection, Error> {
    // Of that kind its bytes can be had without a copy.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_URI;
    let mut connection = Connection::open_with_flags("file:taskhost?vfs=memdb", flags)?;
    if !before.is_empty() {
        connection.deserialize_read_exact(MAIN_DB, before, before.len(), false)?;
    }
    // Nothing is undone: what fails is thrown away as a whole. What the database brings along is a stranger's.
    connection.execute_batch("PRAGMA journal_mode = OFF; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;")?;
    // The first look at what was given.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
    Ok(connection)
}

/// Inserts all rows, in one transaction.
fn insert(connection: &Connection, table: &str, rows: impl Read) -> Result<(), StreamError> {
    let mut columns = columns(connection, table).map_err(|error| broken(&error))?;
    connection.execute_batch("BEGIN").map_err(|error| broken(&error))?;
    let mut statement = None;
    let mut number = 0;
    let mut rows = serde_json::Deserializer::from_reader(BufReader::with_capacity(64 << 10, rows)).into_iter::<Row>();
    loop {
        number += 1;
        let wrong = |what: String| StreamError::Row { number, what };
        let Row(row) = match rows.next() {
            None => break,
            Some(Ok(row)) => row,
            Some(Err(error)) if error.is_io() => return Err(StreamError::Read(error.into())),
            Some(Err(error)) => return Err(wrong(format!("it is no JSON object of values: {error}"))),
        };
        if columns.is_empty() {
            create(connection, table, &row).map_err(|error| wrong(text(&error)))?;
            columns = row.iter().map(|(name, _)| name.clone()).collect();
        }
        let is_same = matches!(&statement, Some((names, _)) if row.iter().map(|(name, _)| name).eq(names));
        if !is_same {
            if let Some((name, _)) =
                row.iter().find(|(name, _)| !columns.iter().any(|is| is.eq_ignore_ascii_case(name)))
            {
                let columns = columns.join(", ");
                return Err(wrong(format!("the table {table} has no column `{name}`; it has: {columns}")));
            }
            let names: Vec<String> = row.iter().map(|(name, _)| name.clone()).collect();
            let made = connection.prepare(&insertion(table, &names)).map_err(|error| wrong(text(&error)))?;
            statement = Some((names, made));
        }
        if let Some((_, statement)) = &mut statement {
            statement
                .execute(params_from_iter(row.into_iter().map(|(_, value)| value)))
                .map_err(|error| wrong(text(&error)))?;
        }
    }
    drop(statement);
    connection.execute_batch("COMMIT").map_err(|error| broken(&error))
}

/// The columns of a table; none when it is not there.
fn columns(connection: &Connection, table: &str) -> Result<Vec<String>, Error> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
    statement.query_map([table], |row| row.get(0))?.collect()
}

/// Makes a table for rows like this.
fn create(connection: &Connection, table: &str, row: &[(String, Value)]) -> Result<(), Error> {
    let columns: Vec<String> =
        row.iter().map(|(name, value)| format!("{}{}", quoted(name), value.affinity())).collect();
    connection.execute_batch(&format!("CREATE TABLE {} ({})", quoted(table), columns.join(", ")))
}

fn insertion(table: &str, names: &[String]) -> String {
    if names.is_empty() {
        return format!("INSERT INTO {} DEFAULT VALUES", quoted(table));
    }
    let columns: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    let places = vec!["?"; names.len()];
    format!("INSERT INTO {} ({}) VALUES ({})", quoted(table), columns.join(", "), places.join(", "))
}

/// What SQLite says, without the statement that it says it of.
fn text(error: &Error) -> String {
    match error {
        Error::SqliteFailure(failure, _) if failure.code == ErrorCode::DiskFull => {
            let most = DATABASE_BYTES >> 30;
            format!(
                "the database would be larger than {most} GiB, the most that is written in this way; write JSON lines, and \
                 have the sqlite3 command load them"
            )
        }
        Error::SqliteFailure(failure, None) => failure.to_string(),
        Error::SqliteFailure(_, Some(text)) | Error::SqlInputError { msg: text, .. } => text.clone(),
        error => error.to_string(),
    }
}

fn broken(error: &Error) -> StreamError {
    StreamError::Database(text(error))
}

#[cfg(test)]
mod tests;
