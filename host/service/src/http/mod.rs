//! The service over HTTP: what is asked for is checked, kept, and answered.
//!
//! * [`server`] has the connections: how many, how slow, how long; [`guard`] is what every request passes.
//! * [`problem`] is how every error is told (RFC 9457), [`body`] how much of what a stranger sends is taken.
//! * [`page`] is what people see in a browser, [`session`] who looks at it, [`operator`] what its operator sees.
//! * A file for each sort of thing: [`kernels`], [`aliases`], [`blobs`], [`jobs`], [`invoke`], [`usage`], [`health`].

mod aliases;
mod blobs;
mod body;
mod guard;
mod health;
mod invoke;
mod jobs;
mod kernels;
mod operator;
mod page;
mod patient;
mod problem;
mod range;
mod server;
mod session;
mod usage;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::routing::{get, post, put};
use tokio::sync::{Semaphore, oneshot};

use crate::call::Calls;
use crate::job::{JobId, JobService, Shared};
use crate::store;
use crate::time::Moment;

pub use problem::Problem;
pub use server::{Limits, Listening, serve};

/// Kernels that are looked at at a time: each costs a core and some hundred megabytes.
const CHECKS: usize = 1;

/// Takes a line of the log: one JSON object.
pub type Log = Box<dyn Fn(&str) + Send + Sync>;

/// Those who wait for the end of a job.
#[derive(Debug, Default)]
pub struct Waiters(Mutex<HashMap<JobId, Vec<oneshot::Sender<()>>>>);

impl Waiters {
    /// Resolves when the job is over.
    fn wait_for(&self, job: &JobId) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let others = waiting.entry(job.clone()).or_default();
        others.retain(|other| !other.is_closed());
        others.push(sender);
        receiver
    }

    /// The job is over.
    pub fn over(&self, job: &JobId) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(job);
        for sender in waiting.into_iter().flatten() {
            // One who does not wait any more has nothing to be told.
            let _ = sender.send(());
        }
    }
}

/// What all requests share.
pub struct App {
    /// What jobs and requests share.
    pub shared: Arc<Shared>,
    /// The jobs.
    pub jobs: JobService,
    /// Those who wait for one.
    pub waiters: Arc<Waiters>,
    /// The calls.
    pub calls: Arc<Calls>,
    /// The log.
    pub log: Log,
    /// Whether nobody on the way can read what is sent, so that cookies need never be sent otherwise.
    is_secure: bool,
    began: Moment,
    sessions: session::Sessions,
    meanings: invoke::Meanings,
    guard: guard::Guard,
    checks: Semaphore,
}

impl App {
    /// What requests need.
    #[must_use]
    pub fn new(shared: Arc<Shared>, jobs: JobService, calls: Arc<Calls>, waiters: Arc<Waiters>, log: Log) -> Self {
        Self {
            shared,
            jobs,
            waiters,
            calls,
            log,
            is_secure: false,
            began: Moment::now(),
            sessions: session::Sessions::default(),
            meanings: invoke::Meanings::default(),
            guard: guard::Guard::default(),
            checks: Semaphore::new(CHECKS),
        }
    }

    /// Reads from the store, beside the thread that has the connections.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&rusqlite::Connection) -> store::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = self.shared.directory.store().clone();
        blocking(move || store.read(read)).await?.map_err(|error| Problem::store(&error))
    }

    /// Writes to the store, and waits until that is on the disk.
    async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&rusqlite::Connection) -> store::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let (sender, receiver) = oneshot::channel();
        self.shared.directory.store().write_then(write, move |result| {
            // Whoever asked may have gone; what was asked for is done all the same.
            let _ = sender.send(result);
        });
        let result = receiver.await.map_err(|_| Problem::store(&store::StoreError::Closed))?;
        result.map_err(|error| Problem::store(&error))
    }
}

/// Does something that waits for a disk or a process, beside the thread that has the connections.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Problem::internal(&error.to_string()))
}

/// All that can be asked for.
fn router(app: &Arc<App>) -> Router {
    let tenant = Router::new()
        .route("/v1/kernels", post(kernels::post).get(kernels::list))
        .route("/v1/kernels/{reference}", put(kernels::put).get(kernels::show).delete(kernels::delete))
        .route("/v1/kernels/{reference}/invoke", post(invoke::kernel))
        .route("/v1/kernels/{reference}/invoke/{*function}", post(invoke::function))
        .route("/v1/aliases", get(aliases::list))
        .route("/v1/aliases/{name}", put(aliases::put).get(aliases::show).delete(aliases::delete))
        .route("/v1/blobs", post(blobs::post))
        .route("/v1/blobs/{digest}", put(blobs::put).get(blobs::get).delete(blobs::delete))
        .route("/v1/jobs", post(jobs::submit).get(jobs::list))
        .route("/v1/jobs/{job}", get(jobs::show))
        .route("/v1/jobs/{job}/cancel", post(jobs::cancel))
        .route("/v1/jobs/{job}/result", get(jobs::result))
        .route("/v1/jobs/{job}/failures", get(jobs::failures))
        .route("/v1/usage", get(usage::show))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(app), guard::identify));
    Router::new()
        .merge(tenant)
        .merge(page::routes())
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(problem::no_such_place)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(app), guard::every))
        .with_state(Arc::clone(app))
}
