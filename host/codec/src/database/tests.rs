//! Rows that fit, rows that do not, databases that are none.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use rusqlite::{Connection, MAIN_DB};

use super::load;

fn loaded(table: &str, rows: &str, before: &[u8]) -> Result<Vec<u8>, String> {
    let mut written = Vec::new();
    let result = load(table, rows.as_bytes(), before.to_vec(), |bytes| {
        written = bytes.to_vec();
        Ok(())
    });
    result.map(|()| written).map_err(|error| error.to_string())
}

/// What a query says of a database, columns with bars between them.
fn query(database: &[u8], sql: &str) -> Vec<String> {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.deserialize_read_exact(MAIN_DB, database, database.len(), true).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let value = |at| row.get::<_, rusqlite::types::Value>(at).map(|value| format!("{value:?}"));
        Ok((0..columns).map(value).collect::<Result<Vec<_>, _>>()?.join("|"))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_table_is_made_for_the_first_row() {
    let rows = r#"{"name": "wing", "mass": 12.5, "count": 2, "new": true, "of": ["x", {"y": 1}], "none": null}
        {"count": 9223372036854775807, "name": "o\"hull\u0000"}{}"#;
    let database = loaded("the \"parts\"", rows, b"").unwrap();
    let rows = query(&database, r#"SELECT name, mass, count, new, "of", none FROM "the ""parts""" ORDER BY rowid"#);
    assert_eq!(rows[0], r#"Text("wing")|Real(12.5)|Integer(2)|Integer(1)|Text("[\"x\",{\"y\":1}]")|Null"#);
    assert_eq!(rows[1], r#"Text("o\"hull\0")|Null|Integer(9223372036854775807)|Null|Null|Null"#);
    assert_eq!(rows[2], "Null|Null|Null|Null|Null|Null");
    let types = query(&database, "SELECT name, type FROM pragma_table_info('the \"parts\"')");
    let of = |name: &str, kind: &str| format!("Text({name:?})|Text({kind:?})");
    let all =
        [("name", "TEXT"), ("mass", "REAL"), ("count", "INTEGER"), ("new", "INTEGER"), ("of", "TEXT"), ("none", "")];
    assert_eq!(types, all.map(|(name, kind)| of(name, kind)));
    assert_eq!(query(&database, "PRAGMA integrity_check"), ["Text(\"ok\")"]);
}

#[test]
fn rows_are_added_to_what_is_there() {
    let first = loaded("t", r#"{"a": 1, "b": "x"}"#, b"").unwrap();
    let second = loaded("other", r#"{"c": 1}"#, &first).unwrap();
    let third = loaded("T", r#"{"B": "y"} {"a": 3}"#, &second).unwrap();
    assert_eq!(query(&third, "SELECT a, b FROM t"), ["Integer(1)|Text(\"x\")", "Null|Text(\"y\")", "Integer(3)|Null"]);
    assert_eq!(query(&third, "SELECT c FROM other"), ["Integer(1)"]);
    assert_eq!(loaded("t", "", &third).unwrap(), third, "nothing to add");
}

#[test]
fn defaults_and_constraints_of_a_table_hold() {
    let connection = &mut Connection::open_in_memory().unwrap();
    let table = "CREATE TABLE t (id INTEGER PRIMARY KEY, state TEXT DEFAULT 'new', n INTEGER CHECK (n > 0))";
    connection.execute_batch(table).unwrap();
    let before = connection.serialize(MAIN_DB).unwrap().to_vec();
    let database = loaded("t", r#"{"n": 1} {"n": 2, "state": "old"}"#, &before).unwrap();
    assert_eq!(
        query(&database, "SELECT * FROM t"),
        ["Integer(1)|Text(\"new\")|Integer(1)", "Integer(2)|Text(\"old\")|Integer(2)"]
    );
    let error = loaded("t", r#"{"n": 1} {"n": 0}"#, &before).unwrap_err();
    assert_eq!(error, "cannot take result 2: CHECK constraint failed: n > 0");
    let error = loaded("t", r#"{"id": 7} {"id": 7}"#, &before).unwrap_err();
    assert_eq!(error, "cannot take result 2: UNIQUE constraint failed: t.id");
}

#[test]
fn a_database_that_was_written_by_a_log_stays_one() {
    let folder = std::env::temp_dir().join(format!("taskhost-database-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("logged.sqlite");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1)").unwrap();
    connection.close().unwrap();
    let before = std::fs::read(&path).unwrap();
    assert_eq!(before[18..20], [2, 2]);
    let mut after = loaded("t", r#"{"a": 2}"#, &before).unwrap();
    assert_eq!(after[18..20], [2, 2]);
    after[18..20].fill(1);
    assert_eq!(query(&after, "SELECT a FROM t"), ["Integer(1)", "Integer(2)"]);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_is_no_row_is_named() {
    let refused = |rows: &str, message: &str| {
        let error = loaded("t", rows, b"").unwrap_err();
        assert!(error.starts_with(message), "{rows}: {error}");
    };
    refused("{\"a\": 1}\n[1, 2]\n", "cannot take result 2: it is no JSON object of values: invalid type: sequence");
    refused("12", "cannot take result 1: it is no JSON object of values: invalid type: integer `12`");
    refused("{\"a\": 1}\n{\"a\": ", "cannot take result 2: it is no JSON object of values: EOF while parsing");
    refused("{\"a\": 1} {\"b\": 1}", "cannot take result 2: the table t has no column `b`; it has: a");
    refused(
        "{\"a\": 1, \"A\": 2}",
        "cannot take result 1: it is no JSON object of values: the column `A` is there twice",
    );
    refused(
        "{\"a\": 9223372036854775808}",
        "cannot take result 1: it is no JSON object of values: 9223372036854775808 is",
    );
    refused(
        "{\"a\\u0000b\": 1}",
        "cannot take result 1: it is no JSON object of values: the name of a column has a zero",
    );
    refused("{}", "cannot take result 1: ");
    refused(&"[".repeat(100_000), "cannot take result 1: it is no JSON object of values");
    refused(
        &format!("{{\"a\": {}", "[".repeat(100_000)),
        "cannot take result 1: it is no JSON object of values: recursion",
    );
    let error = loaded("sqlite_x", r#"{"a": 1}"#, b"").unwrap_err();
    assert!(error.contains("reserved"), "{error}");
}

#[test]
fn what_is_no_database_is_refused() {
    let good = loaded("t", r#"{"a": 1}"#, b"").unwrap();
    let rows = r#"{"a": 2}"#;
    let error = loaded("t", rows, b"This is a text, of more than a few bytes, and no database.").unwrap_err();
    assert_eq!(error, "cannot be written: file is not a database");
    // Whatever stands in it, the answer is a database or an error.
    for place in (0..good.len()).step_by(7) {
        let mut damaged = good.clone();
        damaged[place] ^= 0x55;
        if let Ok(database) = loaded("t", rows, &damaged) {
            assert!(database.len() >= good.len());
        }
    }
    for len in (1..good.len()).step_by(509) {
        let _ = loaded("t", rows, &good[..len]);
    }
}

#[test]
fn statements_in_names_are_names() {
    let rows = r#"{"a\"); DROP TABLE t; --": "x'); DROP TABLE t; --"}"#;
    let database = loaded("t\"; DROP TABLE t; --", rows, b"").unwrap();
    assert_eq!(query(&database, "SELECT count(*) FROM sqlite_schema"), ["Integer(1)"]);
}
