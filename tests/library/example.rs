//! The programs of `examples/`, as they stand, each in a process of its own.

use std::path::Path;
use std::process::Command;

use crate::Scenario;

#[path = "../../examples/articles/main.rs"]
mod articles;
#[path = "../../examples/embed/main.rs"]
mod embed;
#[path = "../../examples/pipeline/main.rs"]
mod pipeline;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("the_example_counts_primes", the_example_counts_primes),
    ("the_programs_of_the_articles", the_programs_of_the_articles),
    ("the_csv_job_of_the_articles", the_csv_job_of_the_articles),
    ("rows_are_validated_transformed_and_loaded", rows_are_validated_transformed_and_loaded),
];

/// Whether this process is to be one of the programs, which it is then.
pub(crate) fn live() -> bool {
    match std::env::args().nth(1).as_deref() {
        Some("--embed") => embed::main().expect("nothing goes wrong"),
        Some("--articles") => articles::main().expect("nothing goes wrong"),
        Some("--pipeline") => pipeline::main().expect("nothing goes wrong"),
        _ => return false,
    }
    true
}

fn example(name: &str) -> &'static Path {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).join(name);
    // There are only a few.
    Box::leak(folder.into_boxed_path())
}

/// Runs a program in the folder of its example.
fn run(program: &str, arguments: &[&str]) -> String {
    let myself = std::env::current_exe().expect("this program has a file");
    let mut command = Command::new(myself);
    command.arg(format!("--{program}")).args(arguments).current_dir(example(program));
    let output = command.output().expect("it can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Runs a script that makes files in a folder.
fn make(script: &str, folder: &Path) {
    let made = Command::new("bash").arg(example(script)).arg(folder).status().expect("there is bash");
    assert!(made.success());
}

fn text(folder: &Path) -> &str {
    folder.to_str().expect("UTF-8")
}

fn the_example_counts_primes() {
    let text = run("embed", &[]);
    let counts: Vec<u64> = text.lines().map(|line| line.parse().expect("a number")).collect();
    assert_eq!((counts.len(), counts[..3].to_vec()), (1000, vec![25, 21, 16]));
    assert_eq!(counts.iter().sum::<u64>(), 9592);
}

fn the_programs_of_the_articles() {
    for name in ["primes", "cpu-task", "endless", "shared-array", "image-filter"] {
        let expected = std::fs::read_to_string(example("articles").join(format!("{name}.txt"))).expect("it is there");
        assert_eq!(run("articles", &[name]), expected, "{name}");
    }
}

fn the_csv_job_of_the_articles() {
    let place = tempfile::tempdir().expect("a folder");
    make("csv/make.sh", place.path());
    let result = run("articles", &["csv-job", text(place.path())]);
    let (rows, sum) = result.trim_end().split_once('\t').expect("a tab");
    // As any order of adding up has it, but for the last digits.
    assert_eq!((rows, &sum[..15]), ("400000", "7140915474.6097"));
}

fn rows_are_validated_transformed_and_loaded() {
    let place = tempfile::tempdir().expect("a folder");
    let (folder, database) = (place.path().join("csv"), place.path().join("rows.db"));
    make("pipeline/make.sh", &folder);
    let said = run("pipeline", &[text(&folder), text(&database)]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "40000 items, 39960 results, 40 failed",
            "  validate.wasm: 40000 items, 39960 results, 40 failed",
            "  transform.wasm: 39960 items, 39960 results, 0 failed",
        ]
    );
    assert!(lines[3].starts_with("rejected by stage 0: item 999: "), "{}", lines[3]);
    assert!(lines[43].starts_with("loaded 39960 rows, 323020867.516"), "{}", lines[43]);
    let connection = rusqlite::Connection::open(database).expect("a database");
    let row = connection.query_row("SELECT result FROM rows WHERE id = 1234", (), |row| row.get::<_, f64>(0));
    // 1234 % 97 and 1234 % 100.
    assert_eq!(row.expect("a row"), 70.34 * 70.34 + 4950.0);
    let missing =
        connection.query_row("SELECT count(*) FROM rows WHERE id % 1000 = 999", (), |row| row.get::<_, i64>(0));
    assert_eq!(missing.expect("a number"), 0);
}
