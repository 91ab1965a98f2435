//! What a kernel said before it trapped. A trap itself only says `unreachable`; what the panic was about is in the last
//! line that was logged as an error, or in what the language's runtime printed to standard error.

use taskhost_protocol::fault::Fault;
use taskhost_protocol::limits::cap_text;

/// What runtimes print where they give up, and how many lines of it tell why: Rust's message stands below the place.
const MARKS: [(&str, usize); 4] = [("panicked at ", 2), ("panic: ", 1), ("fatal error: ", 1), ("Assertion failed", 1)];

/// The fault of an item, with what the kernel said last: `logged` as an error, or `printed` to standard error.
pub(crate) fn added(fault: Fault, logged: Option<&str>, printed: &str) -> Fault {
    let Fault::Trap { reason, backtrace } = fault else { return fault };
    let words = logged.map_or_else(|| of_runtime(printed), str::to_owned);
    if words.is_empty() {
        return Fault::Trap { reason, backtrace };
    }
    Fault::Trap { reason: cap_text(format!("{reason}; it last said: {words}")), backtrace }
}

/// The lines that tell why, in one: those at a mark, or else the last (of a traceback of Python's, the exception).
fn of_runtime(printed: &str) -> String {
    let lines: Vec<&str> = printed.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let at_mark = |&(mark, count): &(&str, usize)| {
        let first = lines.iter().rposition(|line| line.contains(mark))?;
        Some(lines[first..].iter().take(count).copied().collect::<Vec<_>>().join(" "))
    };
    let last = || lines.last().copied().unwrap_or_default().to_owned();
    MARKS.iter().find_map(at_mark).unwrap_or_else(last)
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
        assert_eq!(of_runtime(" \n"), "");
    }

    #[test]
    fn only_a_trap_gets_them_and_a_log_line_goes_first() {
        let trap = || Fault::Trap { reason: "unreachable".into(), backtrace: vec!["f".into()] };
        let with = |text: &str| Fault::Trap { reason: text.into(), backtrace: vec!["f".into()] };
        assert_eq!(added(trap(), None, ""), trap());
        assert_eq!(added(trap(), Some("boom"), "x\n"), with("unreachable; it last said: boom"));
        assert_eq!(added(trap(), None, "x\n"), with("unreachable; it last said: x"));
        assert_eq!(added(Fault::Failed("no".into()), Some("boom"), ""), Fault::Failed("no".into()));
    }
}
