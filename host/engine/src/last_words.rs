//! What a kernel said before it trapped. A trap itself only says `unreachable`; what the panic was about is in the last
//! line that was logged as an error, or in what the language's runtime printed to standard error.

use taskhost_protocol::fault::Fault;
use taskhost_protocol::limits::cap_text;

/// What runtimes print where they give up.
const MARKS: [&str; 4] = ["panicked at ", "panic: ", "fatal error: ", "Assertion failed"];

/// Rust's message stands below the place, and ends at a note or here.
const LINES_OF_PANIC: usize = 4;

/// The exception of a traceback of Python's is its first line that is not indented.
const TRACEBACK: &str = "Traceback (most recent call last):";

/// The fault of an item, with what the kernel said last: `logged` as an error, or `printed` to standard error.
pub(crate) fn added(fault: Fault, logged: Option<&str>, printed: &str) -> Fault {
    let Fault::Trap { reason, backtrace } = fault else { return fault };
    let words = logged.map_or_else(|| of_runtime(printed), in_one_line);
    if words.is_empty() {
        return Fault::Trap { reason, backtrace };
    }
    Fault::Trap { reason: cap_text(format!("{reason}; it last said: {words}")), backtrace }
}

fn in_one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// The lines that tell why, in one: those of an exception or at a mark, or else the last.
fn of_runtime(printed: &str) -> String {
    let lines: Vec<&str> = printed.lines().filter(|line| !line.trim().is_empty()).collect();
    let after_traceback = lines.iter().rposition(|line| line.starts_with(TRACEBACK)).map(|at| &lines[at + 1..]);
    if let Some(exception) = after_traceback.and_then(|rest| rest.iter().find(|line| !line.starts_with(' '))) {
        return (*exception).to_owned();
    }
    let Some(first) = lines.iter().rposition(|line| MARKS.iter().any(|mark| line.contains(mark))) else {
        return lines.last().copied().unwrap_or_default().trim().to_owned();
    };
    let count = if lines[first].contains(MARKS[0]) { LINES_OF_PANIC } else { 1 };
    let of_panic = lines[first..].iter().take(count).take_while(|line| !line.starts_with("note: "));
    of_panic.map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_in_what_runtimes_print() {
        let rust =
            "\nthread 'main' (1) panicked at src/lib.rs:7:5:\nindex out of bounds\nnote: run with `RUST_BACKTRACE=1`\n";
        assert_eq!(of_runtime(rust), "thread 'main' (1) panicked at src/lib.rs:7:5: index out of bounds");
        let go = "panic: boom\n\ngoroutine 1 [running]:\nmain.process(...)\n";
        assert_eq!(of_runtime(go), "panic: boom");
        assert_eq!(of_runtime("Assertion failed: x > 0 (k.c: f: 3)\n"), "Assertion failed: x > 0 (k.c: f: 3)");
        let python = "Traceback (most recent call last):\n  File \"k.py\", line 9\nValueError: no\n\n";
        assert_eq!(of_runtime(python), "ValueError: no");
        let both =
            format!("{python}thread '<unnamed>' (1) panicked at runtime/src/lib.rs:1:2:\nunexpected exception\n");
        assert_eq!(of_runtime(&both), "ValueError: no");
        assert_eq!(of_runtime("no more room\n"), "no more room");
        assert_eq!(of_runtime(" \n"), "");
    }

    #[test]
    fn only_a_trap_gets_them_and_a_log_line_goes_first() {
        let trap = || Fault::Trap { reason: "unreachable".into(), backtrace: vec!["f".into()] };
        let with = |text: &str| Fault::Trap { reason: text.into(), backtrace: vec!["f".into()] };
        assert_eq!(added(trap(), None, ""), trap());
        assert_eq!(added(trap(), Some("at\nboom"), "x\n"), with("unreachable; it last said: at boom"));
        assert_eq!(added(trap(), None, "x\n"), with("unreachable; it last said: x"));
        assert_eq!(added(Fault::Failed("no".into()), Some("boom"), ""), Fault::Failed("no".into()));
    }
}
