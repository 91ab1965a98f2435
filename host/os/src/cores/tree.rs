//! Reading the small files of /sys and /proc below some root.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Most bytes read of one file. Those of interest are short; `mountinfo` of a container host may be long.
const MOST_BYTES: u64 = 1 << 20;

/// A tree of files as the kernel shows them: the real one or a recorded one.
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The text of a file without the white space around it; `None` when it cannot be read.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        let file = File::open(self.root.join(path.trim_start_matches('/'))).ok()?;
        let mut text = String::new();
        file.take(MOST_BYTES).read_to_string(&mut text).ok()?;
        text.truncate(text.trim_end().len());
        Some(text)
    }

    /// The value in a file that holds one.
    pub(crate) fn value<T: FromStr>(&self, path: &str) -> Option<T> {
        self.text(path)?.trim().parse().ok()
    }
}
