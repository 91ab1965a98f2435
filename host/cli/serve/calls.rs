//! The workers of calls: a small pool for each tenant and kernel, all on the same cores.

use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use taskhost::pool::verdict::Verdict;
use taskhost::{Attendance, Error, Function, Kernel, KernelSource, Pool, Sandbox};
use taskhost_protocol::limits::KERNEL_BYTES;
use taskhost_service::call::{Attended, Callee, Engine, ItemFailure, OpenError, Outcome, Running, Told, Wanted};

/// Bytes of a result: it is answered as a whole.
const RESULT_BYTES: u64 = 6 << 20;

/// CPU time of an item, beside the time that its call may take: what nobody waits for any more is given up before.
const ITEM_TIME: Duration = Duration::from_secs(30);

/// Workers that are kept for the next call beyond those that can be at work, of all tenants together: of the first-party kernels
/// each has a few megabytes.
const WARM: usize = 16;

/// Makes workers for calls.
pub(super) struct Workers {
    /// Has the cores, and no kernel.
    cores: Pool,
    sandbox: Sandbox,
}

impl Workers {
    /// For so many workers at a time.
    pub(super) fn new(workers: usize, sandbox: Sandbox) -> Result<Self, Error> {
        // Jobs use the same cores, so that none is anybody's.
        let cores = Pool::builder().workers(workers).pin(false).warm(WARM).sandbox(sandbox).build()?;
        Ok(Self { cores, sandbox })
    }

    /// Has a worker look at a kernel that is none: whether it comes to that is seen before anybody asks for it.
    ///
    /// # Errors
    /// When a wall cannot be had that is insisted on.
    pub(super) fn try_walls(&self) -> Result<(), Error> {
        /// A module with nothing in it.
        const NOTHING: &[u8] = b"\0asm\x01\0\0\0";
        let look = || {
            let pool = Pool::builder().beside(&self.cores).sandbox(self.sandbox).cache(None).build()?;
            pool.kernel(KernelSource::Bytes { name: "nothing".into(), bytes: NOTHING.into() }).map(drop)
        };
        // What workers are forked from ends with the thread that has started it; this one of the server's has them for good.
        let looked = std::thread::scope(|scope| scope.spawn(look).join());
        match looked {
            Ok(Err(error @ Error::Sandbox(_))) => Err(error),
            // That it is refused is what comes of it, and what else may be wrong passes.
            _ => Ok(()),
        }
    }
}

impl Engine for Workers {
    fn open(&self, wanted: &Wanted) -> Result<Arc<dyn Callee>, OpenError> {
        let mut bytes = Vec::new();
        let read = (&wanted.kernel).take(KERNEL_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|error| OpenError::Failed(format!("a kernel cannot be read: {error}")))?;
        let builder = Pool::builder()
            .beside(&self.cores)
            .sandbox(self.sandbox)
            .memory(wanted.purpose.memory)
            .max_output(RESULT_BYTES)
            .timeout(ITEM_TIME)
            .cache(Some(&wanted.cache.join("taskhost")));
        let pool = builder.build().map_err(refused)?;
        let source = KernelSource::Bytes { name: "kernel".into(), bytes };
        let called = match &wanted.purpose.function {
            Some(name) => Called::Function(pool.function(source, name).map_err(refused)?),
            None => {
                let kernel = pool.kernel(source).map_err(refused)?;
                kernel.check_items().map_err(refused)?;
                Called::Kernel(kernel)
            }
        };
        Ok(Arc::new(Ready { pool, called }))
    }
}

/// Whose fault it is that a kernel cannot be called.
fn refused(error: Error) -> OpenError {
    match error {
        Error::Refused { reason, .. } => OpenError::Refused(reason),
        error => OpenError::Failed(error.to_string()),
    }
}

enum Called {
    Kernel(Kernel),
    Function(Function),
}

/// A kernel of a tenant, with workers of its own.
struct Ready {
    pool: Pool,
    called: Called,
}

impl Callee for Ready {
    fn submit(&self, items: &[Vec<u8>], mut told: Told) -> Result<Running, String> {
        let told = move |item: usize, outcome: taskhost::Outcome| told(item, of(outcome));
        let running = match &self.called {
            Called::Kernel(kernel) => kernel.submit_together(items, told),
            Called::Function(function) => function.submit_together(items, told),
        };
        Ok(Box::new(running.map_err(|error| error.to_string())?))
    }

    fn attend(&self) -> Option<Box<dyn Attended>> {
        let attendance = match &self.called {
            Called::Kernel(kernel) => kernel.attend(),
            Called::Function(function) => function.attend(),
        };
        // Without it the pool's own thread does the same.
        Some(Box::new(AttendedPool(attendance.ok()?)))
    }

    fn cpu_time(&self) -> Duration {
        self.pool.cpu_time()
    }
}

struct AttendedPool(Attendance);

impl AsFd for AttendedPool {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Attended for AttendedPool {
    fn turn(&self) -> bool {
        self.0.turn()
    }
}

fn of(outcome: taskhost::Outcome) -> Outcome {
    match outcome {
        taskhost::Outcome::Done(result) => Outcome::Done(result),
        taskhost::Outcome::Failed(verdict) => Outcome::Failed(failure(&verdict)),
        taskhost::Outcome::Lost(why) => Outcome::Lost(why),
    }
}

/// What whoever called is told: nothing of flags that nobody typed.
fn failure(verdict: &Verdict) -> ItemFailure {
    let message = match verdict {
        Verdict::Deadline(limit) => format!("it took longer than {limit:?}"),
        Verdict::MemoryLimit { limit, reason } => {
            format!("the kernel needs more memory than the {limit} bytes it may have: {reason}")
        }
        Verdict::WorkerMemory => "its worker ran out of memory".to_owned(),
        Verdict::OutputLimit { len, limit } => format!("the result has {len} bytes, more than the {limit} it may have"),
        verdict => verdict.to_string(),
    };
    ItemFailure { verdict: verdict.name(), blame: verdict.blame().name(), message }
}
