//! A service, from its data folder to its listening sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::account::Accounts;
use crate::admin::{AdminAnswer, AdminSocket, Ground};
use crate::blobs::{Blobs, LocalBlobs};
use crate::call::{Calls, Capacity, Engine};
use crate::compiled::Compiled;
use crate::counts::Counts;
use crate::data::{DataError, DataFolder};
use crate::http::{App, Elsewhere, Limits, Listening, Place, Rules, Tls, TlsError, Waiters, serve};
use crate::job::{Fair, JobId, JobService, Launcher, Order, PROCESSES_PER_CORE, Shared};
use crate::signature::{Keys, KeysError};
use crate::starts::Starts;
use crate::store::{Store, StoreError, jobs};
use crate::sweep::{KeepJobs, Sweeper};
use crate::tenant::{Directory, TenantId};
use crate::webhook::{Courier, Networks, Post};

/// How a service is reached, and what it has to be shown there.
pub struct Doors {
    /// Where it listens; port 0 takes one that is free.
    pub listen: SocketAddr,
    /// A certificate and its key, in PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Whether it may listen where others can read what is sent.
    pub plain_beyond_loopback: bool,
    /// Where it tells the operator's numbers, those of each tenant among them.
    pub metrics: Option<SocketAddr>,
    /// Public keys of those of whom one has to have signed a kernel for it to be taken; none has to without.
    pub kernel_keys: Option<PathBuf>,
}

/// What files say that doors name.
type Read = (Option<Arc<Tls>>, Option<Arc<Keys>>);

impl Doors {
    /// Says what keeps a service from being reached so, as far as that can be said without one.
    ///
    /// # Errors
    /// When something does.
    pub fn check(&self) -> Result<(), ServiceError> {
        self.read().map(drop)
    }

    fn read(&self) -> Result<Read, ServiceError> {
        let is_plain = |address: &SocketAddr| !address.ip().is_loopback() && !self.plain_beyond_loopback;
        if self.tls.is_none() && is_plain(&self.listen) {
            return Err(ServiceError::Plain(self.listen));
        }
        if let Some(metrics) = self.metrics.filter(is_plain) {
            return Err(ServiceError::Plain(metrics));
        }
        let tls = self.tls.as_ref().map(|(certificate, key)| Tls::load(certificate, key).map(Arc::new)).transpose()?;
        let keys = self.kernel_keys.as_ref().map(|path| Keys::load(path).map(Arc::new)).transpose()?;
        Ok((tls, keys))
    }
}

/// How a service is to be.
pub struct Options {
    /// Where everything is kept.
    pub data: PathBuf,
    /// How it is reached.
    pub doors: Doors,
    /// The program that jobs are run by: this one.
    pub program: PathBuf,
    /// `--sandbox` of the jobs.
    pub sandbox: String,
    /// Workers of all jobs together, and of all calls.
    pub cores: usize,
    /// Of these, how many jobs leave to calls, and calls to tenants that have none.
    pub reserve: usize,
    /// Calls that wait at a time, of all tenants.
    pub waiting: usize,
    /// Has the workers of calls.
    pub engine: Arc<dyn Engine>,
    /// Sends what webhooks are told.
    pub courier: Arc<dyn Courier>,
    /// What they may reach beside public addresses; the courier knows it, too.
    pub networks: Networks,
    /// Where kernels and contents may be fetched from, and who does that.
    pub elsewhere: Elsewhere,
    /// What it was made of.
    pub build: Build,
    /// What may be otherwise later.
    pub changing: Changing,
}

/// The versions of what a server was made of, for whoever looks after several.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// Of wasmtime.
    pub wasmtime: &'static str,
    /// Of the compiler.
    pub rustc: &'static str,
}

/// What a service can be told anew while it runs.
#[derive(Clone, Copy, Debug)]
pub struct Changing {
    /// How much strangers may take.
    pub limits: Limits,
    /// How long the records of jobs are kept after their end, beyond what came of them.
    pub keep_jobs: Duration,
}

/// Why a service cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Everybody on the way could read tokens and results.
    #[error(
        "{0} can be reached from other machines, and there is no TLS: give --tls-cert and --tls-key, put a proxy in front and listen on 127.0.0.1, or say --plain-http-beyond-loopback"
    )]
    Plain(SocketAddr),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The keys of those who vouch for kernels.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The data folder.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A socket.
    #[error("{0} cannot be listened on: {1}")]
    Listen(String, io::Error),
    /// No thread can be started.
    #[error("no thread can be started: {0}")]
    Thread(io::Error),
}

/// The address at which a service can be reached from its own machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

/// A line in the log for each time that a job is given a process.
fn log_begin(directory: &Directory, job: &JobId, tenant: TenantId, attempt: u32) {
    let tenant = directory.tenant(tenant);
    let tenant = tenant.as_ref().map(|tenant| tenant.name.as_str());
    tracing::info!(job = job.as_str(), tenant, attempt, "job begins");
}

/// A line in the log for the end of each job, however it came.
fn log_end(directory: &Directory, job: &JobId) {
    // One that its owner has deleted meanwhile has a line of that.
    let Ok(Some(row)) = directory.store().read(|rows| jobs::get(rows, job)) else { return };
    let tenant = directory.tenant(row.tenant);
    let tenant = tenant.as_ref().map(|tenant| tenant.name.as_str());
    let (job, state, done) = (job.as_str(), row.state.name(), row.conclusion);
    tracing::info!(job, tenant, state, exit_code = done.exit, items = done.items, cpu_ms = done.cpu_ms, "job ends");
}

/// How often it is measured what calls use, and how many of these pass until that is written down.
const MEASURE: Duration = Duration::from_millis(100);
const WRITE: u32 = 10;

/// A service that runs.
pub struct Service {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it tells the operator's numbers.
    pub metrics: Option<SocketAddr>,
    app: Arc<App>,
    tls: Option<Arc<Tls>>,
    limits: Arc<RwLock<Limits>>,
    keep_jobs: KeepJobs,
    listening: Vec<Listening>,
    meter: Meter,
    // The socket goes before the lock.
    _admin: AdminSocket,
    _sweeper: Sweeper,
    _folder: DataFolder,
}

impl Service {
    /// Starts it: takes the data folder, goes on with jobs that are not over, listens.
    ///
    /// # Errors
    /// When any of that is not possible.
    pub fn start(options: Options) -> Result<Self, ServiceError> {
        let (tls, keys) = options.doors.read()?;
        let folder = DataFolder::take(&options.data)?;
        let directory = Arc::new(Directory::new(Store::open(&folder.database())?)?);
        let blobs: Arc<dyn Blobs> = Arc::new(LocalBlobs::new(folder.path()));
        let waiters = Arc::new(Waiters::default());
        let post = Post::start(directory.store().clone(), options.courier).map_err(ServiceError::Thread)?;
        let post = Arc::new(post);
        let (over, news) = (Arc::clone(&waiters), Arc::clone(&post));
        let (begins, ends) = (Arc::clone(&directory), Arc::clone(&directory));
        let cores = options.cores.max(1);
        let job_cores = cores.saturating_sub(options.reserve).max(1);
        let shared = Arc::new(Shared {
            directory: Arc::clone(&directory),
            blobs: Arc::clone(&blobs),
            compiled: Compiled::new(folder.path()),
            launcher: Launcher { program: options.program, sandbox: options.sandbox },
            data: folder.path().to_owned(),
            cores: job_cores,
            fair: Mutex::new(Fair::new(job_cores, job_cores * PROCESSES_PER_CORE)),
            counts: Arc::new(Counts::default()),
            starts: Starts::default(),
            accounts: Accounts::default(),
            began: Box::new(move |job, tenant, attempt| log_begin(&begins, job, tenant, attempt)),
            over: Box::new(move |job: &JobId| {
                over.over(job);
                news.look();
                log_end(&ends, job);
            }),
            warn: Box::new(|job: &JobId, text: &str| tracing::warn!(job = job.as_str(), text, "job")),
        });
        let jobs = JobService::start(Arc::clone(&shared))?;
        let capacity = Capacity { workers: cores, kept: options.reserve, waiting: options.waiting };
        let calls = Calls::new(Arc::clone(&shared), options.engine, capacity);
        let meter = Meter::start(Arc::clone(&calls)).map_err(ServiceError::Thread)?;
        let rules = Rules {
            networks: options.networks,
            keys,
            elsewhere: options.elsewhere,
            is_secure: tls.is_some(),
            build: options.build,
        };
        let app = Arc::new(App::new(shared, jobs, calls, waiters, post, rules));
        let told = Arc::clone(&app);
        let page = Arc::clone(&directory);
        let ground =
            Ground { directory: Arc::clone(&directory), blobs: Arc::clone(&blobs), data: folder.path().to_owned() };
        let changed = move |answer: &AdminAnswer| {
            told.jobs.tell(Order::Refresh);
            told.calls.refresh();
            if let AdminAnswer::Blocked { digest, reason, ended } = answer {
                told.blocked(digest, reason, ended);
            }
        };
        let admin = AdminSocket::listen(&folder, ground, Box::new(changed))
            .map_err(|error| ServiceError::Listen("the operator's socket".into(), error))?;
        let warn = Box::new(|text: &str| tracing::warn!(text, "sweep"));
        let keep_jobs = KeepJobs::new(options.changing.keep_jobs.as_secs().into());
        let sweeper = Sweeper::start(directory.store().clone(), blobs, folder.path(), Arc::clone(&keep_jobs), warn);
        let sweeper = sweeper.map_err(ServiceError::Thread)?;
        let limits = Arc::new(RwLock::new(options.changing.limits));
        let mut listening = Vec::new();
        let mut listen = |address: SocketAddr, tls: Option<Arc<Tls>>, is_operators: bool| {
            let place = Place { address, tls, is_operators, limits: Arc::clone(&limits) };
            let new = serve(Arc::clone(&app), place);
            let new = new.map_err(|error| ServiceError::Listen(address.to_string(), error))?;
            let address = new.address;
            listening.push(new);
            Ok::<_, ServiceError>(address)
        };
        let address = listen(options.doors.listen, tls.clone(), false)?;
        let metrics = options.doors.metrics.map(|metrics| listen(metrics, None, true)).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        page.set_page(format!("{scheme}://{}", reachable(address)));
        Ok(Self {
            address,
            metrics,
            app,
            tls,
            limits,
            keep_jobs,
            listening,
            meter,
            _admin: admin,
            _sweeper: sweeper,
            _folder: folder,
        })
    }

    /// Reads anew what may have changed: the certificate, the keys of those who vouch for kernels, the tenants and their quotas; and goes by other settings from now on,
    /// when there are any.
    ///
    /// # Errors
    /// When something cannot be read; it stays as it was then.
    pub fn reload(&self, changing: Option<Changing>) -> Result<(), ServiceError> {
        if let Some(Changing { limits, keep_jobs }) = changing {
            *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
            self.keep_jobs.store(keep_jobs.as_secs(), Ordering::Relaxed);
        }
        self.app.shared.directory.refresh()?;
        self.app.jobs.tell(Order::Refresh);
        self.app.calls.refresh();
        // Each by itself: what is wrong with one keeps no other from being read.
        let keys = self.app.keys.as_ref().map_or(Ok(()), |keys| keys.reload());
        self.tls.as_ref().map_or(Ok(()), |tls| tls.reload())?;
        keys?;
        Ok(())
    }

    /// Takes nothing new from now on; what is under way may come to its end, and everything can be asked for still.
    pub fn drain(&self) {
        // Before `/readyz` says that nothing is taken any more.
        self.app.calls.drain();
        self.app.jobs.drain();
    }

    /// Whether nothing is under way any more.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.app.jobs.with_process() == 0 && self.app.calls.is_idle()
    }

    /// Whether connections are secret.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.tls.is_some()
    }

    /// Takes nothing new, answers what is under way, parks the jobs that run, and returns when none does.
    pub fn stop(self) {
        self.drain();
        self.app.jobs.tell(Order::Stop);
        self.listening.into_iter().for_each(Listening::stop);
        self.meter.stop();
        self.app.post.stop();
        self.app.calls.stop();
        self.app.jobs.stop();
        self.app.calls.write_down();
        // It is in line behind what was written down: when it returns, the store has nothing to do.
        let _ = self.app.shared.store().write(|_| Ok(()));
    }
}

/// Looks at what calls use.
struct Meter {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Meter {
    fn start(calls: Arc<Calls>) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let look = move || {
            let mut count = 0;
            while stopped.recv_timeout(MEASURE) == Err(RecvTimeoutError::Timeout) {
                calls.measure_all();
                count += 1;
                if count % WRITE == 0 {
                    calls.write_down();
                }
            }
        };
        let thread = std::thread::Builder::new().name("meter".into()).spawn(look)?;
        Ok(Self { stop, thread })
    }

    fn stop(self) {
        // It ends when nobody can tell it anything any more.
        drop(self.stop);
        let _ = self.thread.join();
    }
}
