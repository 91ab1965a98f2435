//! `doctor --attack`: every attempt to break out, each in a sacrificial worker, and what stopped it.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use serde::Serialize;
use taskhost_os::attacks::{self, Attempt, Outcome, Scene, Spot, Trial, TrialError, Victim};
use taskhost_os::sandbox::{Layer, Role};
use taskhost_os::spawn::WorkerUser;
use taskhost_os::users::{UserLease, Users};

use super::health::VERSION;
use crate::exit_code::{Exit, Failure};

/// What came of all of them. Its fields are the JSON that `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Siege {
    pub(super) version: u32,
    /// Whether each was also made with each layer left out.
    pub(super) each_layer: bool,
    pub(super) attempts: Vec<Report>,
    /// Those that nothing stopped.
    pub(super) came_through: Vec<String>,
}

/// What came of one.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// `outside`, `machine`, `inside` or `granted`.
    pub(super) aim: &'static str,
    pub(super) stopped: Stop,
    /// Without the system-call filter; only with `--each-layer`.
    pub(super) without_filter: Option<Stop>,
}

/// What stopped it, and how.
#[derive(Debug, Serialize)]
pub(super) struct Stop {
    /// A layer, `seals`, `coordinator` or `kernel`; `several`, when no layer makes a difference by itself; `null` when
    /// nothing did.
    pub(super) by: Option<String>,
    /// A signal or an errno.
    pub(super) how: String,
    /// Whether it is stopped without that as well: another layer stands behind it.
    pub(super) and_more: bool,
}

/// What is left out to find the layer that makes a difference, the ones that others rest on last.
const BEHIND: [Layer; 7] = [
    Layer::EmptyRoot,
    Layer::Landlock,
    Layer::NoCapabilities,
    Layer::NoDumps,
    Layer::Limits,
    Layer::NoNewPrivileges,
    Layer::Namespaces,
];

/// Attempts that are made at a time: most of an attempt is waiting for the kernel to take its namespaces apart.
const AT_A_TIME: usize = 8;

impl Siege {
    /// Makes all attempts.
    pub(super) fn run(each_layer: bool) -> Result<Self, Failure> {
        let victim = Victim::open().map_err(|error| {
            Failure::new(Exit::Host, format!("no port can be opened for attempts to connect to ({error})"))
        })?;
        // As workers are. Where layers are left out it is to be seen what is left to those that have no user of their own.
        let users = if each_layer { None } else { Users::open() };
        let user = users.as_ref().and_then(Users::lease);
        let trials = Trials { victim: victim.spot(), user: user.as_ref().map(UserLease::user), each_layer };
        let attempts = attacks::all(&Scene::blank());
        let next = AtomicUsize::new(0);
        let mut made = thread::scope(|scope| {
            let make = || {
                let mut made = Vec::new();
                loop {
                    let at = next.fetch_add(1, Relaxed);
                    let Some(attempt) = attempts.get(at) else { return Ok::<_, Failure>(made) };
                    made.push((at, trials.make(attempt)?));
                }
            };
            let threads: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(make)).collect();
            let mut all = Vec::new();
            for thread in threads {
                let lost = |_| Failure::new(Exit::Host, "a thread that makes attempts ended");
                all.extend(thread.join().map_err(lost)??);
            }
            Ok::<_, Failure>(all)
        })?;
        made.sort_by_key(|(at, _)| *at);
        let mut siege = Self { version: VERSION, each_layer, attempts: Vec::new(), came_through: Vec::new() };
        for (_, (report, came_through)) in made {
            siege.attempts.push(report);
            siege.came_through.extend(came_through);
        }
        Ok(siege)
    }
}

/// How attempts are made.
struct Trials {
    victim: Spot,
    user: Option<WorkerUser>,
    each_layer: bool,
}

impl Trials {
    /// Makes one attempt in all ways that are asked for. Also tells which of them nothing stopped.
    fn make(&self, attempt: &Attempt) -> Result<(Report, Vec<String>), Failure> {
        let mut came_through = Vec::new();
        let stopped = stop(attempt, self.run(attempt, &[])?);
        if stopped.by.is_none() {
            came_through.push(attempt.name.to_owned());
        }
        let mut without_filter = None;
        if self.each_layer {
            for layer in BEHIND {
                if self.run(attempt, &[layer])? == Outcome::CameThrough {
                    came_through.push(format!("{} (without {layer})", attempt.name));
                }
            }
            let second = self.without_filter(attempt)?;
            if second.by.is_none() && attempt.aim.needs_two() {
                came_through.push(format!("{} (without {})", attempt.name, Layer::SystemCalls));
            }
            without_filter = Some(second);
        }
        let Attempt { name, about, .. } = *attempt;
        Ok((Report { name, about, aim: attempt.aim.name(), stopped, without_filter }, came_through))
    }

    fn run(&self, attempt: &Attempt, without: &[Layer]) -> Result<Outcome, Failure> {
        let Self { victim, user, .. } = *self;
        let trial = Trial { role: Role::Execute, without: without.to_vec(), victim, attempt: attempt.name, user };
        trial.run().map_err(|error| {
            let exit = if matches!(error, TrialError::NotLocked(_)) { Exit::Sandbox } else { Exit::Host };
            Failure::new(exit, error.to_string())
        })
    }

    /// What stops it when the filter does not: the first layer that makes a difference when it is left out as well.
    fn without_filter(&self, attempt: &Attempt) -> Result<Stop, Failure> {
        let outcome = self.run(attempt, &[Layer::SystemCalls])?;
        if outcome == Outcome::CameThrough || !attempt.aim.needs_two() {
            return Ok(stop(attempt, outcome));
        }
        let how = outcome.to_string();
        for layer in BEHIND {
            let without_both = self.run(attempt, &[Layer::SystemCalls, layer])?;
            if without_both != outcome {
                let and_more = without_both != Outcome::CameThrough;
                return Ok(Stop { by: Some(layer.to_string()), how, and_more });
            }
        }
        Ok(Stop { by: Some("several".to_owned()), how, and_more: true })
    }
}

fn stop(attempt: &Attempt, outcome: Outcome) -> Stop {
    let by = outcome.stopper(attempt).map(|stopper| stopper.to_string());
    Stop { by, how: outcome.to_string(), and_more: false }
}
