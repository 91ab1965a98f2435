//! What a kernel is tried with: the user's file, or something made up for what the kernel says it takes.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use taskhost_os::memfd;
use taskhost_protocol::work::Split;

use crate::exit_code::{Exit, Failure};
use crate::inputs::{Found, FoundFile};
use crate::plan::Shape;

use super::calls;
use super::regroup::Behind;

/// The largest file that is taken for a sample, in bytes: it is run about ten times, and all results are kept.
const SAMPLE_BYTES: u64 = 64 << 20;

/// Items in what is made up: more than one node of a reduction's tree joins.
const ITEMS: u64 = 40;

/// A kernel's input.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) bytes: Vec<u8>,
    /// How it is spoken of.
    pub(super) name: String,
    /// How often it is an input: where a file is an item, one is not enough.
    pub(super) copies: usize,
    /// Inputs that come first, and are taken for done.
    pub(super) behind: Option<Behind>,
    file: OwnedFd,
}

impl Sample {
    pub(super) fn new(bytes: Vec<u8>, name: &str, copies: usize) -> Result<Self, Failure> {
        let file = in_memory(&bytes)?;
        Ok(Self { bytes, name: name.to_owned(), copies, behind: None, file })
    }

    /// The same at other positions.
    pub(super) fn behind(&self, behind: Behind) -> Result<Self, Failure> {
        Ok(Self { behind: Some(behind), ..Self::new(self.bytes.clone(), &self.name, self.copies)? })
    }

    /// The user's file.
    pub(super) fn read(path: &Path, shape: Shape) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::input(format!("{} cannot be read: {error}", path.display()));
        let size = fs::metadata(path).map_err(failed)?.len();
        if size > SAMPLE_BYTES {
            let most = SAMPLE_BYTES >> 20;
            return Err(Failure::input(format!(
                "{} is larger than {most} MiB, too much for a sample: give a part of it",
                path.display()
            )));
        }
        Self::new(fs::read(path).map_err(failed)?, &path.display().to_string(), copies(shape))
    }

    /// Lines for a function, of one that it is known to take.
    pub(super) fn of_calls(example: &str, ty: &str) -> Result<Self, Failure> {
        let lines: String = (0..ITEMS).map(|number| calls::varied(example, ty, number) + "\n").collect();
        Self::new(lines.into_bytes(), &format!("made up: {ITEMS} calls like {example}"), 1)
    }

    /// What may suit a kernel: several, for it says little about what it expects.
    pub(super) fn made_up(shape: Shape) -> Result<Vec<Self>, Failure> {
        let texts = || {
            let ranges = (1..=ITEMS).map(|number| format!("{number} {}\n", number * number + 7)).collect::<String>();
            let numbers = (1..=ITEMS).map(|number| format!("{}\n", number * 7 % 50)).collect::<String>();
            let words = "to be or not to be, that is the question:\n";
            let table = (1..=ITEMS).map(|number| format!("{number},{},{words}", number * 3 % 11)).collect::<String>();
            [(ranges, "ranges"), (numbers, "numbers"), (table, "a table")]
        };
        let text = |split: &str| {
            texts().map(|(text, what)| {
                Self::new(text.into_bytes(), &format!("made up: {ITEMS} {split}, {what}"), copies(shape))
            })
        };
        let samples: Vec<Result<Self, Failure>> = match shape {
            Shape::Picture => vec![
                Self::new(picture(1), "made up: a grey picture", 1),
                Self::new(picture(3), "made up: a picture in colour", 1),
            ],
            Shape::Items { split: (Split::Records(size), _), .. } => {
                let size = usize::try_from(size).unwrap_or(usize::MAX).min(1 << 20);
                let bytes = (0..size * 24).map(|at| (at * 31 % 251) as u8).collect();
                vec![Self::new(bytes, "made up: 24 records", 1)]
            }
            Shape::Items { split: (Split::Whole, _), .. } => text("lines in a file").into(),
            Shape::Items { .. } => text("lines").into(),
        };
        samples.into_iter().collect()
    }

    /// No input at all.
    pub(super) fn nothing() -> Result<Self, Failure> {
        Self::new(Vec::new(), "nothing", 1)
    }

    /// The same so many times: as that many inputs, or end to end in one.
    pub(super) fn repeated(&self, times: u64, split: Split, as_inputs: bool) -> Result<Self, Failure> {
        let times = usize::try_from(times).unwrap_or(usize::MAX);
        if as_inputs {
            return Self::new(self.bytes.clone(), &self.name, self.copies.saturating_mul(times));
        }
        let mut bytes = self.bytes.clone();
        if matches!(split, Split::Lines | Split::Blocks(_)) && !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
        Self::new(bytes.repeat(times), &self.name, self.copies)
    }

    /// The inputs of a run.
    pub(super) fn found(&self) -> VecDeque<Found> {
        let found = |file: &OwnedFd| {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            Found::File(FoundFile { path: path.into(), name: "sample".into(), relative: "sample".into() })
        };
        let before = self.behind.iter().flat_map(|behind| std::iter::repeat_n(found(&behind.file), behind.times));
        before.chain(std::iter::repeat_n(found(&self.file), self.copies)).collect()
    }
}

/// A file that nobody can change.
pub(super) fn in_memory(bytes: &[u8]) -> Result<OwnedFd, Failure> {
    memfd::sealed_copy(c"taskhost-sample", bytes)
        .map_err(|error| Failure::new(Exit::Host, format!("there is no memory for the sample: {error}")))
}

fn copies(shape: Shape) -> usize {
    // A kernel that keeps something of the first gives another result for the second.
    if matches!(shape, Shape::Items { split: (Split::Whole, _), .. }) { 3 } else { 1 }
}

/// A picture in which no row is like another, as a file.
fn picture(channels: u32) -> Vec<u8> {
    let (width, height) = (61_u32, 47_u32);
    let kind = if channels == 1 { 5 } else { 6 };
    let mut file = format!("P{kind}\n{width} {height}\n255\n").into_bytes();
    for row in 0..height {
        file.extend((0..width * channels).map(|column| ((row * row * 7 + column * 13 + row * column) % 256) as u8));
    }
    file
}
