//! Starting a pool from the command line: the kernel, the settings, signals.

use std::time::SystemTime;

use taskhost_os::signals::{self, Signal, Signals};
use taskhost_os::spawn::Program;
use taskhost_pool::runner::{Policy, Pool, PoolConfig};
use taskhost_protocol::kernel::{CompileOptions, Invoke};
use taskhost_protocol::limits::{SETTINGS_BYTES, WorkerLimits};
use taskhost_protocol::message::{Fresh, Sandbox};

use crate::exit_code::Failure;
use crate::given::Prepared;
use crate::kernel::{self, KernelFile};

/// What a pool is started with.
#[derive(Debug)]
pub(crate) struct Starting {
    pub(crate) kernel: KernelFile,
    pub(crate) options: CompileOptions,
    /// Which function is called.
    pub(crate) invoke: Option<Invoke>,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) limits: WorkerLimits,
    pub(crate) fresh: Fresh,
    /// The walls around workers.
    pub(crate) sandbox: Sandbox,
    pub(crate) policy: Policy,
    /// What the kernel's clocks show.
    pub(crate) clock: SystemTime,
    /// Whether results are to be on the disk at the end.
    pub(crate) sync: bool,
    /// Whether the bytes of failed items are wanted.
    pub(crate) capture: bool,
    pub(crate) cores: Vec<Option<u32>>,
    /// Workers that are started at once.
    pub(crate) initial: usize,
    /// What else the user gives the kernel.
    pub(crate) given: Prepared,
    /// Ask the kernel only what it says of itself.
    pub(crate) describe_only: bool,
}

impl Starting {
    /// One worker that only says what the kernel is.
    pub(crate) fn to_ask(kernel: KernelFile, options: CompileOptions, sandbox: Sandbox) -> Self {
        Self {
            kernel,
            options,
            invoke: None,
            settings: Vec::new(),
            limits: WorkerLimits::default(),
            fresh: Fresh::default(),
            sandbox,
            policy: Policy::default(),
            clock: SystemTime::now(),
            sync: false,
            capture: false,
            cores: vec![None],
            initial: 1,
            given: Prepared::default(),
            describe_only: true,
        }
    }
}

/// Starts a pool for a kernel; gives its name back.
pub(crate) fn start(starting: Starting) -> Result<(Pool, String), Failure> {
    let bytes: usize = starting.settings.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
    if bytes > SETTINGS_BYTES {
        let limit = SETTINGS_BYTES >> 10;
        return Err(Failure::usage(format!(
            "the settings have more than {limit} KiB together; give large data as input"
        )));
    }
    let KernelFile { name, bytes } = starting.kernel;
    let mut taken = vec![Signal::Interrupt, Signal::Terminate, Signal::Suspend];
    // Whoever says `nohup` wants the run to go on without its terminal.
    if !signals::is_ignored(Signal::HangUp) {
        taken.push(Signal::HangUp);
    }
    // Before any thread: a thread inherits which signals are taken here.
    let signals = Signals::install(&taken)
        .map_err(|error| Failure::new(crate::exit_code::Exit::Host, format!("signals cannot be received: {error}")))?;
    let config = PoolConfig {
        kernel_name: name.clone(),
        kernel: bytes,
        options: starting.options,
        invoke: starting.invoke,
        cache: kernel::cache_folder(),
        program: Program::ProcSelfExe,
        cores: starting.cores,
        initial: starting.initial,
        limits: starting.limits,
        fresh: starting.fresh,
        sandbox: starting.sandbox,
        settings: starting.settings,
        grants: starting.given.folders,
        given: starting.given.given,
        broadcast: starting.given.broadcast,
        describe_only: starting.describe_only,
        clock: starting.clock,
        policy: starting.policy,
        sync: starting.sync,
        capture: starting.capture,
        signals: Some(signals),
    };
    Ok((Pool::start(config).map_err(|error| named(error, &name))?, name))
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
