//! The words of this command: those of its argument list, or those that a server has handed over.

use std::ffi::OsString;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static WORDS: OnceLock<Vec<OsString>> = OnceLock::new();

static ARE_HANDED_OVER: AtomicBool = AtomicBool::new(false);

/// All of them, the program's name first.
pub(crate) fn all() -> &'static [OsString] {
    WORDS.get_or_init(|| std::env::args_os().collect())
}

/// Those behind the program's name.
pub(crate) fn arguments() -> &'static [OsString] {
    all().get(1..).unwrap_or_default()
}

/// All of them, to be shown.
pub(crate) fn shown() -> Vec<String> {
    all().iter().map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Whether a server has handed them over: then whoever reads what is said types nothing, and calls flags parameters.
pub(crate) fn are_handed_over() -> bool {
    ARE_HANDED_OVER.load(Ordering::Relaxed)
}

/// How to ask for a result without the items that fail.
pub(crate) fn to_skip() -> &'static str {
    if are_handed_over() { "say \"on_error\": \"skip\"" } else { "type --on-error skip" }
}

/// What is wrong with the words, for whoever calls flags parameters: `--on-error <HOW>` is `on_error` then.
pub(crate) fn in_parameters(text: &str) -> String {
    let text = text.split("\n\nFor more information").next().unwrap_or_default();
    let (mut said, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find("--") {
        let (before, flag) = rest.split_at(at);
        let flag = &flag["--".len()..];
        let end = flag.find(|sign: char| !sign.is_ascii_lowercase() && sign != '-').unwrap_or(flag.len());
        said.push_str(before);
        said.push_str(&flag[..end].replace('-', "_"));
        rest = &flag[end..];
        // What stands for its value in a line of help.
        if let Some((_, after)) = rest.strip_prefix(" <").and_then(|value| value.split_once('>')) {
            rest = after;
        }
    }
    said + rest.trim_end()
}

/// Has these be the words. To be called before anybody has asked for them.
#[cfg(feature = "service")]
pub(crate) fn replace(words: Vec<OsString>) {
    ARE_HANDED_OVER.store(true, Ordering::Relaxed);
    let is_first = WORDS.set(words).is_ok();
    debug_assert!(is_first, "somebody has asked already");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_parameters_for_whoever_has_no_command_line() {
        for (text, said) in [
            (
                "error: invalid value 'x' for '--on-error <HOW>'\n  [possible values: fail, skip]\n\nFor more information, try '--help'.\n",
                "error: invalid value 'x' for 'on_error'\n  [possible values: fail, skip]",
            ),
            ("`--split records:0`: an item", "`split records:0`: an item"),
            ("--a --keep-header", "a keep_header"),
            ("nothing -- of <that>\n", "nothing  of <that>"),
        ] {
            assert_eq!(in_parameters(text), said);
        }
    }
}
