//! Results as rows of a SQLite database: all of them or none, and what was there stays as it was.

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;
use rustix::process::Signal;

use crate::harness::{Place, skipped};

const ROWS: &str = "{\"name\":\"wing\",\"mass\":12.5}\n{\"name\":\"gear\",\"mass\":7}\n";

/// What a query says, columns with bars between them.
fn query(place: &Place, name: &str, sql: &str) -> Vec<String> {
    let connection = Connection::open(place.path(name)).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let value = |at| row.get::<_, rusqlite::types::Value>(at).map(|value| format!("{value:?}"));
        Ok((0..columns).map(value).collect::<Result<Vec<_>, _>>()?.join("|"))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn made(place: &Place, name: &str, sql: &str) {
    Connection::open(place.path(name)).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn results_become_rows() {
    let place = Place::new();
    place.write("in", ROWS);
    place.taskhost("run echo in --split lines --merge lines -o out.sqlite::parts").run().success();
    let all = ["Text(\"wing\")|Real(12.5)", "Text(\"gear\")|Real(7.0)"];
    assert_eq!(query(&place, "out.sqlite", "SELECT name, mass FROM parts"), all);
    // Without line ends between them, from a pipe, compressed: more of the same.
    let packed = {
        let mut packed = Vec::new();
        use taskhost_protocol::stream::{Conversion, Packing};
        taskhost_codec::convert(Conversion::Pack(Packing::Gzip), ROWS.as_bytes(), &mut packed).unwrap();
        packed
    };
    place.taskhost("run echo --split lines --merge concat -o out.sqlite::parts").input(packed).run().success();
    assert_eq!(query(&place, "out.sqlite", "SELECT name, mass FROM parts"), [all, all].concat());
    assert_eq!(query(&place, "out.sqlite", "PRAGMA integrity_check"), ["Text(\"ok\")"]);
    assert_eq!(place.files(), ["in", "out.sqlite"]);
}

#[test]
fn other_tables_stay_as_they_are() {
    let place = Place::new();
    place.write("in", ROWS);
    let before = "PRAGMA journal_mode = WAL; CREATE TABLE old (a); INSERT INTO old VALUES (1);
        CREATE TABLE parts (id INTEGER PRIMARY KEY, name TEXT, mass REAL, state TEXT DEFAULT 'new')";
    made(&place, "x.db", before);
    place.taskhost("run echo in --split lines --merge lines -o x.db::parts").run().success();
    assert_eq!(query(&place, "x.db", "SELECT a FROM old"), ["Integer(1)"]);
    assert_eq!(
        query(&place, "x.db", "SELECT id, state FROM parts"),
        ["Integer(1)|Text(\"new\")", "Integer(2)|Text(\"new\")"]
    );
    assert_eq!(query(&place, "x.db", "PRAGMA journal_mode"), ["Text(\"wal\")"]);
}

#[test]
fn many_rows_are_one_transaction() {
    let place = Place::new();
    let rows: String =
        (0..50_000).map(|number| format!("{{\"number\":{number},\"text\":\"row {number}\"}}\n")).collect();
    place.write("in", rows);
    place.taskhost("run echo in --split lines --merge lines -o out.sqlite::t").run().success();
    let sums = query(&place, "out.sqlite", "SELECT count(*), sum(number), count(DISTINCT text) FROM t");
    assert_eq!(sums, ["Integer(50000)|Integer(1249975000)|Integer(50000)"]);
}

#[test]
fn a_result_that_is_no_row_leaves_everything_as_it_was() {
    let place = Place::new();
    made(&place, "x.sqlite", "CREATE TABLE parts (name TEXT, mass REAL)");
    let before = place.read("x.sqlite");
    for (rows, message) in [
        ("{\"name\":\"a\"}\nnothing\n", "error: x.sqlite: cannot take result 2: it is no JSON object of values"),
        (
            "{\"color\":1}\n",
            "error: x.sqlite: cannot take result 1: the table parts has no column `color`; it has: name, mass",
        ),
        ("{\"name\":\"a\"}\n{\"name\"", "error: x.sqlite: cannot take result 2: it is no JSON object of values: EOF"),
    ] {
        place.write("in", rows);
        let outcome = place.taskhost("run echo in --split lines --merge lines -o x.sqlite::parts").run().code(5);
        assert!(outcome.messages().starts_with(message), "{}", outcome.messages());
        assert!(place.read("x.sqlite") == before);
        assert_eq!(place.files(), ["in", "x.sqlite"]);
    }
}

#[test]
fn what_cannot_be_written_to_is_said_first() {
    let place = Place::new();
    place.write("in", ROWS);
    let refused = |line: &str, code: i32, message: &str| {
        let files = place.files();
        let outcome = place.taskhost(&format!("run echo in --split lines --merge lines -o {line}")).run().code(code);
        assert!(outcome.messages().starts_with(message), "{}", outcome.messages());
        assert_eq!(place.files(), files);
    };
    refused("out.sqlite::", 2, "error: -o out.sqlite:: names no table: write -o out.sqlite::TABLE");
    place.write("text.db", "This is a text of some length, and no database at all.");
    refused("text.db::t", 5, "error: text.db: cannot be written: file is not a database");
    assert_eq!(place.text("text.db"), "This is a text of some length, and no database at all.");
    made(&place, "busy.db", "CREATE TABLE t (a)");
    place.write("busy.db-wal", "something");
    refused("busy.db::t", 5, "error: busy.db-wal is there, so that busy.db is in use, or was left in the middle");
    let journal = "error: --journal cannot go on in the middle of a result that is rows of the table t of a database: ";
    refused("out.db::t --journal run.journal", 2, journal);
    fs::File::create(place.path("large.db")).unwrap().set_len((1 << 30) + 1).unwrap();
    refused("large.db::t", 5, "error: large.db is larger than 1 GiB, the most that rows are added to in this way");
    // Without one of the extensions it is a name like any other.
    place.taskhost("run echo in -o a::b").run().success();
    assert_eq!(place.text("a::b"), ROWS);
}

#[test]
fn an_interrupted_run_adds_nothing() {
    for signal in [Signal::INT, Signal::TERM] {
        let place = Place::new();
        made(&place, "x.sqlite", "CREATE TABLE t (a); INSERT INTO t VALUES (1)");
        let before = place.read("x.sqlite");
        let mut running =
            place.taskhost("run echo --split lines --merge lines -o x.sqlite::t --drain-timeout 0s").start();
        running.write("{\"a\":2}\n{\"a\":3}\n");
        if !rustix::process::geteuid().is_root() {
            return skipped(
                "database::an_interrupted_run_adds_nothing",
                "only root sees a locked worker's descriptors",
            );
        }
        running.converter();
        running.process.signal(signal);
        running.end().code(if signal == Signal::INT { 130 } else { 143 });
        assert!(place.read("x.sqlite") == before);
        assert_eq!(place.files(), ["x.sqlite"]);
    }
}

#[test]
fn whoever_writes_a_database_is_locked_in() {
    let place = Place::new();
    let mut running = place.taskhost("run echo --split lines --merge lines -o x.sqlite::t").start();
    running.write("{\"a\":1}\n");
    if !rustix::process::geteuid().is_root() {
        return skipped(
            "database::whoever_writes_a_database_is_locked_in",
            "only root sees a locked worker's descriptors",
        );
    }
    let worker = running.converter();
    assert_eq!(worker.status("Seccomp"), "2");
    assert_eq!(worker.status("NoNewPrivs"), "1");
    assert_eq!(worker.status("CapBnd"), "0000000000000000");
    let held = worker.open_files();
    let is_given = |name: &&String| {
        let parts = ["socket:[", "pipe:[", "/dev/null"];
        parts.iter().any(|part| name.starts_with(part)) || name.contains(".taskhost-")
    };
    let others: Vec<&String> = held.iter().filter(|name| !is_given(name)).collect();
    assert!(others.is_empty(), "{others:?}");
    assert_eq!(held.iter().filter(|name| name.contains(".taskhost-")).count(), 1, "the file, not its folder: {held:?}");
    running.end().success();
    assert_eq!(query(&place, "x.sqlite", "SELECT a FROM t"), ["Integer(1)"]);
}

/// Somebody else's rows are not lost.
#[test]
fn a_database_that_was_changed_meanwhile_is_left_alone() {
    let place = Place::new();
    made(&place, "x.sqlite", "CREATE TABLE t (a)");
    let mut running = place.taskhost("run echo --split lines --merge lines -o x.sqlite::t").start();
    running.write("{\"a\":1}\n");
    if !rustix::process::geteuid().is_root() {
        return skipped(
            "database::a_database_that_was_changed_meanwhile",
            "only root sees a locked worker's descriptors",
        );
    }
    running.converter();
    made(&place, "x.sqlite", "INSERT INTO t VALUES (77)");
    let outcome = running.end().code(5);
    let message = "error: x.sqlite: was changed by somebody else meanwhile, and nothing was added to it: run it again";
    assert!(outcome.messages().starts_with(message), "{}", outcome.messages());
    assert_eq!(query(&place, "x.sqlite", "SELECT a FROM t"), ["Integer(77)"]);
}

#[test]
fn each_input_can_have_a_database() {
    let place = Place::new();
    place.write("in/a.jsonl", ROWS);
    place.write("in/b.jsonl", "{\"x\":1}\n");
    let run = place.taskhost("run echo in --split lines --merge lines -o").argument("out/{stem}.db::rows");
    run.run().success();
    assert_eq!(query(&place, "out/a.db", "SELECT count(*) FROM rows"), ["Integer(2)"]);
    assert_eq!(query(&place, "out/b.db", "SELECT x FROM rows"), ["Integer(1)"]);
}

#[test]
fn what_would_be_done_is_told() {
    let place = Place::new();
    place.write("in", ROWS);
    let outcome = place.taskhost("run echo in --split lines -o out.db::t --dry-run").run().success();
    assert!(
        outcome.text().contains("output   out.db (rows of the table t of a database, by a worker)\n"),
        "{}",
        outcome.text()
    );
    assert_eq!(place.files(), ["in"]);
}

#[test]
fn values_of_typed_functions_become_rows() {
    let kernel = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/kernels/echo.wat");
    // A kernel whose results are no objects.
    let place = Place::new();
    place.write("in", "12\n");
    let run = place.taskhost("run").argument(kernel).arguments("in --split lines -o out.db::t");
    let outcome = run.run().code(5);
    assert!(
        outcome.messages().contains("out.db: cannot take result 1: it is no JSON object of values"),
        "{}",
        outcome.messages()
    );
    assert_eq!(place.files(), ["in"]);
}
