//! Parquet files as inputs and outputs, held against what pyarrow makes of them and reads in them.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::harness::{Outcome, Place, Program, skipped};

/// Writes `in.parquet`: columns of many types, three groups of rows.
const MAKE: &str = "
import datetime, decimal, math, sys
import pyarrow as pa, pyarrow.parquet as pq
n = 2500
table = pa.table({
    'number': pa.array(range(n), pa.int64()),
    'small': pa.array([i % 100 for i in range(n)], pa.uint8()),
    'half': [i / 2 for i in range(n)],
    'name': [None if i % 7 == 0 else f'name {i} \\u00e9' for i in range(n)],
    'yes': [i % 3 == 0 for i in range(n)],
    'when': pa.array([datetime.datetime(2026, 1, 1) + datetime.timedelta(hours=i) for i in range(n)], pa.timestamp('us')),
    'zone': pa.array([i * 1000 for i in range(n)], pa.timestamp('ms', tz='Europe/Berlin')),
    'price': pa.array([decimal.Decimal(i) / 4 for i in range(n)], pa.decimal128(12, 2)),
    'raw': [bytes([i % 256, 0]) for i in range(n)],
    'list': [list(range(i % 4)) for i in range(n)],
    'point': [{'x': i, 'y': None if i % 5 == 0 else f'{i}'} for i in range(n)],
    'kind': pa.array(['red', 'green', 'blue', 'red'] * (n // 4)).dictionary_encode(),
})
for name in ['snappy', 'gzip', 'zstd', 'brotli', 'lz4', 'none']:
    pq.write_table(table, f'{name}.parquet', row_group_size=1000, compression=name)
";

/// The interpreter that has pyarrow, when it is there.
fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("pyarrow/bin/python");
    if python.exists() {
        return Some(python);
    }
    skipped("parquet", "there is no pyarrow: tests/programs/pyarrow.sh installs it");
    None
}

fn script(place: &Place, python: &Path, script: &str) -> Outcome {
    let run = Program::of(python.as_os_str(), &place.path("")).env("PYTHONDONTWRITEBYTECODE", "1");
    run.argument("-c").argument(script).run().success()
}

#[test]
fn groups_of_rows_are_items_and_results_a_table() {
    let Some(python) = python() else { return };
    let place = Place::new();
    script(&place, &python, MAKE);
    for name in ["snappy", "gzip", "zstd", "brotli", "lz4", "none"] {
        let outcome =
            place.taskhost(&format!("run echo {name}.parquet --split whole -o copy-{name}.parquet")).run().success();
        assert!(outcome.messages().contains("3 items"), "{}", outcome.messages());
    }
    // An item is a whole stream, as any program that knows Arrow reads it.
    place.taskhost("run echo snappy.parquet --split whole -o streams -j 2").run().success();
    let check = "
import pyarrow as pa, pyarrow.parquet as pq
whole = pq.read_table('snappy.parquet')
for name in ['snappy', 'gzip', 'zstd', 'brotli', 'lz4', 'none']:
    copy = pq.read_table(f'copy-{name}.parquet')
    assert copy.schema.equals(whole.schema), (copy.schema, whole.schema)
    assert copy.equals(whole), name
with open('streams', 'rb') as file:
    groups = [pa.ipc.open_stream(file).read_all() for _ in range(3)]
    assert not file.read()
assert [group.num_rows for group in groups] == [1000, 1000, 500]
assert pa.concat_tables(groups).unify_dictionaries().equals(whole.unify_dictionaries())
";
    script(&place, &python, check);
}

#[test]
fn rows_are_lines_of_json_and_lines_rows() {
    let Some(python) = python() else { return };
    let place = Place::new();
    script(&place, &python, MAKE);
    place.taskhost("run echo zstd.parquet --split lines --merge lines -o rows.jsonl").run().success();
    place.taskhost("run echo rows.jsonl --split lines --merge lines -o rows.parquet").run().success();
    let check = "
import datetime, json, pyarrow.parquet as pq
rows = [json.loads(line) for line in open('rows.jsonl')]
wanted = pq.read_table('zstd.parquet').drop(['zone']).to_pylist()
assert len(rows) == len(wanted)
for row, other in zip(rows, wanted):
    for name in ['number', 'small', 'half', 'name', 'yes', 'list', 'point', 'kind']:
        assert row[name] == other[name], (name, row, other)
    assert row['when'] == other['when'].isoformat(), row
    assert datetime.datetime.fromisoformat(row['zone'].replace('Z', '+00:00')).timestamp() == row['number'], row
    assert row['raw'] == other['raw'].hex(), row
    assert float(row['price']) == float(other['price']), row
table = pq.read_table('rows.parquet')
assert str(table.schema.field('number').type) == 'int64'
assert str(table.schema.field('half').type) == 'double'
assert table.to_pylist() == rows
";
    script(&place, &python, check);
}

#[test]
fn functions_take_rows_and_give_rows() {
    let Some(python) = python() else { return };
    let place = Place::new();
    place.write("library.wasm", crate::invoke::library::library());
    let make = "
import pyarrow as pa, pyarrow.parquet as pq
pq.write_table(pa.table({'divisor': [2, 3, 4], 'dividend': [7, 9, 8]}), 'calls.parquet')
pq.write_table(pa.table({'x': [1.5, 3.0], 'y': [2.0, 4.25]}), 'points.parquet', row_group_size=1)
";
    script(&place, &python, make);
    let outcome = place.taskhost("run library.wasm --invoke divide calls.parquet").run().success();
    assert_eq!(outcome.text(), "3\n3\n2\n");
    place.taskhost("run library.wasm --invoke flip points.parquet -o flipped.parquet").run().success();
    let check = "
import pyarrow.parquet as pq
rows = pq.read_table('flipped.parquet').to_pylist()
assert rows == [{'x': 2.0, 'y': 1.5}, {'x': 4.25, 'y': 3.0}], rows
";
    script(&place, &python, check);
    let outcome = place.taskhost("run library.wasm --invoke divide calls.parquet -o numbers.parquet").run().code(3);
    let message = "the output cannot take its result: it is neither a JSON object nor an Arrow IPC stream";
    assert!(outcome.messages().contains(message), "{}", outcome.messages());
    assert!(!place.path("numbers.parquet").exists());
}

#[test]
fn several_tables_and_other_files_are_one_input() {
    let place = Place::new();
    place.write("rows", "{\"a\":1}\n{\"a\":2}\n");
    place.taskhost("run echo rows --split lines -o one.parquet").run().success();
    place.write("more", "{\"a\":3}\n");
    let outcome = place.taskhost("run echo one.parquet more one.parquet --split lines --merge lines").run().success();
    assert_eq!(outcome.text(), "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n{\"a\":1}\n{\"a\":2}\n");
    place.taskhost("run echo one.parquet one.parquet --split whole -o two.parquet").run().success();
    let outcome = place.taskhost("run echo two.parquet --split lines --merge lines").run().success();
    assert_eq!(outcome.text(), "{\"a\":1}\n{\"a\":2}\n".repeat(2));
    // One result for each input.
    place.write("in/x.parquet", place.read("one.parquet"));
    place.write("in/y.parquet", place.read("two.parquet"));
    place.taskhost("run echo in --split whole -o out/").run().success();
    assert!(place.read("out/x.parquet") == place.read("one.parquet"));
    // As standard input it is a file, too.
    let stdin = File::open(place.path("one.parquet")).unwrap();
    let outcome = place.taskhost("run echo --split lines --merge lines").stdin(stdin).run().success();
    assert_eq!(outcome.text(), "{\"a\":1}\n{\"a\":2}\n");
}

#[test]
fn a_failed_item_is_named_by_its_group() {
    let place = Place::new();
    let many: String = (0..1_100_000).map(|number| format!("{{\"number\":{number}}}\n")).collect();
    place.write("rows", many);
    place.taskhost("run echo rows --split blocks:1MiB -o in.parquet").run().success();
    let outcome = place
        .taskhost("run echo in.parquet --split whole --max-output 4MiB --on-error skip --errors - -o out")
        .run()
        .code(3);
    assert!(outcome.stderr.contains("in.parquet#0"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("in.parquet#1"), "{}", outcome.stderr);
}

#[test]
fn broken_files_are_refused_and_leave_nothing() {
    let place = Place::new();
    let rows: String = (0..5000).map(|number| format!("{{\"number\":{number},\"text\":\"{number}\"}}\n")).collect();
    place.write("rows", rows);
    place.taskhost("run echo rows --split lines -o whole.parquet").run().success();
    let whole = place.read("whole.parquet");
    let files = ["in.parquet", "rows", "whole.parquet"];
    let refused = |bytes: &[u8]| {
        for split in ["whole", "lines"] {
            place.write("in.parquet", bytes);
            let outcome = place.taskhost(&format!("run echo in.parquet --split {split} -o out")).run().code(5);
            let message = "error: in.parquet: in.parquet cannot be read as Parquet: ";
            let own = "error: in.parquet cannot be read as Parquet: ";
            assert!(
                outcome.messages().starts_with(message) || outcome.messages().starts_with(own),
                "{}",
                outcome.messages()
            );
            assert_eq!(place.files(), files);
        }
    };
    // Its table of contents is of another file, says nonsense, or is not there.
    let end = whole.len() - 8;
    refused(&[&whole[..whole.len() / 2], &whole[end..]].concat());
    refused(&[&whole[..4], &whole[end..]].concat());
    refused(&[&whole[..end], &[0xff, 0xff, 0xff, 0x7f], &whole[end + 4..]].concat());
    refused(&[&b"PAR1"[..], &[0; 100], b"\x64\0\0\0PAR1"].concat());
    // Its pages are.
    let mut damaged = whole.clone();
    damaged[4..end / 2].fill(0x5a);
    refused(&damaged);
    // What is cut off at its end, or its beginning, is none.
    place.write("in.parquet", &whole[..end]);
    place.taskhost("run echo in.parquet --split whole -o out").run().success();
    assert!(place.read("out") == whole[..end]);
}

#[test]
fn what_cannot_be_done_is_said() {
    let place = Place::new();
    place.write("rows", "{\"a\":1}\n");
    place.taskhost("run echo rows --split lines -o in.parquet").run().success();
    let refused = |line: &str, code: i32, message: &str| {
        let outcome = place.taskhost(line).run().code(code);
        assert!(outcome.messages().starts_with(message), "{line}: {}", outcome.messages());
        assert_eq!(place.files(), ["in.parquet", "rows"]);
    };
    refused(
        "run echo in.parquet --split records:4 -o out",
        5,
        "error: in.parquet is Parquet, which is taken by groups of rows (--split whole) or by rows (--split lines)",
    );
    refused(
        "run echo in.parquet --split lines --header -o out",
        5,
        "error: in.parquet is Parquet, whose rows come with the names of their columns: leave --header out",
    );
    refused(
        "run echo in.parquet -o out --journal run.journal",
        2,
        "error: --journal cannot go on in the middle of in.parquet, which is Parquet: ",
    );
    refused(
        "run echo rows -o out.parquet --journal run.journal",
        2,
        "error: --journal cannot go on in the middle of a result that is Parquet: ",
    );
    refused(
        "run echo rows --split lines --header --keep-header -o out.parquet",
        2,
        "error: --keep-header has no place in out.parquet, which is Parquet: leave it out",
    );
    refused("plan echo in.parquet --shards 2 -o run.plan", 2, "error: in.parquet is Parquet, and cannot be cut; ");
    let outcome = place.taskhost("run echo -o out").input(place.read("in.parquet")).run().code(5);
    assert!(
        outcome.messages().contains("is Parquet, which is read from its end: name the file"),
        "{}",
        outcome.messages()
    );
    place.taskhost("run echo in.parquet -o out.parquet --no-compression").run().success();
    assert!(place.read("out.parquet") == place.read("in.parquet"));
    let told = place.taskhost("run echo in.parquet -o other.parquet --dry-run").run().success();
    assert!(told.text().contains("in.parquet (Parquet, read by a worker)\n"), "{}", told.text());
    assert!(told.text().contains("output   other.parquet (Parquet, by a worker)\n"), "{}", told.text());
}

#[test]
fn a_result_that_differs_from_the_first_fails_its_item() {
    let place = Place::new();
    place.write("rows", "{\"a\":1}\n{\"a\":2}\n{\"b\":3}\n{\"a\":4}\n");
    place.write("out.parquet", "what was there before");
    let failed = "the output cannot take its result: the column `b` is not in the first result, which has: a";
    // By default, one result is not made when an item fails.
    let outcome = place.taskhost("run echo rows --split lines -o out.parquet").run().code(3);
    assert!(outcome.messages().contains(failed), "{}", outcome.messages());
    assert_eq!(place.text("out.parquet"), "what was there before");
    assert_eq!(place.files(), ["out.parquet", "rows"]);
    // Otherwise the others are in it.
    let outcome = place
        .taskhost(
            "run echo rows --split lines -o out.parquet --on-error skip --errors errors.jsonl --report report.json",
        )
        .run()
        .code(3);
    assert!(outcome.messages().contains("output written without 1 item: out.parquet"), "{}", outcome.messages());
    let record: serde_json::Value = serde_json::from_str(&place.text("errors.jsonl")).unwrap();
    let told = |name: &str| record[name].to_string();
    assert_eq!((told("verdict"), told("blame")), ("\"unfit\"".into(), "\"kernel\"".into()));
    assert_eq!((told("item"), told("line"), told("source")), ("2".into(), "3".into(), "\"rows\"".into()));
    assert_eq!((told("offset"), told("length"), told("attempts")), ("16".into(), "7".into(), "1".into()));
    assert_eq!(record["message"], failed);
    let report: serde_json::Value = serde_json::from_str(&place.text("report.json")).unwrap();
    assert_eq!(report["verdicts"]["unfit"], 1, "{report}");
    let rows = place.taskhost("run echo out.parquet --split lines --merge lines").run().success();
    assert_eq!(rows.text(), "{\"a\":1}\n{\"a\":2}\n{\"a\":4}\n");
    // A reduction is one result, so that no item is to blame.
    let outcome = place.taskhost("run wordcount rows -o sum.parquet --split blocks:1KiB").run().code(5);
    assert!(outcome.messages().starts_with("error: sum.parquet: cannot take result 1: "), "{}", outcome.messages());
}

#[test]
fn which_results_differ_depends_on_their_order_alone() {
    let Some(python) = python() else { return };
    let place = Place::new();
    // The first has no columns that anybody could take, and the second says which there are: what is null there gets its type
    // from one further on. Every tenth is otherwise; some items have several rows, of which one does not fit.
    let row = |number: u32| match number {
        0 => "[]".to_owned(),
        1 => "{\"number\":1,\"name\":null}".to_owned(),
        number if number % 10 == 3 => format!("{{\"number\":\"{number}\",\"name\":\"x\"}}"),
        number if number % 1000 == 7 => format!("{{\"number\":{number}}}"),
        number => format!("{{\"number\":{number},\"name\":\"{}\"}}", "x".repeat(number as usize % 90)),
    };
    let rows: Vec<String> = (0..60_000).map(row).collect();
    place.write("rows", rows.join("\n"));
    for workers in [1, 7] {
        let flags = format!("--on-error skip --errors errors-{workers}.jsonl -o out-{workers}.parquet -j {workers}");
        place.taskhost(&format!("run echo rows --split lines {flags}")).run().code(3);
        let flags = format!("--on-error skip --errors blocks-{workers}.jsonl -o blocks-{workers}.parquet -j {workers}");
        place.taskhost(&format!("run echo rows --split blocks:512 {flags}")).run().code(3);
    }
    assert!(place.read("out-1.parquet") == place.read("out-7.parquet"));
    assert!(place.read("blocks-1.parquet") == place.read("blocks-7.parquet"));
    let failed = |name: &str| -> Vec<u64> {
        let text = place.text(name);
        let item = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["item"].as_u64().unwrap();
        text.lines().map(item).collect()
    };
    let expected: Vec<u64> =
        (0..60_000).filter(|number| *number == 0 || number % 10 == 3 || number % 1000 == 7).collect();
    assert!(failed("errors-1.jsonl") == expected && failed("errors-7.jsonl") == expected);
    assert_eq!(failed("blocks-1.jsonl"), failed("blocks-7.jsonl"));
    let check = "
import json, pyarrow.parquet as pq
failed = {json.loads(line)['item'] for line in open('errors-7.jsonl')}
wanted = [json.loads(line) for number, line in enumerate(open('rows')) if number not in failed]
table = pq.read_table('out-7.parquet')
assert table.to_pylist() == wanted
assert str(table.schema.field('name').type) == 'string'
";
    script(&place, &python, check);
}

#[test]
fn streams_that_differ_from_the_first_fail_their_item() {
    let Some(python) = python() else { return };
    let place = Place::new();
    let make = "
import pyarrow as pa, os
os.mkdir('in')
def write(name, table):
    with pa.OSFile(f'in/{name}', 'wb') as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
for number in range(20):
    write(f'{number:02}', pa.table({'a': pa.array([number], pa.int64())}))
write('03', pa.table({'a': pa.array([3], pa.int32())}))
write('11', pa.table({'b': pa.array([11], pa.int64())}))
whole = open('in/15', 'rb').read()
open('in/15', 'wb').write(whole[:len(whole) // 2])
open('in/17', 'w').write('{\"a\":17}')
";
    script(&place, &python, make);
    for workers in [1, 7] {
        let flags = format!("--on-error skip --errors errors.jsonl -o out-{workers}.parquet -j {workers}");
        place.taskhost(&format!("run echo in --split whole {flags}")).run().code(3);
        let failed: Vec<String> = place
            .text("errors.jsonl")
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["source"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(failed, ["03", "11", "15", "17"]);
    }
    assert!(place.read("out-1.parquet") == place.read("out-7.parquet"));
    let check = "
import pyarrow.parquet as pq
rows = pq.read_table('out-7.parquet').to_pylist()
assert [row['a'] for row in rows] == [number for number in range(20) if number not in (3, 11, 15, 17)], rows
";
    script(&place, &python, check);
}

#[test]
fn whoever_reads_and_writes_tables_is_locked_in() {
    if !rustix::process::geteuid().is_root() {
        return skipped(
            "parquet::whoever_reads_and_writes_tables_is_locked_in",
            "only root sees a locked worker's descriptors",
        );
    }
    let place = Place::new();
    let rows: String = (0..400_000).map(|number| format!("{{\"number\":{number}}}\n")).collect();
    place.write("rows", rows);
    place.taskhost("run echo rows --split blocks:1MiB -o in.parquet").run().success();
    // It waits for a reader.
    let mut running = place.taskhost("run echo in.parquet --split lines --merge lines -j 1").start();
    assert_eq!(running.line(), "{\"number\":0}");
    let worker = running.converter();
    assert_eq!(worker.status("Seccomp"), "2");
    assert_eq!(worker.status("NoNewPrivs"), "1");
    assert_eq!(worker.status("Threads"), "1");
    let held = worker.open_files();
    assert!(held.iter().any(|name| name.ends_with("in.parquet")), "{held:?}");
    assert_eq!(held.iter().filter(|name| name.starts_with("pipe:[")).count(), 1, "{held:?}");
    let limit = std::fs::read_to_string(worker.file("limits")).unwrap();
    let data = limit.lines().find_map(|line| line.strip_prefix("Max data size")).unwrap();
    let bytes: u64 = data.split_whitespace().next().unwrap().parse().unwrap();
    assert!(bytes < 3 << 30, "{bytes} bytes of private memory");
    running.stop_reading();
    running.end().code(141);
}
