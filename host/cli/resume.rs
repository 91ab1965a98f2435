//! `taskhost resume`: going on with a run that was interrupted.

use anyhow::{Result, bail};

use crate::args::ResumeArguments;
use crate::exit_code::Exit;

pub(crate) fn resume(arguments: ResumeArguments) -> Result<Exit> {
    let ResumeArguments { journal, retry_failed: _, kernel: _, workers: _, batch: _ } = arguments;
    bail!("{}: not built yet", journal.display());
}
