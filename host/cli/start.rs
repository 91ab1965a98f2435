//! Starting a pool from the command line: cores, claims on them, the kernel, the settings.

use std::time::SystemTime;

use taskhost_os::cores::Topology;
use taskhost_os::lease::{Lease, RuntimeFolder};
use taskhost_os::signals::{Signal, Signals};
use taskhost_os::spawn::Program;
use taskhost_pool::runner::{Pool, PoolConfig};
use taskhost_protocol::kernel::CompileOptions;
use taskhost_protocol::limits::{SETTINGS_BYTES, WorkerLimits};

use crate::args::{InspectArguments, Workers};
use crate::exit_code::Failure;
use crate::kernel::{self, KernelFile};

/// The cores of a run.
#[derive(Debug)]
pub(crate) struct Cores {
    pub(crate) topology: Topology,
    /// One entry for each worker: the cpu it is pinned to.
    pub(crate) plan: Vec<Option<u32>>,
    /// Claims on those cpus, so that another run takes others. Given up when the run ends.
    _leases: Vec<Lease>,
    /// Why workers are not pinned, when the user did not ask for that.
    pub(crate) unpinned: Option<String>,
}

impl Cores {
    /// Plans the workers and claims their cpus.
    pub(crate) fn plan(workers: Workers, no_pin: bool) -> Self {
        let topology = Topology::current();
        let mut plan = topology.plan(workers.0);
        if no_pin {
            plan.fill(None);
            return Self { topology, plan, _leases: Vec::new(), unpinned: None };
        }
        let wanted: Vec<u32> = plan.iter().copied().flatten().collect();
        // All cpus that could be had, those of the plan first: a second run takes what is free.
        let mut preferred = wanted.clone();
        preferred.extend(
            topology.physical().iter().flat_map(|core| core.cpus.iter().copied()).filter(|cpu| !wanted.contains(cpu)),
        );
        let leases = match RuntimeFolder::open() {
            Ok(folder) => folder.claim(&preferred, wanted.len()),
            // Without a place for claims, pinning could put two runs on the same core while others idle.
            Err(error) => {
                plan.fill(None);
                let unpinned = Some(format!("no claims on cores can be made ({error})"));
                return Self { topology, plan, _leases: Vec::new(), unpinned };
            }
        };
        let unpinned = (leases.len() < wanted.len()).then(|| {
            let taken = wanted.len() - leases.len();
            format!("{taken} of {} cores are taken by another run", wanted.len())
        });
        let mut claimed = leases.iter().map(Lease::cpu);
        for core in &mut plan {
            *core = core.and(claimed.next());
        }
        Self { topology, plan, _leases: leases, unpinned }
    }
}

/// What a pool is started with.
pub(crate) struct Starting<'a> {
    pub(crate) kernel: &'a InspectArguments,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) limits: WorkerLimits,
    pub(crate) cores: Vec<Option<u32>>,
    /// Workers that are started at once.
    pub(crate) initial: usize,
    /// Ask the kernel only what it says of itself.
    pub(crate) describe_only: bool,
}

/// Finds the kernel and starts a pool for it.
pub(crate) fn start(starting: Starting<'_>) -> Result<(Pool, KernelFile), Failure> {
    let bytes: usize = starting.settings.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
    if bytes > SETTINGS_BYTES {
        let limit = SETTINGS_BYTES >> 10;
        return Err(Failure::usage(format!(
            "the settings have more than {limit} KiB together; give large data as input"
        )));
    }
    let mut kernel = kernel::find(&starting.kernel.kernel)?;
    // Before any thread: a thread inherits which signals are taken here.
    let signals = Signals::install(&[Signal::Interrupt, Signal::Terminate])
        .map_err(|error| Failure::new(crate::exit_code::Exit::Host, format!("signals cannot be received: {error}")))?;
    let config = PoolConfig {
        kernel_name: kernel.name.clone(),
        kernel: std::mem::take(&mut kernel.bytes),
        options: CompileOptions { kind: starting.kernel.kind.map(Into::into), ..CompileOptions::default() },
        cache: kernel::cache_folder(),
        program: Program::ProcSelfExe,
        cores: starting.cores,
        initial: starting.initial,
        limits: starting.limits,
        fresh: taskhost_protocol::message::Fresh::Worker,
        settings: starting.settings,
        describe_only: starting.describe_only,
        clock: SystemTime::now(),
        policy: taskhost_pool::runner::Policy::default(),
        capture: false,
        signals: Some(signals),
    };
    Ok((Pool::start(config).map_err(|error| named(error, &kernel.name))?, kernel))
}

/// A refusal names the kernel it is about.
fn named(error: taskhost_pool::error::PoolError, kernel: &str) -> Failure {
    use taskhost_pool::error::PoolError;
    let about_kernel = matches!(error, PoolError::Refused(_) | PoolError::Compile(_));
    let mut failure = Failure::from(error);
    if about_kernel {
        failure.message = format!("{kernel}: {}", failure.message);
    }
    failure
}
