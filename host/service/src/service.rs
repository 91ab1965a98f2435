//! A service, from its data folder to its listening socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use crate::admin::AdminSocket;
use crate::blobs::LocalBlobs;
use crate::data::{DataError, DataFolder};
use crate::http::{App, Limits, Listening, Log, Waiters, serve};
use crate::job::{JobId, JobService, Launcher, Order, Shared};
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
    /// Workers of all jobs together.
    pub cores: usize,
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

/// A service that runs.
pub struct Service {
    /// Where it listens.
    pub address: SocketAddr,
    app: Arc<App>,
    listening: Listening,
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
        let shared = Arc::new(Shared {
            directory: Arc::clone(&directory),
            blobs: Arc::new(LocalBlobs::new(folder.path())),
            launcher: Launcher { program: options.program, sandbox: options.sandbox },
            data: folder.path().to_owned(),
            cores: options.cores.max(1),
            over: Box::new(move |job: &JobId| over.over(job)),
            warn: Box::new(move |job: &JobId, text: &str| {
                warnings(&json!({ "at": Moment::now(), "job": job, "warning": text }).to_string());
            }),
        });
        let jobs = JobService::start(Arc::clone(&shared))?;
        let lines: Log = Box::new(move |line: &str| log(line));
        let app = Arc::new(App::new(shared, jobs, waiters, lines));
        let told = Arc::clone(&app);
        let page = Arc::clone(&directory);
        let admin = AdminSocket::listen(&folder, directory, Box::new(move || told.jobs.tell(Order::Refresh)))
            .map_err(|error| ServiceError::Listen("the operator's socket".into(), error))?;
        let listening = serve(Arc::clone(&app), options.listen, options.limits)
            .map_err(|error| ServiceError::Listen(options.listen.to_string(), error))?;
        page.set_page(format!("http://{}", reachable(listening.address)));
        Ok(Self { address: listening.address, app, listening, _admin: admin, _folder: folder })
    }

    /// Takes nothing new, answers what is under way, parks the jobs that run, and returns when none does.
    pub fn stop(self) {
        self.app.jobs.tell(Order::Stop);
        self.listening.stop();
        self.app.jobs.stop();
    }
}
