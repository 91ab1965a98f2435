//! The lines that match a regular expression. Setting `pattern`.
//!
//! The syntax is that of the `regex` crate without Unicode classes: lines are bytes, `.` is any byte, `\w`, `\d`, `\b` and
//! `(?i)` know ASCII. A letter beyond ASCII in the pattern matches its UTF-8 bytes. A matching line is returned as it is.

use regex::bytes::{Regex, RegexBuilder};
use taskhost_kernel::prelude::*;

static PATTERN: Setup<Regex> = Setup::new();

struct Grep;

impl Kernel for Grep {
    fn describe() -> Description {
        Description::new("Keeps the lines that match a regular expression.")
            .split("lines")
            .merge("lines")
            .required("pattern", "Regular expression (ASCII classes; see https://docs.rs/regex).")
    }

    fn start() -> Result<()> {
        PATTERN.fill(compile(&config::require("pattern")?)?);
        Ok(())
    }
}

impl Filter for Grep {
    fn process(item: &[u8], results: &mut Results) -> Result<()> {
        if PATTERN.get().is_match(item) {
            results.push(item)?;
        }
        Ok(())
    }
}

taskhost_kernel::export!(Grep as filter);

fn compile(pattern: &str) -> Result<Regex> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .build()
        .map_err(|error| Error::failed(format!("--config pattern={pattern}: {error}")))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn matches(pattern: &str, line: &[u8]) -> bool {
        compile(pattern).unwrap().is_match(line)
    }

    #[test]
    fn patterns_match_bytes() {
        assert!(matches("b+c", b"abbbcd"));
        assert!(!matches("^b+c", b"abbbcd"));
        assert!(matches(r"^\w+\s\d{3}$", b"error 404"));
        assert!(matches("(?i)ERROR", b"an Error"));
        assert!(matches("^a.b$", b"a\xffb"), "any byte");
        assert!(matches("é", "café".as_bytes()));
        assert!(matches("", b""));
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error = compile("a(b").unwrap_err();
        assert!(error.text().starts_with("--config pattern=a(b: "), "{error}");
    }

    #[test]
    fn matching_lines_are_kept_as_they_are() {
        taskhost_kernel::testing::set_config("pattern", "x");
        Grep::start().unwrap();
        let mut results = Results::default();
        for line in [b"ax\r".as_slice(), b"b", b"", b"xx"] {
            Grep::process(line, &mut results).unwrap();
        }
        let kept: Vec<&[u8]> = results.iter().collect();
        assert_eq!(kept, [b"ax\r".as_slice(), b"xx"]);
    }
}
