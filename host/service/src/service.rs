//! A service, from its data folder to its listening sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use crate::admin::{AdminSocket, Ground};
use crate::blobs::{Blobs, LocalBlobs};
use crate::counts::Counts;
use crate::data::{DataError, DataFolder};
use crate::http::{App, Limits, Listening, Place, Tls, TlsError, Waiters, serve};
use crate::job::{JobId, JobService, Launcher, Order, Shared};
use crate::store::{Store, StoreError};
use crate::sweep::Sweeper;
use crate::tenant::Directory;

/// How a service is to be.
pub struct Options {
    /// Where everything is kept.
    pub data: PathBuf,
    /// Where it listens; port 0 takes one that is free.
    pub listen: SocketAddr,
    /// A certificate and its key, in PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Whether it may listen where others can read what is sent.
    pub plain_beyond_loopback: bool,
    /// Where it tells the operator's numbers, those of each tenant among them.
    pub metrics: Option<SocketAddr>,
    /// The program that jobs are run by: this one.
    pub program: PathBuf,
    /// `--sandbox` of the jobs.
    pub sandbox: String,
    /// Workers of all jobs together.
    pub cores: usize,
    /// How much strangers may take.
    pub limits: Limits,
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

/// A service that runs.
pub struct Service {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it tells the operator's numbers.
    pub metrics: Option<SocketAddr>,
    app: Arc<App>,
    tls: Option<Arc<Tls>>,
    listening: Vec<Listening>,
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
        let is_plain = |address: &SocketAddr| !address.ip().is_loopback() && !options.plain_beyond_loopback;
        if options.tls.is_none() && is_plain(&options.listen) {
            return Err(ServiceError::Plain(options.listen));
        }
        if let Some(metrics) = options.metrics.filter(is_plain) {
            return Err(ServiceError::Plain(metrics));
        }
        let tls = options.tls.map(|(certificate, key)| Tls::load(&certificate, &key).map(Arc::new)).transpose()?;
        let folder = DataFolder::take(&options.data)?;
        let directory = Arc::new(Directory::new(Store::open(&folder.database())?)?);
        let blobs: Arc<dyn Blobs> = Arc::new(LocalBlobs::new(folder.path()));
        let waiters = Arc::new(Waiters::default());
        let over = Arc::clone(&waiters);
        let shared = Arc::new(Shared {
            directory: Arc::clone(&directory),
            blobs: Arc::clone(&blobs),
            launcher: Launcher { program: options.program, sandbox: options.sandbox },
            data: folder.path().to_owned(),
            cores: options.cores.max(1),
            counts: Arc::new(Counts::default()),
            over: Box::new(move |job: &JobId| over.over(job)),
            warn: Box::new(|job: &JobId, text: &str| tracing::warn!(job = job.as_str(), text, "job")),
        });
        let jobs = JobService::start(Arc::clone(&shared))?;
        let app = Arc::new(App::new(shared, jobs, waiters, tls.is_some()));
        let told = Arc::clone(&app);
        let page = Arc::clone(&directory);
        let ground =
            Ground { directory: Arc::clone(&directory), blobs: Arc::clone(&blobs), data: folder.path().to_owned() };
        let admin = AdminSocket::listen(&folder, ground, Box::new(move || told.jobs.tell(Order::Refresh)))
            .map_err(|error| ServiceError::Listen("the operator's socket".into(), error))?;
        let warn = Box::new(|text: &str| tracing::warn!(text, "sweep"));
        let sweeper = Sweeper::start(directory.store().clone(), blobs, folder.path(), warn);
        let sweeper = sweeper.map_err(ServiceError::Thread)?;
        let mut listening = Vec::new();
        let mut listen = |address: SocketAddr, tls: Option<Arc<Tls>>, is_operators: bool| {
            let place = Place { address, tls, is_operators, limits: options.limits };
            let new = serve(Arc::clone(&app), place);
            let new = new.map_err(|error| ServiceError::Listen(address.to_string(), error))?;
            let address = new.address;
            listening.push(new);
            Ok::<_, ServiceError>(address)
        };
        let address = listen(options.listen, tls.clone(), false)?;
        let metrics = options.metrics.map(|metrics| listen(metrics, None, true)).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        page.set_page(format!("{scheme}://{}", reachable(address)));
        Ok(Self { address, metrics, app, tls, listening, _admin: admin, _sweeper: sweeper, _folder: folder })
    }

    /// Reads anew what may have changed: the certificate, the tenants and their quotas.
    ///
    /// # Errors
    /// When something cannot be read; it stays as it was then.
    pub fn reload(&self) -> Result<(), ServiceError> {
        self.app.shared.directory.refresh()?;
        self.app.jobs.tell(Order::Refresh);
        self.tls.as_ref().map_or(Ok(()), |tls| tls.reload())?;
        Ok(())
    }

    /// Whether connections are secret.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.tls.is_some()
    }

    /// Takes nothing new, answers what is under way, parks the jobs that run, and returns when none does.
    pub fn stop(self) {
        self.app.jobs.tell(Order::Stop);
        self.listening.into_iter().for_each(Listening::stop);
        self.app.jobs.stop();
    }
}
