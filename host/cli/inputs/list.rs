//! `--input-list`: paths from a file or from standard input, one at a time, as they come.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::InputError;

/// Longest entry in bytes, over the longest path that Linux takes: a list with the wrong separator is one entry, which
/// must not be read into memory for ever.
pub(crate) const PATH_BYTES: usize = 64 * 1024;

/// Which list to read, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListSource {
    /// The file; `None` for standard input.
    pub(crate) path: Option<PathBuf>,
    /// `-0`: entries end with a NUL, not with a newline.
    pub(crate) nul: bool,
}

/// A list that is being read.
pub(crate) struct List {
    reader: Box<dyn BufRead + Send>,
    name: String,
    separator: u8,
    entry: u64,
    ended: bool,
}

impl std::fmt::Debug for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("List").field("name", &self.name).field("entry", &self.entry).finish_non_exhaustive()
    }
}

impl List {
    /// Opens a list.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(crate) fn open(source: ListSource) -> Result<Self, InputError> {
        let (reader, name): (Box<dyn BufRead + Send>, String) = match source.path {
            None => (Box::new(BufReader::new(std::io::stdin())), "standard input".into()),
            Some(path) => {
                let name = path.display().to_string();
                match File::open(&path) {
                    Ok(file) => (Box::new(BufReader::new(file)), name),
                    Err(error) => return Err(InputError::List { name, error }),
                }
            }
        };
        Ok(Self::from_reader(reader, name, source.nul))
    }

    /// A list that comes from `reader`.
    fn from_reader(reader: Box<dyn BufRead + Send>, name: String, nul: bool) -> Self {
        Self { reader, name, separator: if nul { 0 } else { b'\n' }, entry: 0, ended: false }
    }

    /// The next path, waiting for it if need be; `None` at the end. Empty entries are passed over.
    pub(super) fn next_path(&mut self) -> Option<Result<PathBuf, InputError>> {
        while !self.ended {
            let mut bytes = Vec::new();
            let limit = PATH_BYTES as u64 + 1;
            if let Err(error) = self.reader.by_ref().take(limit).read_until(self.separator, &mut bytes) {
                self.ended = true;
                return Some(Err(InputError::List { name: self.name.clone(), error }));
            }
            if bytes.is_empty() {
                self.ended = true;
                break;
            }
            self.entry += 1;
            if bytes.last() == Some(&self.separator) {
                bytes.pop();
            }
            if bytes.len() > PATH_BYTES {
                self.ended = true;
                return Some(Err(self.too_long()));
            }
            if !bytes.is_empty() {
                return Some(Ok(PathBuf::from(std::ffi::OsString::from_vec(bytes))));
            }
        }
        None
    }

    fn too_long(&self) -> InputError {
        let advice = if self.separator == 0 {
            "with -0 each path ends with a NUL byte (find -print0, fd -0)"
        } else {
            "each path stands on a line of its own; for NUL-separated paths add -0"
        };
        InputError::LongEntry { name: self.name.clone(), entry: self.entry, advice }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All entries of a list.
    fn entries(bytes: &'static [u8], nul: bool) -> Vec<Result<PathBuf, String>> {
        let mut list = List::from_reader(Box::new(bytes), "list".into(), nul);
        std::iter::from_fn(|| list.next_path()).map(|path| path.map_err(|error| error.to_string())).collect()
    }

    #[test]
    fn entries_are_lines_or_end_with_nul() {
        let paths = |names: &[&str]| names.iter().map(|name| Ok(PathBuf::from(name))).collect::<Vec<_>>();
        assert_eq!(entries(b"", false), []);
        assert_eq!(entries(b"a\n\nb c\nd", false), paths(&["a", "b c", "d"]));
        assert_eq!(entries(b"a\nb\0c\0", true), paths(&["a\nb", "c"]));
    }

    #[test]
    fn a_list_with_the_wrong_separator_is_not_read_for_ever() {
        static LONG: [u8; 1 << 20] = [b'x'; 1 << 20];
        let found = entries(&LONG, false);
        assert_eq!(found.len(), 1);
        assert!(found[0].as_ref().expect_err("too long").contains("add -0"), "{found:?}");
    }
}
