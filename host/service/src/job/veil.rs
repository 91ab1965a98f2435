//! Where the server keeps things is nobody's business: its folders are taken out of what processes say, as it comes.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Takes folders out of a text that comes in parts.
#[derive(Debug)]
pub(super) struct Veil {
    /// As they would be written in front of a file's name, longest first.
    folders: Vec<Vec<u8>>,
    /// What may be the beginning of one.
    held: Vec<u8>,
}

impl Veil {
    /// For these folders.
    pub(super) fn new(folders: &[&Path]) -> Self {
        let with_end = |folder: &&Path| [folder.as_os_str().as_bytes(), b"/"].concat();
        let mut folders: Vec<Vec<u8>> = folders.iter().map(with_end).collect();
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.len()));
        Self { folders, held: Vec::new() }
    }

    /// What can be shown once this has come.
    pub(super) fn take(&mut self, part: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(part);
        self.show(false)
    }

    /// What was held back, when nothing more comes.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        self.show(true)
    }

    fn show(&mut self, is_all: bool) -> Vec<u8> {
        let text = std::mem::take(&mut self.held);
        let (mut shown, mut at) = (Vec::with_capacity(text.len()), 0);
        while at < text.len() {
            let left = &text[at..];
            // All of them are absolute.
            let plain = left.iter().position(|byte| *byte == b'/').unwrap_or(left.len());
            shown.extend_from_slice(&left[..plain]);
            at += plain;
            let left = &text[at..];
            if !is_all && !left.is_empty() && self.folders.iter().any(|folder| folder.starts_with(left)) {
                self.held = left.to_vec();
                break;
            }
            match self.folders.iter().find(|folder| left.starts_with(folder)) {
                Some(folder) => at += folder.len(),
                None => {
                    shown.extend(left.first());
                    at += 1;
                }
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_taken_out_wherever_the_text_is_cut() {
        let text = "/a/b/x //a/b/work/j/y /a/bc /a/b /a/b/work/k/z /a/b";
        let wanted = "x /y /a/bc /a/b work/k/z /a/b";
        for cut in 0..=text.len() {
            for second in cut..=text.len() {
                let mut veil = Veil::new(&[Path::new("/a/b"), Path::new("/a/b/work/j")]);
                let mut shown = veil.take(&text.as_bytes()[..cut]);
                shown.extend(veil.take(&text.as_bytes()[cut..second]));
                shown.extend(veil.take(&text.as_bytes()[second..]));
                shown.extend(veil.rest());
                assert_eq!(String::from_utf8_lossy(&shown), wanted, "{cut} {second}");
            }
        }
    }
}
