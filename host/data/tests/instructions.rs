//! Instructions that finding a line takes, counted by valgrind: the same on every machine with this compiler, whatever else
//! runs. Each line of an input is found by this code before anything else is done for it.

use std::io::Write as _;
use std::process::Command;

use taskhost_data::lines::ItemCursor;
use taskhost_protocol::ids::{SlotId, SourceId};
use taskhost_protocol::work::{Piece, Split};

/// In the environment of the process that is counted: how many lines it finds.
const LINES: &str = "COUNT_LINES";

const FEW: u64 = 1000;
const MANY: u64 = 11_000;

/// What a line of eight bytes may take in a build for tests, which is not optimised: a fifth more than the 587 it does.
const MOST: u64 = 700;

fn main() {
    if let Some(lines) = std::env::var(LINES).ok().and_then(|lines| lines.parse().ok()) {
        find(lines);
        return;
    }
    let (Some(few), Some(many)) = (instructions(FEW), instructions(MANY)) else {
        let required = std::env::var_os("TASKHOST_REQUIRE").is_some_and(|value| value == "full");
        assert!(!required, "valgrind is required: apt-get install valgrind");
        let _ = writeln!(std::io::stderr(), "SKIPPED instructions of a line: valgrind is not there");
        return;
    };
    let each = (many - few) / (MANY - FEW);
    assert!(each <= MOST, "{each} instructions for each line, more than {MOST}");
    assert!(each > 0, "nothing was counted");
}

/// Finds so many lines.
fn find(lines: u64) {
    let text = "1234567\n".repeat(usize::try_from(lines).expect("it is small"));
    let end = text.len() as u64;
    let piece = Piece { source: SourceId(0), slot: SlotId(0), start: 0, end, from: 0, to: end, at: 0, base: 0 };
    let mut file = text.as_bytes();
    let mut cursor = ItemCursor::new();
    cursor.open(&piece, Split::Lines, &mut file).expect("it can be read");
    let mut found = 0;
    while let Some(item) = cursor.next_item(&mut file).expect("it can be read") {
        found += cursor.bytes(&item).len() as u64;
    }
    assert_eq!(found, 7 * lines);
}

/// Instructions of a process that finds so many; `None` without valgrind.
fn instructions(lines: u64) -> Option<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    let program = std::env::current_exe().expect("this is a program");
    let output = valgrind.arg(program).env(LINES, lines.to_string()).output().ok()?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    // `==1234== Collected : 123456`
    let counted = words.lines().find_map(|line| line.split_once("Collected :"))?.1;
    Some(counted.trim().parse().expect("a number of instructions"))
}
