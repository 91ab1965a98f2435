//! Joining in other groups. Which results are joined with which follows from the positions of their items alone, so a sample
//! is run at other positions: behind inputs that count as done, and gave nothing.

use std::os::fd::OwnedFd;

use taskhost_pool::event::{DoneRange, Resume};
use taskhost_pool::job::KeptParts;
use taskhost_protocol::ids::SourceId;
use taskhost_protocol::work::Split;

use crate::exit_code::Failure;

use super::Check;
use super::compare::{differ_by_rounding, difference};
use super::rule::Rule;
use super::sample::{Sample, in_memory};
use super::trial::{How, Seen};

/// How far items are moved to be joined in other groups: groups are of 16 positions, and of 16 such groups. In bytes for
/// lines and blocks, in items for all others, of which three are in a sample of files.
const MOVES: [u64; 8] = [3, 5, 7, 10, 12, 15, 256 + 11, 4096 + 5];

/// Bytes of what a sample is moved behind, at most.
const BEHIND_BYTES: u64 = 64 << 20;

/// Inputs in front of a sample.
#[derive(Debug)]
pub(super) struct Behind {
    pub(super) file: OwnedFd,
    /// How often it is an input.
    pub(super) times: usize,
    /// Bytes of it.
    len: u64,
}

impl Behind {
    /// What moves items by so much; `None` when that would be too large.
    fn by(moves: u64, split: Split) -> Result<Option<Self>, Failure> {
        let (len, times) = match split {
            Split::Lines | Split::Blocks(_) | Split::Table => (moves, 1),
            Split::Records(size) | Split::Chunks(size) => (moves.saturating_mul(size), 1),
            // An empty file is taken for something that has no size.
            Split::Whole => (1, moves),
        };
        if len > BEHIND_BYTES {
            return Ok(None);
        }
        let (bytes, times) = (usize::try_from(len).unwrap_or(usize::MAX), usize::try_from(times).unwrap_or(usize::MAX));
        Ok(Some(Self { file: in_memory(&vec![b'-'; bytes])?, times, len }))
    }

    /// These inputs as what another run has done.
    pub(super) fn as_done(&self) -> (Box<Resume>, KeptParts) {
        let (mut resume, mut kept) = (Resume::default(), KeptParts::new());
        for number in 0..u32::try_from(self.times).unwrap_or(u32::MAX) {
            let source = SourceId(number);
            let (start, end) = (0, self.len);
            let (failed, counters, parts) = (Vec::new(), Vec::new(), Vec::new());
            resume.done.insert(source, vec![DoneRange { source, start, end, items: 0, failed, counters, parts }]);
            kept.insert((source, start), Vec::new());
        }
        (Box::new(resume), kept)
    }
}

impl Check<'_> {
    /// Joins in other groups, and nothing at all.
    pub(super) fn reduction(&mut self, sample: &Sample, base: &Seen, how: How, split: Split) -> Result<(), Failure> {
        let mut is_good = true;
        for moves in MOVES {
            let Some(behind) = Behind::by(moves, split)? else { continue };
            let moved = self.setup.run(&sample.behind(behind)?, how)?;
            let Some(text) = difference(("one grouping", base), ("another", &moved)) else { continue };
            let rounds = differ_by_rounding(&base.output, &moved.output);
            self.found(if rounds { Rule::JoinsRound } else { Rule::NotAssociative }, text);
            is_good = false;
            break;
        }
        if is_good {
            self.page.passed(Rule::NotAssociative);
        }
        if split == Split::Whole {
            return Ok(());
        }
        let nothing = self.setup.run(&Sample::nothing()?, how)?;
        match &nothing.failure {
            None => self.page.passed(Rule::NoIdentity),
            Some(failure) => self.found(Rule::NoIdentity, format!("an empty input ends with: {failure}")),
        }
        Ok(())
    }
}
