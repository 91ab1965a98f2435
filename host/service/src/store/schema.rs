//! The tables, and how older databases become newer ones.

use rusqlite::Connection;

use super::{Result, StoreError};

/// What brings a database from each version to the next; the version is how many of these were done. A step that was
/// released is never changed.
const STEPS: [&str; 17] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
    include_str!("schema/8.sql"),
    include_str!("schema/9.sql"),
    include_str!("schema/10.sql"),
    include_str!("schema/11.sql"),
    include_str!("schema/12.sql"),
    include_str!("schema/13.sql"),
    include_str!("schema/14.sql"),
    include_str!("schema/15.sql"),
    include_str!("schema/16.sql"),
    include_str!("schema/17.sql"),
];

/// Brings the database up to date.
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let transaction = connection.transaction()?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}

/// A database as a program before this one left it.
#[cfg(test)]
pub(super) fn old(version: usize) -> Connection {
    let connection = Connection::open_in_memory().expect("a database");
    STEPS[..version].iter().for_each(|step| connection.execute_batch(step).expect("made"));
    connection.pragma_update(None, "user_version", version).expect("set");
    connection
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_becomes_the_same_as_what_is_new() {
        let shape = |connection: &Connection| {
            let mut statement = connection.prepare("SELECT sql FROM sqlite_schema ORDER BY name").expect("read");
            let rows = statement.query_map([], |row| row.get(0)).expect("read");
            rows.collect::<rusqlite::Result<Vec<Option<String>>>>().expect("read")
        };
        let mut new = Connection::open_in_memory().expect("a database");
        migrate(&mut new).expect("made");
        for version in 1..STEPS.len() {
            let mut old = old(version);
            migrate(&mut old).expect("brought up to date");
            assert_eq!(shape(&old), shape(&new), "from version {version}");
        }
    }

    #[test]
    fn what_is_up_to_date_stays_as_it_is_and_what_is_newer_is_refused() {
        let mut connection = Connection::open_in_memory().expect("a database");
        migrate(&mut connection).expect("made");
        migrate(&mut connection).expect("left alone");
        connection.pragma_update(None, "user_version", 99).expect("set");
        assert!(matches!(migrate(&mut connection), Err(StoreError::Newer { found: 99, .. })));
    }
}
