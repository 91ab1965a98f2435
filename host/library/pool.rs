//! A pool: kernels that are ready to be used, and the cores that they share.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use taskhost_os::cores::ClaimedCores;
use taskhost_os::spawn::Program;
use taskhost_pool::artifact::Digest;
use taskhost_pool::runner::{PoolConfig, SharedCores};
use taskhost_protocol::given::Given;
use taskhost_protocol::kernel::{CompileOptions, Invoke, Kind, Notation};

use super::broadcast::Laid;
use super::builder::Builder;
use super::desk::lock;
use super::error::Error;
use super::function::Function;
use super::kernel::Kernel;
use super::reactor::Reactor;
use super::source::KernelSource;
use super::stats::Stats;
use super::terms::Terms;

/// Workers that are kept beyond those that can be at work, for each of these, when nothing else was said: with one more kernel
/// than cores, kernels that take turns must not end each other's workers, since to start one takes some 3 ms, and to keep one
/// about a megabyte.
const WARM: usize = 3;

/// What a reactor is for: a kernel, and the function of it that is called.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Purpose {
    kernel: Digest,
    function: Option<String>,
    terms: Terms,
}

/// Those that were asked for, by what they are for.
type Reactors = Vec<(Purpose, Arc<Reactor>)>;

/// What all handles of a pool share.
pub(crate) struct Inner {
    builder: Builder,
    program: Program,
    cores: Arc<ClaimedCores>,
    /// Who of the kernels has which of them.
    shared: SharedCores,
    broadcast: Laid,
    /// `None` when the pool is closed.
    reactors: Mutex<Option<Reactors>>,
}

/// A pool of worker processes. Dropping it ends them, whatever they are at; [`close`](Pool::close) lets them finish.
///
/// Each kernel has workers of its own, locked in and pinned, which are started when there is work for them. All kernels share
/// the cores of the pool: each of its maps gets CPU time by its weight. Workers that have nothing to do are kept for the next
/// item, as many as [`Builder::warm`] says.
///
/// ```no_run
/// fn main() -> Result<(), taskhost::Error> {
///     taskhost::worker::run_if_worker();
///     let pool = taskhost::Pool::new()?;                    // one pinned worker per physical core
///     let primes = pool.kernel("primes.wasm")?;             // compiled, or from the cache
///     for n in primes.map::<_, u64>((0..1000u64).map(|i| (i * 100, i * 100 + 100))) {
///         println!("{}", n?);                               // Result<u64, TaskError>, in order, lazily
///     }
///     let one = primes.submit::<_, u64>(&(2u64, 100_000u64))?;
///     assert_eq!(one.wait()?, 9592);
///     Ok(())
/// }
/// ```
pub struct Pool {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("workers", &self.inner.cores.plan.len()).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool with one pinned worker for each physical core.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// taskhost::worker::run_if_worker();
    /// let pool = taskhost::Pool::new()?;
    /// # drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Builder::build`].
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// How a pool is to be, when it is not to be like all others.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// taskhost::worker::run_if_worker();
    /// let pool = taskhost::Pool::builder().workers(2).timeout(std::time::Duration::from_secs(1)).build()?;
    /// # drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn of(mut builder: Builder, program: Program) -> Result<Self, Error> {
        let broadcast = Laid::out(&std::mem::take(&mut builder.broadcast))?;
        let (cores, shared) = match builder.beside.take().map(|other| other.upgrade().ok_or(Error::Closed)) {
            Some(other) => {
                let other = other?;
                (Arc::clone(&other.cores), other.shared.clone())
            }
            None => {
                let cores = Arc::new(ClaimedCores::claim(builder.workers, builder.pin));
                let shared = SharedCores::new(&cores.plan, builder.warm.unwrap_or(WARM * cores.plan.len()));
                (cores, shared)
            }
        };
        let reactors = Mutex::new(Some(Vec::new()));
        Ok(Self { inner: Arc::new(Inner { builder, program, cores, shared, broadcast, reactors }) })
    }

    /// A kernel, from its file or its bytes: compiled in a worker, or found in the cache, and started in one worker, so that
    /// what is wrong with it is known. Asked for again, it is the same. Any component that exports functions will do, for
    /// [`Kernel::invoke`].
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let from_file = pool.kernel("primes.wasm")?;
    /// let from_bytes = pool.kernel(std::fs::read("primes.wasm").expect("a file"))?;
    /// # drop((from_file, from_bytes));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Kernel`] when its file cannot be read, [`Error::Refused`] when it cannot be run,
    /// [`Error::Sandbox`] or [`Error::Start`] when workers cannot be started here.
    pub fn kernel(&self, source: impl Into<KernelSource>) -> Result<Kernel, Error> {
        let (name, bytes) = source.into().load()?;
        let reactor = self.inner.reactor(&name, &bytes, None)?;
        if reactor.info.kind == Kind::Typed {
            // It has functions, but none that is called for an item: nobody needs its worker.
            self.inner.give_up(&reactor);
            return Ok(Kernel::of_functions(&self.inner, &name, &bytes));
        }
        Ok(Kernel::new(&reactor, &self.inner, &name, &bytes))
    }

    /// A function of a component, without anything else of it: what [`Kernel::function`] gives.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let divide = pool.function("library.wasm", "divide")?;
    /// assert_eq!(divide.call(&[7, 2])?, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Pool::kernel`] and [`Kernel::function`].
    pub fn function(&self, source: impl Into<KernelSource>, name: &str) -> Result<Function, Error> {
        let (kernel, bytes) = source.into().load()?;
        let reactor = self.inner.reactor(&kernel, &bytes, Some(name))?;
        Ok(Function::new(Kernel::new(&reactor, &self.inner, &kernel, &bytes)))
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// What the pool has done so far, and what each of its workers is at.
    ///
    /// ```standalone_crate
    /// # fn main() -> Result<(), taskhost::Error> {
    /// taskhost::worker::run_if_worker();
    /// let pool = taskhost::Pool::builder().workers(1).build()?;
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/embed")).expect("it is there");
    /// let primes = pool.kernel("primes.wasm")?;
    /// let counts: Vec<u64> = primes.map((0..100u64).map(|n| (n, n + 10))).collect::<Result<_, _>>()?;
    /// let stats = pool.stats();
    /// assert_eq!((counts.len() as u64, stats.items, stats.failed), (100, 100, 0));
    /// let worker = &stats.workers[0];
    /// assert_eq!((worker.items, worker.kernel.as_ref()), (100, "primes.wasm"));
    /// assert!(stats.kernels[0].cpu >= worker.cpu);
    /// println!("{} bytes, {:?}", worker.private, worker.cpu);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        let reactors = lock(&self.inner.reactors).clone().unwrap_or_default();
        let mut stats = Stats::default();
        for (purpose, reactor) in reactors {
            stats.add(&reactor.name, purpose.function.as_deref(), &reactor.desk);
        }
        stats
    }

    /// CPU time that all workers have had so far, as the system measures it, those that are gone included.
    ///
    /// ```standalone_crate
    /// # fn main() -> Result<(), taskhost::Error> {
    /// taskhost::worker::run_if_worker();
    /// let pool = taskhost::Pool::builder().workers(1).build()?;
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/embed")).expect("it is there");
    /// let primes = pool.kernel("primes.wasm")?;
    /// primes.submit::<_, u64>(&(0u64, 100_000u64))?.wait()?;
    /// assert!(!pool.cpu_time().is_zero());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        let reactors = lock(&self.inner.reactors).clone().unwrap_or_default();
        let of =
            |(_, reactor): &(Purpose, Arc<Reactor>)| reactor.desk.drive()?.with(taskhost_pool::runner::Pool::cpu_time);
        reactors.iter().filter_map(of).sum()
    }

    /// Finishes all tasks that were submitted, and ends the workers. Maps are given up: nobody reads them now, and they
    /// go no further than somebody reads.
    ///
    /// ```standalone_crate
    /// # fn main() -> Result<(), taskhost::Error> {
    /// taskhost::worker::run_if_worker();
    /// let pool = taskhost::Pool::builder().workers(1).build()?;
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/embed")).expect("it is there");
    /// let primes = pool.kernel("primes.wasm")?;
    /// let count = primes.submit::<_, u64>(&(0u64, 1000u64))?;
    /// pool.close();
    /// assert_eq!(count.wait()?, 168);
    /// assert!(primes.submit::<_, u64>(&(0u64, 1u64)).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn close(self) {
        self.inner.end(false);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.inner.end(true);
    }
}

impl Inner {
    fn end(&self, now: bool) {
        let Some(reactors) = lock(&self.reactors).take() else { return };
        // All at once, since each takes as long as its workers.
        for (_, reactor) in &reactors {
            reactor.desk.close(now);
        }
        for (_, reactor) in reactors {
            reactor.end(now);
        }
    }

    /// Workers of each kernel.
    pub(crate) fn workers(&self) -> usize {
        self.cores.plan.len()
    }

    /// Nobody will ask for this one any more.
    fn give_up(&self, unused: &Arc<Reactor>) {
        if let Some(reactors) = lock(&self.reactors).as_mut() {
            reactors.retain(|(_, reactor)| !Arc::ptr_eq(reactor, unused));
        }
    }

    /// What all kernels are run on that have no terms of their own.
    pub(crate) fn terms(&self) -> Terms {
        Terms::of(&self.builder)
    }

    pub(crate) fn reactor(&self, name: &str, bytes: &[u8], function: Option<&str>) -> Result<Arc<Reactor>, Error> {
        self.reactor_on(name, bytes, function, self.terms())
    }

    /// One on terms of its own.
    pub(crate) fn reactor_on(
        &self,
        name: &str,
        bytes: &[u8],
        function: Option<&str>,
        terms: Terms,
    ) -> Result<Arc<Reactor>, Error> {
        let purpose = Purpose { kernel: Digest::of(bytes), function: function.map(str::to_owned), terms };
        let mut reactors = lock(&self.reactors);
        let reactors = reactors.as_mut().ok_or(Error::Closed)?;
        if let Some((_, reactor)) = reactors.iter().find(|(known, _)| *known == purpose) {
            return Ok(Arc::clone(reactor));
        }
        let config = self.config(name, bytes, function, &purpose.terms)?;
        let reactor = Reactor::start(name, config, self.shared.clone(), self.builder.hooks.clone());
        let reactor = Arc::new(reactor.map_err(|error| Error::of_pool(error, name))?);
        reactors.push((purpose, Arc::clone(&reactor)));
        Ok(reactor)
    }

    fn config(&self, name: &str, bytes: &[u8], function: Option<&str>, terms: &Terms) -> Result<PoolConfig, Error> {
        let (entries, broadcast) = self.broadcast.share()?;
        let Builder { sandbox, cache, .. } = &self.builder;
        let Terms { limits, fresh, policy, settings } = terms;
        let invoke = function.map(|name| Invoke { function: name.to_owned(), notation: Notation::Json });
        Ok(PoolConfig {
            kernel_name: name.to_owned(),
            kernel: bytes.to_vec(),
            options: CompileOptions { kind: function.map(|_| Kind::Typed), ..CompileOptions::default() },
            invoke,
            cache: cache.clone(),
            program: self.program.clone(),
            cores: self.cores.plan.clone(),
            // The others are started when there is work for them.
            initial: 1,
            limits: *limits,
            fresh: *fresh,
            sandbox: *sandbox,
            settings: if function.is_some() { Vec::new() } else { settings.clone() },
            grants: Vec::new(),
            given: Given { broadcast: entries, ..Given::default() },
            broadcast,
            describe_only: false,
            clock: SystemTime::now(),
            policy: *policy,
            sync: false,
            capture: false,
            signals: None,
        })
    }
}
