//! A service, from its data folder to its listening socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use crate::admin::AdminSocket;
use crate::blobs::LocalBlobs;
use crate::call::{Calls, Engine};
use crate::data::{DataError, DataFolder};
use crate::http::{App, Limits, Listening, Log, Waiters, serve};
use crate::job::{Fair, JobId, JobService, Launcher, Order, PROCESSES_PER_CORE, Shared};
use crate::store::{Store, StoreError};
use crate::tenant::Directory;
use crate::time::Moment;

/// How a service is to be.
pub struct Options {
    /// Where everything is kept.
    pub data: PathBuf,
    /// Where it listens; port 0 takes one that is free.
    pub listen: SocketAddr,
    /// Whether it may listen where others can read what is sent.
    pub plain_beyond_loopback: bool,
    /// The program that jobs are run by: this one.
    pub program: PathBuf,
    /// `--sandbox` of the jobs.
    pub sandbox: String,
    /// Workers of all jobs together, and of all calls.
    pub cores: usize,
    /// Of these, how many jobs leave to calls, and calls to tenants that have none.
    pub reserve: usize,
    /// Has the workers of calls.
    pub engine: Arc<dyn Engine>,
    /// How much strangers may take.
    pub limits: Limits,
    /// Takes lines of JSON.
    pub log: Arc<dyn Fn(&str) + Send + Sync>,
}

/// Why a service cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Everybody on the way could read tokens and results.
    #[error(
        "{0} can be reached from other machines, and there is no TLS: put a proxy in front and listen on 127.0.0.1, or say --plain-http-beyond-loopback"
    )]
    Plain(SocketAddr),
    /// The data folder.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The socket.
    #[error("{0} cannot be listened on: {1}")]
    Listen(String, io::Error),
}

/// The address at which a service can be reached from its own machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

/// How often it is measured what calls use, and how many of these pass until that is written down.
const MEASURE: Duration = Duration::from_millis(100);
const WRITE: u32 = 10;

/// A service that runs.
pub struct Service {
    /// Where it listens.
    pub address: SocketAddr,
    app: Arc<App>,
    limits: Arc<RwLock<Limits>>,
    listening: Listening,
    meter: Meter,
    // Its socket goes before its lock.
    _admin: AdminSocket,
    _folder: DataFolder,
}

impl Service {
    /// Starts it: takes the data folder, goes on with jobs that are not over, listens.
    ///
    /// # Errors
    /// When any of that is not possible.
    pub fn start(options: Options) -> Result<Self, ServiceError> {
        if !options.listen.ip().is_loopback() && !options.plain_beyond_loopback {
            return Err(ServiceError::Plain(options.listen));
        }
        let folder = DataFolder::take(&options.data)?;
        let directory = Arc::new(Directory::new(Store::open(&folder.database())?)?);
        let (waiters, log) = (Arc::new(Waiters::default()), options.log);
        let (over, warnings) = (Arc::clone(&waiters), Arc::clone(&log));
        let (told, cores) = (Arc::clone(&log), options.cores.max(1));
        let job_cores = cores.saturating_sub(options.reserve).max(1);
        let shared = Arc::new(Shared {
            directory: Arc::clone(&directory),
            blobs: Arc::new(LocalBlobs::new(folder.path())),
            launcher: Launcher { program: options.program, sandbox: options.sandbox },
            data: folder.path().to_owned(),
            cores: job_cores,
            fair: Mutex::new(Fair::new(job_cores, job_cores * PROCESSES_PER_CORE)),
            tell: Box::new(move |text: &str| told(&json!({ "at": Moment::now(), "warning": text }).to_string())),
            over: Box::new(move |job: &JobId| over.over(job)),
            warn: Box::new(move |job: &JobId, text: &str| {
                warnings(&json!({ "at": Moment::now(), "job": job, "warning": text }).to_string());
            }),
        });
        let jobs = JobService::start(Arc::clone(&shared))?;
        let lines: Log = Box::new(move |line: &str| log(line));
        let calls = Calls::new(Arc::clone(&shared), options.engine, cores, options.reserve);
        let meter = Meter::start(Arc::clone(&calls))
            .map_err(|error| ServiceError::Listen("the meter of calls".into(), error))?;
        let app = Arc::new(App::new(shared, jobs, calls, waiters, lines));
        let told = Arc::clone(&app);
        let page = Arc::clone(&directory);
        let changed = move || {
            told.jobs.tell(Order::Refresh);
            told.calls.refresh();
        };
        let admin = AdminSocket::listen(&folder, directory, Box::new(changed))
            .map_err(|error| ServiceError::Listen("the operator's socket".into(), error))?;
        let limits = Arc::new(RwLock::new(options.limits));
        let listening = serve(Arc::clone(&app), options.listen, Arc::clone(&limits))
            .map_err(|error| ServiceError::Listen(options.listen.to_string(), error))?;
        page.set_page(format!("http://{}", reachable(listening.address)));
        let address = listening.address;
        Ok(Self { address, app, limits, listening, meter, _admin: admin, _folder: folder })
    }

    /// Reads again what may have been changed beside it, and has new limits of connections from now on.
    pub fn reload(&self, limits: Limits) {
        *self.limits.write().unwrap_or_else(std::sync::PoisonError::into_inner) = limits;
        if let Err(error) = self.app.shared.directory.refresh() {
            (self.app.shared.tell)(&format!("tenants cannot be read again: {error}"));
        }
        self.app.jobs.tell(Order::Refresh);
        self.app.calls.refresh();
    }

    /// Takes nothing new from now on; what is under way may come to its end, and everything can be asked for still.
    pub fn drain(&self) {
        self.app.jobs.drain();
        self.app.calls.drain();
    }

    /// Whether nothing is under way any more.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.app.jobs.with_process() == 0 && self.app.calls.is_idle()
    }

    /// Takes nothing new, answers what is under way, parks the jobs that run, and returns when none does.
    pub fn stop(self) {
        self.drain();
        self.app.jobs.tell(Order::Stop);
        self.listening.stop();
        self.meter.stop();
        self.app.calls.stop();
        self.app.jobs.stop();
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
