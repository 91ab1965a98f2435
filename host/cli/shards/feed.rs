//! The inputs of a shard: those of the plan, as long as they were when it was made.

use std::collections::VecDeque;
use std::os::unix::fs::MetadataExt as _;

use taskhost_pool::event::JobFailure;
use taskhost_pool::job::{Feed, SourceFeed, SourceFile, SourceKind};

use super::file::PlannedInput;
use crate::exit_code::Failure;
use crate::feed::open;
use crate::inputs::Found;

/// Inputs of a plan, in order.
pub(super) struct PlannedSources {
    pub(super) inputs: VecDeque<PlannedInput>,
}

impl SourceFeed for PlannedSources {
    fn next(&mut self) -> Feed<Result<SourceFile, JobFailure>> {
        match self.inputs.pop_front() {
            None => Feed::Ended,
            Some(input) => Feed::Next(source(&input)),
        }
    }
}

/// An input, open.
fn source(input: &PlannedInput) -> Result<SourceFile, JobFailure> {
    let source = open(&Found::File(input.file.clone()))?;
    check(input).map_err(|failure| JobFailure::Input(failure.message))?;
    Ok(SourceFile { kind: SourceKind::Regular { len: input.bytes }, ..source })
}

/// What a file is known again by: its size, and when it was changed.
pub(super) fn print(metadata: &std::fs::Metadata) -> (u64, i64) {
    let modified = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
    (metadata.len(), modified)
}

/// Refuses an input that is not what it was.
pub(super) fn check(input: &PlannedInput) -> Result<(), Failure> {
    let name = &input.file.name;
    let metadata = std::fs::metadata(&input.file.path)
        .map_err(|error| Failure::input(format!("{name} cannot be read: {error}")))?;
    let now = print(&metadata);
    if now.0 != input.bytes {
        let (before, now) = (input.bytes, now.0);
        return Err(Failure::input(format!("{name} had {before} bytes when it was planned, and has {now} now")));
    }
    if now.1 != input.modified {
        return Err(Failure::input(format!("{name} was written to since it was planned; plan it again")));
    }
    Ok(())
}
