//! One attempt in a process of its own: started and locked in like a worker, it tries, and its end tells what came of it.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::Duration;

use super::scene::{DESCRIPTORS, PAGE};
use super::{Outcome, Scene, Spot, by_name};
use crate::child::{Child, End};
use crate::rlimits::{self, Rlimits};
use crate::sandbox::{self, Grants, Insistence, Layer, Policy, Role};
use crate::socket::{Descriptors, Socket, SocketError};
use crate::spawn::{Namespaces, Program, Spawn, SpawnError, WorkerUser};
use crate::{crash, memfd, poll, signals};

/// The argument that makes an executable one that makes an attempt; the trial follows. Nobody types it.
pub const ARGUMENT: &CStr = c"__attack";

/// How long an attempt may take. They take a millisecond.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the process may take of memory, beyond what it has: as a worker with a small kernel.
const MEMORY: u64 = 256 << 20;

/// Descriptors and threads that are granted to a worker.
const SLOTS: u64 = 16;
const THREADS: u64 = 4;

/// Exit codes of the process. An errno is at most 133, and panics exit by 101.
const CAME_THROUGH: i32 = 20;
const NOT_LOCKED: i32 = 21;
const UNKNOWN: i32 = 22;
const ERRNO: i32 = 110;

/// What a program exits by that was executed instead.
const EXECUTED: i32 = 0;

/// One attempt, and what stands around it.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The role whose walls it is behind.
    pub role: Role,
    /// The layers that are left out.
    pub without: Vec<Layer>,
    /// Whom it is about.
    pub victim: Spot,
    /// The name of the attempt.
    pub attempt: &'static str,
    /// The user that the process is, where it is to be one of its own and has namespaces.
    pub user: Option<WorkerUser>,
}

/// Why it was not tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// There is no process for it.
    #[error("no process for the attempt could be started: {0}")]
    Start(#[from] SpawnError),
    /// Its socket, or waiting for it, failed.
    #[error("the process that makes the attempt cannot be watched: {0}")]
    Watch(#[from] io::Error),
    /// It could not lock itself in, which has to be so, or was told to try what it does not know.
    #[error("the process that was to try {0} was not locked in")]
    NotLocked(&'static str),
    /// It took too long, and was killed.
    #[error("the process that was to try {0} did not end")]
    Late(&'static str),
}

impl Trial {
    /// Starts a process that makes the attempt, and waits for its end.
    ///
    /// # Errors
    /// See [`TrialError`].
    pub fn run(&self) -> Result<Outcome, TrialError> {
        let (own, other) = Socket::pair()?;
        let plan = CString::new(self.encode()).map_err(io::Error::other)?;
        let args = &[ARGUMENT, &plan];
        let program = &Program::ProcSelfExe;
        let mut spawn = Spawn { args, program, namespaces: Namespaces::All, core: None, socket: other.as_fd() };
        let mut child = self.start(&mut spawn)?;
        drop(other);
        let end = self.wait(&mut child)?;
        // It has ended: what it sent is there, or nothing more comes.
        let said = own.try_recv(&mut [0; 64], Descriptors::Refuse);
        match end {
            _ if matches!(said, Err(SocketError::UnwantedDescriptors)) => Ok(Outcome::Unwanted),
            End::Signal(libc::SIGSYS) => Ok(Outcome::Killed),
            End::Code(CAME_THROUGH | EXECUTED) => Ok(Outcome::CameThrough),
            End::Code(NOT_LOCKED | UNKNOWN) => Err(TrialError::NotLocked(self.attempt)),
            End::Code(code) if code > ERRNO => Ok(Outcome::Refused(code - ERRNO)),
            end => Ok(Outcome::Died(end)),
        }
    }

    /// As a pool starts workers, with what the machine allows.
    fn start(&self, spawn: &mut Spawn<'_>) -> Result<Child, SpawnError> {
        if self.without.contains(&Layer::Namespaces) {
            spawn.namespaces = Namespaces::None;
        } else if let Some(Ok(child)) = self.user.map(|user| spawn.start_as(user)) {
            return Ok(child);
        }
        match spawn.start() {
            Err(SpawnError::NamespacesRefused { .. }) => {
                spawn.namespaces = Namespaces::None;
                spawn.start()
            }
            result => result,
        }
    }

    fn wait(&self, child: &mut Child) -> Result<End, TrialError> {
        let mut poller = poll::Poller::new()?;
        poller.add(child.as_fd(), poll::Token(0), poll::Interest::Read)?;
        let mut events = Vec::new();
        let began = std::time::Instant::now();
        while events.is_empty() {
            let left = PATIENCE.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(TrialError::Late(self.attempt));
            }
            poller.wait(Some(left), &mut events)?;
        }
        Ok(child.wait()?.end)
    }

    fn encode(&self) -> String {
        let role = Role::ALL.iter().position(|role| *role == self.role).expect("all of them");
        let place = |layer| Layer::ALL.iter().position(|other| other == layer).expect("all of them");
        // The filter is `7`: there are fewer than ten layers.
        let without: String = self.without.iter().map(|layer| place(layer).to_string()).collect();
        format!("{role};{without};{};{}", self.victim.encode(), self.attempt)
    }

    fn decode(text: &str) -> Option<Self> {
        let mut fields = text.split(';');
        let role = *Role::ALL.get(fields.next()?.parse::<usize>().ok()?)?;
        let layers = fields.next()?.bytes().map(|digit| Layer::ALL.get(usize::from(digit.wrapping_sub(b'0'))).copied());
        let without = layers.collect::<Option<_>>()?;
        let victim = Spot::decode(fields.next()?)?;
        let name = fields.next()?;
        Some(Self { role, without, victim, attempt: by_name(&Scene::blank(), name)?.name, user: None })
    }
}

/// The whole life of a process that makes an attempt; `plan` is what follows [`ARGUMENT`]. As a worker begins, with the
/// socket that it inherits, and behind the same walls.
pub fn live(plan: &str) -> ! {
    crash::exit_now(attempt(plan).unwrap_or(UNKNOWN))
}

/// `None` when it cannot be made.
fn attempt(plan: &str) -> Option<i32> {
    let trial = Trial::decode(plan)?;
    signals::unblock_all();
    let control = Socket::inherited().ok()?;
    rlimits::limit_stack().ok()?;
    let arena = memfd::create_sized(c"taskhost-arena", PAGE as u64).ok()?;
    let input = memfd::sealed_copy(c"taskhost-input", &[0; PAGE]).ok()?;
    let scene = Scene::prepare(trial.victim, control.as_fd().as_raw_fd(), arena, input);
    let attempt = by_name(&scene, trial.attempt)?;
    Rlimits { more_data: MEMORY, cpu: None }.set().ok()?;
    let policy = Policy { insistence: Insistence::Auto, without: trial.without };
    let threads = if trial.role == Role::Compile { THREADS } else { 1 };
    let slots = SLOTS - DESCRIPTORS;
    let grants = Grants { control: control.as_fd(), slots, file_bytes: None, threads };
    if sandbox::lock(trial.role, &policy, &grants).is_err() {
        return Some(NOT_LOCKED);
    }
    Some(match attempt.make(&scene) {
        Ok(()) => CAME_THROUGH,
        Err(error) => ERRNO + error.raw_os_error().unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_what_was_written_down() {
        let without = vec![Layer::SystemCalls, Layer::Namespaces];
        let trial = Trial { role: Role::Convert, without, victim: Spot::default(), attempt: "open", user: None };
        let read = Trial::decode(&trial.encode()).expect("it was written by the same");
        assert_eq!((read.role, read.without, read.attempt), (trial.role, trial.without, trial.attempt));
        for wrong in ["", "9;;0,0,0,0,0;open", "0;9;0,0,0,0,0;open", "0;;0,0,0,0;open", "0;;0,0,0,0,0;unknown"] {
            assert!(Trial::decode(wrong).is_none(), "{wrong}");
        }
    }
}
