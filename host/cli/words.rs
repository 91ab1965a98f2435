//! The words of this command: those of its argument list, or those that a server has handed over.

use std::ffi::OsString;
use std::sync::OnceLock;

static WORDS: OnceLock<Vec<OsString>> = OnceLock::new();

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

/// Has these be the words. To be called before anybody has asked for them.
#[cfg(feature = "service")]
pub(crate) fn replace(words: Vec<OsString>) {
    let is_first = WORDS.set(words).is_ok();
    debug_assert!(is_first, "somebody has asked already");
}
