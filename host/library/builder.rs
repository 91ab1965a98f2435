//! How a pool is to be.

use std::ffi::CString;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use taskhost_os::cores::Workers;
use taskhost_os::spawn::Program;
use taskhost_pool::runner::Policy;
use taskhost_protocol::limits::WorkerLimits;
use taskhost_protocol::message::{Fresh, Level, Sandbox};

use super::broadcast::Content;
use super::error::Error;
use super::pool::{Inner, Pool};

/// Names the program that workers are, where the code does not.
const WORKER_VARIABLE: &str = "TASKHOST_WORKER";

/// A line that a kernel wrote with `log`, or a warning of the pool itself.
#[derive(Clone, Debug)]
pub struct Logged {
    /// How grave it is.
    pub level: Level,
    /// What it says. A kernel's text may hold anything: escape it before you show it.
    pub text: String,
}

/// Called with each line.
pub(crate) type Log = Arc<dyn Fn(&Logged) + Send + Sync>;

/// What the program wants to be told.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) log: Option<Log>,
}

/// How a pool is to be: made by [`Pool::builder`].
///
/// ```no_run
/// # fn main() -> Result<(), taskhost::Error> {
/// use std::time::Duration;
///
/// taskhost::worker::run_if_worker();
/// let pool = taskhost::Pool::builder()
///     .workers(4)
///     .memory(256 << 20)
///     .timeout(Duration::from_secs(2))
///     .build()?;
/// # drop(pool);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Builder {
    pub(crate) workers: Workers,
    pub(crate) pin: bool,
    pub(crate) warm: Option<usize>,
    pub(crate) limits: WorkerLimits,
    pub(crate) sandbox: Sandbox,
    pub(crate) fresh: Fresh,
    pub(crate) policy: Policy,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) cache: Option<PathBuf>,
    pub(crate) hooks: Hooks,
    pub(crate) broadcast: Vec<(String, Content)>,
    pub(crate) beside: Option<Weak<Inner>>,
    program: Option<PathBuf>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("workers", &self.workers).field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            workers: Workers::Physical,
            pin: true,
            warm: None,
            limits: WorkerLimits::default(),
            sandbox: Sandbox::default(),
            fresh: Fresh::default(),
            policy: Policy::default(),
            settings: Vec::new(),
            cache: cache_folder(),
            hooks: Hooks::default(),
            broadcast: Vec::new(),
            beside: None,
            program: None,
        }
    }
}

impl Builder {
    /// So many workers at work at a time, of all kernels together; at least one. Without this one for each physical core, or as
    /// many as the quota of a container allows.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// let pool = taskhost::Pool::builder().workers(2).build()?;
    /// # drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Workers::Exactly(workers.max(1));
        self
    }

    /// Whether each worker is pinned to a core of its own, as far as other pools leave some. It is unless this says no.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// let pool = taskhost::Pool::builder().pin(false).build()?;
    /// # drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    pub fn pin(mut self, pin: bool) -> Self {
        self.pin = pin;
        self
    }

    /// How many workers are kept beyond those that can be at work at a time, for kernels that have nothing to do now: of more,
    /// those that were not used for the longest time are ended. Without this, three for each that can be
    /// at work.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// let pool = taskhost::Pool::builder().warm(0).build()?;
    /// # drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    pub fn warm(mut self, workers: usize) -> Self {
        self.warm = Some(workers);
        self
    }

    /// Uses the cores of another pool together with that one, as kernels of one pool do, in place of cores of its own: for
    /// kernels that are to have another cache, other limits or other walls. What [`Builder::workers`] and [`Builder::warm`] of
    /// the other one say holds for both together. When the other one is gone, its cores can be used all the same.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// let pool = taskhost::Pool::builder().workers(2).build()?;
    /// let careful = taskhost::Pool::builder().beside(&pool).memory(16 << 20).build()?;
    /// # drop(careful);
    /// # Ok(())
    /// # }
    /// ```
    pub fn beside(mut self, other: &Pool) -> Self {
        self.beside = Some(Arc::downgrade(other.inner()));
        self
    }

    /// Bytes that the linear memories of a kernel may have together in one worker. 1 GiB without this.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// let pool = taskhost::Pool::builder().memory(64 << 20).build()?;
    /// # drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    pub fn memory(mut self, bytes: u64) -> Self {
        self.limits.memory = bytes;
        self
    }

    /// Bytes that the result of one item may have. 256 MiB without this.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// let pool = taskhost::Pool::builder().max_output(1 << 20).build()?;
    /// # drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_output(mut self, bytes: u64) -> Self {
        self.limits.output = bytes;
        self
    }

    /// How long one item may take: CPU time, or four times as much by the clock. Without this, for ever.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// let pool = taskhost::Pool::builder().timeout(std::time::Duration::from_millis(200)).build()?;
    /// # drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.policy.timeout = Some(limit);
        self
    }

    /// How often an item is run again whose failure may be nobody's fault. Twice without this.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// let pool = taskhost::Pool::builder().retries(0).build()?;
    /// # drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    pub fn retries(mut self, retries: u32) -> Self {
        self.policy.retries = retries;
        self
    }

    /// Items after which a worker is replaced (`maxtasksperchild`). Never without this.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// let pool = taskhost::Pool::builder().recycle(std::num::NonZeroUsize::MIN).build()?;
    /// # drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    pub fn recycle(mut self, items: NonZeroUsize) -> Self {
        self.policy.recycle = Some(items.get() as u64);
        self
    }

    /// How long an instance of the kernel is kept: as long as its worker, unless this says for one batch or one item.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// let pool = taskhost::Pool::builder().fresh(taskhost::Fresh::Item).build()?;
    /// # drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    pub fn fresh(mut self, fresh: Fresh) -> Self {
        self.fresh = fresh;
        self
    }

    /// How much of the sandbox is insisted on. Without this, every layer that the machine offers.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// let pool = taskhost::Pool::builder().sandbox(taskhost::Sandbox::Full).build()?;
    /// # drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    pub fn sandbox(mut self, sandbox: Sandbox) -> Self {
        self.sandbox = sandbox;
        self
    }

    /// A setting of the kernels: what `--config NAME=VALUE` is on the command line.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// let pool = taskhost::Pool::builder().config("pattern", "error").build()?;
    /// # drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Data that every worker can read, in slices, by this name (`shared_memory`): kept once, however many workers there
    /// are.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// let pool = taskhost::Pool::builder().broadcast("words", *b"to be or not").build()?;
    /// # drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    pub fn broadcast(mut self, name: impl Into<String>, data: impl Into<Arc<[u8]>>) -> Self {
        self.broadcast.push((name.into(), Content::Bytes(data.into())));
        self
    }

    /// The same with what a file holds when the pool is made: it is copied once, and never into the memory of this program.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # taskhost::worker::run_if_worker();
    /// let pool = taskhost::Pool::builder().broadcast_file("model", "model.bin").build()?;
    /// # drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    pub fn broadcast_file(mut self, name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.broadcast.push((name.into(), Content::File(path.into())));
        self
    }

    /// The folder of compiled kernels; `None` compiles each time. Without this, that of the command of the same name.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// let pool = taskhost::Pool::builder().cache(None).build()?;
    /// # drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    pub fn cache(mut self, folder: Option<&Path>) -> Self {
        self.cache = folder.map(Path::to_owned);
        self
    }

    /// The program that workers are: an installed `taskhost`, or any that calls
    /// [`run_if_worker`](crate::worker::run_if_worker). Without this the one that TASKHOST_WORKER names in the environment,
    /// else this program itself. It has to be of the same version.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// let pool = taskhost::Pool::builder().worker_program("/usr/bin/taskhost").build()?;
    /// # drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    pub fn worker_program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(path.into());
        self
    }

    /// Called with each line that a kernel writes with `log`, and with warnings of the pool. In a thread of the pool, which
    /// waits for it.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// let pool = taskhost::Pool::builder().on_log(|line| eprintln!("{:?}", line.text)).build()?;
    /// # drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_log(mut self, log: impl Fn(&Logged) + Send + Sync + 'static) -> Self {
        self.hooks.log = Some(Arc::new(log));
        self
    }

    /// Makes the pool. Workers are started with the first kernel.
    ///
    /// ```standalone_crate
    /// # fn main() -> Result<(), taskhost::Error> {
    /// taskhost::worker::run_if_worker();
    /// let pool = taskhost::Pool::builder().workers(1).build()?;
    /// drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NoWorkerEntry`] when this program cannot be started as a worker and no other was named,
    /// [`Error::WorkerProgram`] when the one that was cannot be used, [`Error::Broadcast`] or [`Error::Start`] when broadcast data
    /// cannot be read or kept.
    pub fn build(self) -> Result<Pool, Error> {
        taskhost_worker::exit_if_stray();
        let program = self.program()?;
        Pool::of(self, program)
    }

    fn program(&self) -> Result<Program, Error> {
        let named = self.program.clone();
        let named =
            named.or_else(|| std::env::var_os(WORKER_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from));
        let Some(path) = named else {
            return if taskhost_worker::can_be_worker() { Ok(Program::ProcSelfExe) } else { Err(Error::NoWorkerEntry) };
        };
        // Absolute, since a worker is started in another folder.
        let program = std::path::absolute(&path).and_then(|absolute| {
            std::fs::metadata(&absolute)?;
            CString::new(absolute.as_os_str().as_bytes()).map_err(std::io::Error::other)
        });
        program.map(Program::Path).map_err(|error| Error::WorkerProgram { path, error })
    }
}

/// The user's folder of compiled kernels, by the XDG base directory specification: relative values do not count.
fn cache_folder() -> Option<PathBuf> {
    let given = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || Some(PathBuf::from(std::env::var_os("HOME").filter(|home| !home.is_empty())?).join(".cache"));
    Some(given.or_else(home)?.join("taskhost"))
}
