//! How a run of the program ended, and what of its words can be compared.

use std::sync::LazyLock;

use regex::Regex;

/// How the program ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Exit code, or 128 and the number of the signal that ended it.
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn code(self, wanted: i32) -> Self {
        assert_eq!(self.code, wanted, "exit code; standard error:\n{}", self.stderr);
        self
    }

    /// Asserts success.
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        self.code(0)
    }

    /// Standard output as text.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.stdout).unwrap()
    }

    /// Standard error without what differs from run to run and from machine to machine.
    pub(crate) fn messages(&self) -> String {
        scrubbed(&self.stderr)
    }
}

/// Text without what differs from run to run and from machine to machine.
fn scrubbed(text: &str) -> String {
    static SUMMARY: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?m), [0-9.]+ (?:ns|µs|ms|s|min|h)[^,\n]*, [0-9]+ workers? [^\n]*, speed-up [0-9.]+$").unwrap()
    });
    static OF_THE_MACHINE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?m)^(not every worker was pinned|this machine does not allow).*\n").unwrap());
    let text = SUMMARY.replace_all(text, ", TIME, WORKERS, SPEED-UP");
    OF_THE_MACHINE.replace_all(&text, "").into_owned()
}
