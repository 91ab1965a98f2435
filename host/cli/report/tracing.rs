//! The log of the service: on standard error, for people or for programs.

use std::io::{self, IsTerminal as _};

use crate::args::LogFormat;

/// From now on what the service says of itself is written.
pub(crate) fn begin(format: LogFormat) {
    let for_people = match format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let log = tracing_subscriber::fmt().with_writer(io::stderr).with_target(false).with_max_level(tracing::Level::INFO);
    // There is one such log in a process; another would have been begun by nobody.
    let _ = if for_people {
        tracing::subscriber::set_global_default(log.with_ansi(io::stderr().is_terminal()).finish())
    } else {
        tracing::subscriber::set_global_default(log.json().flatten_event(true).finish())
    };
}
