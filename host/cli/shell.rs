//! Completion scripts and manual pages, made from the parser.

use std::path::Path;

use anyhow::Result;
use clap::CommandFactory as _;

use crate::args::Arguments;
use crate::exit_code::{Exit, Failure};
use crate::report;

pub(crate) fn completions(shell: clap_complete::Shell) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "taskhost", &mut script);
    Ok(report::bytes(&script))
}

/// Prints the manual page of the program, or writes one page for each command.
pub(crate) fn man(folder: Option<&Path>) -> Result<Exit> {
    let command = Arguments::command();
    let Some(folder) = folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        return Ok(report::bytes(&page));
    };
    if !folder.is_dir() {
        return Err(Failure::input(format!("{} is no folder; make it first", folder.display())).into());
    }
    clap_mangen::generate_to(command, folder)
        .map_err(|error| Failure::input(format!("writing to {} failed: {error}", folder.display())))?;
    Ok(Exit::Done)
}
