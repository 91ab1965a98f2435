//! `taskhost run --server` and `taskhost job`: the same program as the client of a service.
//!
//! * [`address`] is which service, and with which token; [`connection`] how it is asked, and asked again.
//! * [`wanted`] makes a job of a run as it was typed; [`upload`] takes to the service what the job needs.
//! * [`course`] is a run from the first request to the last: [`follow`] waits for the end of a job, [`outcome`] brings what came
//!   of it; [`dry_run`] says what would be done; [`jobs`] are the commands for those that are there.
//!
//! All of it is done by a thread, so that Ctrl-C is heard while a request is under way.

mod address;
mod connection;
mod course;
mod dry_run;
mod follow;
mod jobs;
mod outcome;
mod upload;
mod wanted;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use taskhost_os::eventfd::Waker;
use taskhost_os::poll::{Interest, Poller, Token};
use taskhost_os::signals::{self, Signal, Signals};

use crate::args::{JobCommand, RunArguments, ThereArguments};
use crate::exit_code::{Exit, Failure};
use crate::report;

pub(crate) use address::Address;
use connection::{Connection, Stop};

/// How long a run that is interrupted waits for the service to take note of it.
const FAREWELL: Duration = Duration::from_secs(10);

/// Runs a kernel over its inputs, by a service.
pub(crate) fn run(mut arguments: RunArguments, there: ThereArguments, address: &Address) -> Result<Exit> {
    arguments.inputs.append(&mut arguments.input.input);
    let wanted = wanted::Wanted::new(&arguments, there, address)?;
    let host = |error: std::io::Error| Failure::new(Exit::Host, format!("signals cannot be received: {error}"));
    // Before any thread: a thread inherits which signals are taken here.
    let mut taken = vec![Signal::Interrupt, Signal::Terminate];
    // Who starts it with `nohup` wants it to go on without a terminal.
    if !signals::is_ignored(Signal::HangUp) {
        taken.push(Signal::HangUp);
    }
    let signals = Signals::install(&taken).map_err(host)?;
    let (stop, done) = (Stop::default(), Waker::new().map_err(host)?);
    let connection = Connection::new(address, stop.clone())?;
    let mut poller = Poller::new().map_err(host)?;
    poller.add(&signals, Token(0), Interest::Read).map_err(host)?;
    poller.add(&done, Token(1), Interest::Read).map_err(host)?;
    let result = Arc::new(Mutex::new(None));
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            let came = course::perform(&connection, &wanted);
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(came);
            done.wake();
        });
        wait(&mut poller, &signals, &stop, &connection, &result)
    });
    Ok(ended?)
}

/// What the thread has come to.
type Came = Mutex<Option<Result<Exit, Failure>>>;

/// Waits for the end of the thread, and hears signals until then.
fn wait(
    poller: &mut Poller,
    signals: &Signals,
    stop: &Stop,
    connection: &Connection,
    came: &Came,
) -> Result<Exit, Failure> {
    let mut interrupted: Option<(Exit, Instant)> = None;
    loop {
        let ready = came.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ready) = ready {
            return match (interrupted, ready) {
                // What was complete before the signal took effect is complete.
                (Some(_), Ok(exit)) => Ok(exit),
                (Some((exit, _)), Err(_)) => Err(Failure::new(exit, "interrupted: the job is cancelled")),
                // Whoever has read enough needs no word.
                (None, Err(failure)) if failure.exit == Exit::ReaderGone => Ok(Exit::ReaderGone),
                (None, ready) => ready,
            };
        }
        let left = interrupted.map(|(_, until)| until.saturating_duration_since(Instant::now()));
        if let (Some((exit, _)), Some(Duration::ZERO)) = (interrupted, left) {
            report::message("error", "interrupted: the service does not answer, and the job may go on");
            // The thread waits for the service; nothing that it still holds is half done.
            std::process::exit(i32::from(exit.code()));
        }
        let failed = |error| Failure::new(Exit::Host, format!("nothing can be waited for: {error}"));
        poller.wait(left, &mut Vec::new()).map_err(failed)?;
        if let Some(signal) = signals.next_signal() {
            let exit = if signal == Signal::Terminate { Exit::Terminated } else { Exit::Interrupted };
            let until = if interrupted.is_some() { Instant::now() } else { Instant::now() + FAREWELL };
            interrupted = Some((exit, until));
            // Whichever of the two comes first: the thread sees that it is to stop, or the job ends under it.
            for job in stop.set() {
                connection.cancel(&job);
            }
        }
    }
}

/// `taskhost job`.
pub(crate) fn job(command: &JobCommand) -> Result<Exit> {
    Ok(jobs::run(command)?)
}
