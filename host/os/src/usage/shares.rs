//! What a process costs in memory, page by page: dearer to ask for than [`super::resident`], and exact.

use std::fs::File;
use std::io::{self, Read as _};

use crate::process_id::ProcessId;

/// Memory of a process in RAM now, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Pages that it alone has and that hold what no file holds: heap, stacks, pages of files that were changed.
    pub private: u64,
    /// Those, and of the pages that it shares its part: a page that ten processes have counts as a tenth. `PSS`.
    pub proportional: u64,
}

/// Memory of a process in RAM now.
///
/// # Errors
/// When there is no such process, or its memory may not be looked at.
pub fn shares(id: ProcessId) -> io::Result<Shares> {
    let mut text = String::new();
    // Some twenty lines.
    File::open(format!("/proc/{id}/smaps_rollup"))?.take(4096).read_to_string(&mut text)?;
    parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{id}/smaps_rollup: {text}")))
}

fn parse(text: &str) -> Option<Shares> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    };
    // Private clean pages are of files that nobody else has mapped just now: the file's, not the process's.
    Some(Shares { private: value("Private_Dirty:")?, proportional: value("Pss:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lines_are_understood() {
        let text = "55d0-7ffd ---p 00000000 00:00 0  [rollup]\nRss:  2000 kB\nPss:  700 kB\nPss_Dirty: 5 kB\n\
                    Private_Clean:  16 kB\nPrivate_Dirty:  400 kB\n";
        assert_eq!(parse(text), Some(Shares { private: 400 << 10, proportional: 700 << 10 }));
        assert_eq!(parse("Pss: 1 kB"), None);
    }

    #[test]
    fn this_process_has_memory() {
        let shares = shares(ProcessId::current()).expect("it may look at itself");
        assert!(shares.private > 0 && shares.proportional >= shares.private, "{shares:?}");
    }
}
