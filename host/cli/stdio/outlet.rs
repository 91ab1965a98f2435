//! Writes replies to standard output, and notices when nobody reads them any more.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;

use taskhost_os::poll::{Interest, Poller, Token};

use super::exchange::Exchange;
use crate::exit_code::{Exit, Failure};

/// Writes all replies, as many at a time as there are.
pub(super) fn write(exchange: &Exchange) {
    if let Err(error) = write_all(exchange) {
        let exit = if error.kind() == io::ErrorKind::BrokenPipe { Exit::ReaderGone } else { Exit::InputOutput };
        exchange.give_up(Failure::new(exit, format!("standard output cannot be written: {error}")));
    }
}

fn write_all(exchange: &Exchange) -> io::Result<()> {
    // Not the standard library's: it would keep what follows the last line end.
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut replies = Vec::new();
    while let Some(items) = exchange.take_replies(&mut replies) {
        out.write_all(&replies)?;
        exchange.written(items);
    }
    Ok(())
}

/// Waits until whoever reads the replies goes away: an item may take long, and would be run for nobody. Never ends where that
/// cannot be seen.
pub(super) fn watch(exchange: &Exchange) {
    let is_gone = || -> io::Result<()> {
        let mut poller = Poller::new()?;
        // A regular file cannot be watched, nor go away.
        poller.add(io::stdout().as_fd(), Token(0), Interest::Nothing)?;
        let mut events = Vec::new();
        while events.is_empty() {
            poller.wait(None, &mut events)?;
        }
        Ok(())
    };
    if is_gone().is_ok() {
        exchange.give_up(Failure::new(Exit::ReaderGone, "whoever reads standard output went away"));
    }
}
