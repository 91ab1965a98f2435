//! The connections: how many there are, from where, and how long each may be silent.

use std::collections::HashMap;
use std::future::Future as _;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::App;
use super::guard::Peer;
use super::patient::Patient;
use super::routes::{operators, router};
use super::tls::Tls;

/// How much of a server strangers may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Connections at a time from one address.
    pub per_address: usize,
    /// How long the head of a request may take, the wait for its first byte included.
    pub head: Duration,
    /// How long a connection may be silent, in the middle of something or between two requests.
    pub silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2000,
            per_address: 500,
            head: Duration::from_secs(10),
            // Longer than any request waits for its job.
            silence: Duration::from_secs(60),
        }
    }
}

/// Bytes and lines of the head of a request.
const HEAD_BYTES: usize = 32 << 10;
const HEAD_LINES: usize = 64;

/// How long requests that are under way may take after the server was told to stop.
const FAREWELL: Duration = Duration::from_secs(5);

/// A server that listens, in a thread of its own.
#[derive(Debug)]
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Listening {
    /// Takes no new connection, answers what is under way, and returns.
    pub fn stop(self) {
        // It may have stopped by itself.
        let _ = self.stop.send(true);
        let _ = self.thread.join();
    }
}

/// Where a server listens, and for whom.
#[derive(Clone, Debug)]
pub struct Place {
    /// The address.
    pub address: SocketAddr,
    /// What connections are made secret with; none for those that are not.
    pub tls: Option<Arc<Tls>>,
    /// Whether this is for the operator, who is told of all tenants and of nothing else.
    pub is_operators: bool,
    /// How much strangers may take; may be changed meanwhile, and holds for what connects after that.
    pub limits: Arc<RwLock<Limits>>,
}

/// Listens from now on.
///
/// # Errors
/// When the address cannot be had, or no thread.
pub fn serve(app: Arc<App>, place: Place) -> io::Result<Listening> {
    let listener = TcpListener::bind(place.address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = watch::channel(false);
    let thread = std::thread::Builder::new().name("http".into()).spawn(move || {
        runtime.block_on(accept(&app, listener, place, stopped));
        // Threads that have nothing to do end at once, and are joined. To leave hundreds to themselves while they end crashed this
        // process now and then: `pthread_detach` (glibc 2.36) still reads from a thread that has gone by then. What waits for a disk
        // or a process is not waited for any longer than that.
        runtime.shutdown_timeout(FAREWELL);
    })?;
    Ok(Listening { address, stop, thread })
}

/// Connections by address, and all of them.
type Count = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// A connection that is counted as long as this lives.
struct Counted {
    count: Count,
    peer: IpAddr,
}

impl Counted {
    fn new(count: &Count, peer: IpAddr, limits: Limits) -> Option<Self> {
        let mut all = count.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = all.values().sum();
        let own = all.entry(peer).or_default();
        if *own >= limits.per_address || total >= limits.connections {
            return None;
        }
        *own += 1;
        Some(Self { count: Arc::clone(count), peer })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut all = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = all.get_mut(&self.peer) {
            *own -= 1;
            if *own == 0 {
                all.remove(&self.peer);
            }
        }
    }
}

async fn accept(app: &Arc<App>, listener: TcpListener, place: Place, mut stopped: watch::Receiver<bool>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let router = if place.is_operators { operators(app) } else { router(app) };
    let count = Count::default();
    loop {
        let accepted = {
            let (mut stop, mut next) = (pin!(stopped.changed()), pin!(listener.accept()));
            std::future::poll_fn(|context| match stop.as_mut().poll(context) {
                Poll::Ready(_) => Poll::Ready(None),
                Poll::Pending => next.as_mut().poll(context).map(Some),
            })
            .await
        };
        match accepted {
            None => break,
            Some(Ok((stream, peer))) => {
                let limits = *place.limits.read().unwrap_or_else(PoisonError::into_inner);
                // One too many is closed without a word: a word would cost more than it has.
                let Some(counted) = Counted::new(&count, peer.ip(), limits) else { continue };
                let tls = place.tls.as_ref().map(|tls| TlsAcceptor::from(tls.current()));
                let (router, stopped) = (router.clone(), stopped.clone());
                tokio::spawn(async move {
                    greet(router, stream, tls, limits, stopped).await;
                    drop(counted);
                });
            }
            // No descriptor is left, or the other side has gone already.
            Some(Err(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    drop(listener);
    let end = tokio::time::Instant::now() + FAREWELL;
    while !count.lock().unwrap_or_else(PoisonError::into_inner).is_empty() && tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Takes a connection, secret or not.
async fn greet(
    router: Router,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    stopped: watch::Receiver<bool>,
) {
    let Ok(peer) = stream.peer_addr() else { return };
    let service = FromPeer { service: TowerToHyperService::new(router), peer: Peer(peer.ip()) };
    // Of one that never says anything, the timer for heads knows nothing.
    if !matches!(tokio::time::timeout(limits.head, stream.readable()).await, Ok(Ok(()))) {
        return;
    }
    // Small answers go at once.
    let _ = stream.set_nodelay(true);
    let stream = Patient::new(stream, limits.silence);
    match tls {
        None => connection(service, stream, limits, stopped).await,
        Some(tls) => {
            // However it fails, whoever was on the other side knows more of it.
            if let Ok(Ok(stream)) = tokio::time::timeout(limits.head, tls.accept(stream)).await {
                connection(service, stream, limits, stopped).await;
            }
        }
    }
}

/// All places, for who is on the other side of one connection. To give the router itself such a layer would copy it.
struct FromPeer {
    service: TowerToHyperService<Router>,
    peer: Peer,
}

impl Service<Request<Incoming>> for FromPeer {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        self.service.call(request)
    }
}

async fn connection(
    service: FromPeer,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(HEAD_BYTES).max_headers(HEAD_LINES);
    let (mut connection, mut stop) =
        (pin!(http.serve_connection(TokioIo::new(stream), service)), pin!(stopped.changed()));
    let mut is_stopping = false;
    std::future::poll_fn(|context| {
        if !is_stopping && stop.as_mut().poll(context).is_ready() {
            is_stopping = true;
            connection.as_mut().graceful_shutdown();
        }
        // However it ends, whoever was on the other side knows more of it.
        connection.as_mut().poll(context).map(drop)
    })
    .await;
}
