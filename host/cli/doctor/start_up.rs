//! What it costs to start a worker here: a few real ones, with a small kernel.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use taskhost_os::sandbox::Missing;
use taskhost_os::spawn::Program;
use taskhost_os::usage;
use taskhost_pool::error::PoolError;
use taskhost_pool::runner::{Policy, Pool, PoolConfig};
use taskhost_protocol::given::Given;
use taskhost_protocol::kernel::CompileOptions;
use taskhost_protocol::limits::WorkerLimits;
use taskhost_protocol::message::{Fresh, Sandbox};

use crate::kernel::{self, cache_folder};

/// The kernel that is started: the smallest that comes with the program.
const KERNEL: &str = "echo";

/// Workers that are measured: an odd number, so that one is in the middle.
const ROUNDS: usize = 9;

/// The same where the kernel has to be compiled each time.
const ROUNDS_WITHOUT_CACHE: usize = 3;

/// What was measured: the middle of several.
#[derive(Debug, Default, Serialize)]
pub(super) struct StartUp {
    pub(super) kernel: &'static str,
    /// Workers that were started.
    pub(super) workers: usize,
    /// From before the process was made until it was locked in, and until the kernel could be given work.
    pub(super) locked_milliseconds: Option<f64>,
    pub(super) ready_milliseconds: Option<f64>,
    /// Memory that no other process shares; and with its part of what is shared.
    pub(super) private_bytes: Option<u64>,
    pub(super) proportional_bytes: Option<u64>,
    /// Why no worker could be started.
    pub(super) problem: Option<String>,
    /// What the workers lacked.
    #[serde(skip)]
    pub(super) missing: Vec<Missing>,
}

impl StartUp {
    /// Starts workers one after the other, as `--sandbox auto` does, beside one that stays: pages of the program that any
    /// worker uses are then shared, as in every run of two workers or more, and not counted as private to the only one.
    pub(super) fn measure() -> Self {
        let mut found = Self { kernel: KERNEL, ..Self::default() };
        let (mut locked, mut ready, mut private, mut proportional) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut compiled = 0;
        let mut beside = None;
        while found.workers < ROUNDS && compiled < ROUNDS_WITHOUT_CACHE {
            let mut pool = match pool() {
                Ok(pool) => pool,
                Err(error) => {
                    found.problem = Some(error.to_string());
                    break;
                }
            };
            compiled += usize::from(pool.compiled());
            if beside.is_none() {
                beside = Some(pool);
                continue;
            }
            for start_up in pool.start_ups() {
                locked.push(start_up.locked);
                ready.push(start_up.ready);
                if let Ok(shares) = usage::shares(start_up.process) {
                    private.push(shares.private);
                    proportional.push(shares.proportional);
                }
            }
            found.missing = pool.missing_layers().to_vec();
            found.workers += 1;
            pool.shut_down();
        }
        if let Some(mut beside) = beside {
            beside.shut_down();
        }
        found.locked_milliseconds = middle(locked).map(milliseconds);
        found.ready_milliseconds = middle(ready).map(milliseconds);
        found.private_bytes = middle(private);
        found.proportional_bytes = middle(proportional);
        found
    }
}

fn pool() -> Result<Pool, PoolError> {
    Pool::start(PoolConfig {
        kernel_name: KERNEL.to_owned(),
        kernel: kernel::first_party(KERNEL).unwrap_or_default(),
        options: CompileOptions::default(),
        invoke: None,
        cache: cache_folder(),
        program: Program::ProcSelfExe,
        cores: vec![None],
        initial: 1,
        limits: WorkerLimits::default(),
        fresh: Fresh::default(),
        sandbox: Sandbox::Auto,
        settings: Vec::new(),
        grants: Vec::new(),
        given: Given::default(),
        broadcast: None,
        describe_only: false,
        clock: SystemTime::now(),
        policy: Policy::default(),
        sync: false,
        capture: false,
        signals: None,
    })
}

/// The one in the middle.
fn middle<T: Ord + Copy>(mut values: Vec<T>) -> Option<T> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// To a hundredth.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}
