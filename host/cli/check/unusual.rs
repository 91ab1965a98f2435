//! Items as nobody expects them, cut as the kernel says. They may be refused, and must not make it trap.

use taskhost_pool::verdict::Verdict;
use taskhost_protocol::work::Split;

use crate::exit_code::Failure;
use crate::plan::Shape;

use super::rule::Rule;
use super::sample::Sample;
use super::trial::How;
use super::{Check, PLAIN, split_of};

/// Longer than what fits into the buffers of programs.
const LONG: usize = 100_000;

/// Largest record or chunk of which some are made.
const LARGE: u64 = 1 << 20;

impl Check<'_> {
    /// Tries them.
    pub(super) fn unusual(&mut self, shape: Shape) -> Result<(), Failure> {
        let Some(split) = split_of(shape) else { return Ok(()) };
        let Some(bytes) = made_up(split) else { return Ok(()) };
        let sample = Sample::new(bytes, "unusual items", 1)?;
        let seen = self.setup.run(&sample, How { split: Some(split), ..PLAIN })?;
        let trapped =
            seen.failed.iter().find(|item| matches!(item.verdict, Verdict::Trap { .. } | Verdict::Contract(_)));
        match trapped {
            None => self.page.passed(Rule::UnusualItems),
            // It traps for others, too.
            Some(_) if self.findings.iter().any(|one| matches!(one.rule, Rule::Traps | Rule::BreaksContract)) => {}
            Some(item) => {
                let what = described(&sample.bytes, split, item.offset);
                self.found(Rule::UnusualItems, format!("{what}: {}", item.verdict));
            }
        }
        Ok(())
    }
}

/// As bytes of one input.
fn made_up(split: Split) -> Option<Vec<u8>> {
    match split {
        Split::Lines | Split::Blocks(_) => {
            let long = vec![b'x'; LONG];
            let lines: [&[u8]; 10] =
                [b"", b"\r", b" ", b"\0", b"\xff\xfe\x80", b"-1", b"99999999999999999999", b"1e999", b"\"", &long];
            // So that the last line has no end, too.
            Some([lines.join(&b'\n'), b"\nlast".to_vec()].concat())
        }
        Split::Records(size) | Split::Chunks(size) if size > LARGE => None,
        Split::Records(size) => Some([0, 0xff, 0x7f].iter().flat_map(|byte| vec![*byte; size as usize]).collect()),
        // The last is shorter.
        Split::Chunks(size) => Some(vec![0xff; size as usize * 2 + 1]),
        Split::Whole => Some(Vec::new()),
        Split::Table => None,
    }
}

/// An item that begins at `offset`, in words.
fn described(bytes: &[u8], split: Split, offset: u64) -> String {
    let rest = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
    let item = match split {
        Split::Lines => rest.split(|byte| *byte == b'\n').next().unwrap_or_default(),
        Split::Records(size) | Split::Chunks(size) => &rest[..rest.len().min(size as usize)],
        _ => rest,
    };
    match item {
        [] => "an empty item".into(),
        item if item.len() > 24 => format!("an item of {} bytes, {}…", item.len(), item[..8].escape_ascii()),
        item => format!("the item `{}`", item.escape_ascii()),
    }
}
