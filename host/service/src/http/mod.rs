//! The service over HTTP: what is asked for is checked, kept, and answered.
//!
//! * [`server`] has the connections: how many, how slow, how long; [`tls`] makes them secret; [`guard`] is what every request
//!   passes, [`carried_out`] what goes on when its client has gone, [`metrics`] what is counted, [`process`] what the server itself
//!   takes, [`turns`] who has how much done at a time, [`waiting`] how much waits for that, [`looks`] who has how much looked
//!   through, [`following`] how often what goes on is looked at.
//! * [`routes`] names all places, [`openapi`] describes them, [`problem`] is how every error is told (RFC 9457), [`body`] how
//!   much of what a stranger sends is taken, [`stream`] how answers go out that are not there yet.
//! * [`page`] is what people see in a browser, [`mod@reference`] what they read of all this, [`session`] who looks at it, [`operator`] what its operator sees.
//! * A file for each sort of thing: [`kernels`], [`aliases`], [`blobs`] (in parts: [`uploads`]), what is fetched for both ([`pull`], from [`elsewhere`]),
//!   [`jobs`] with [`submit`] ([`asked`], [`dry_run`], [`callback`]), [`batch`], [`change`], [`retry`], [`result`] (of
//!   one [`item`], too, and from one on: [`places`]) and [`events`], [`invoke`], [`webhooks`], [`tokens`], [`usage`], [`quota`], [`health`].

mod aliases;
mod asked;
mod batch;
mod blobs;
mod body;
mod bucket;
mod callback;
mod carried_out;
mod change;
mod dry_run;
mod elsewhere;
mod events;
mod following;
mod guard;
mod health;
mod invoke;
mod item;
mod jobs;
mod kernels;
mod looks;
mod metrics;
mod openapi;
mod operator;
mod page;
mod patient;
mod places;
mod problem;
mod process;
mod pull;
mod quota;
mod range;
mod reference;
mod result;
mod retry;
mod routes;
mod server;
mod session;
mod stream;
mod submit;
mod tls;
mod tokens;
mod turns;
mod uploads;
mod usage;
mod view;
mod waiting;
mod webhooks;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::blobs::Digest;
use crate::call::Calls;
use crate::choice::Draws;
use crate::fetch::{Fetcher, Host};
use crate::job::{JobId, JobService, Order, Shared};
use crate::service::Build;
use crate::signature::Keys;
use crate::store;
use crate::store::holds::{self, Ended};
use crate::time::Moment;
use crate::webhook::{Networks, Post};

pub use openapi::document;
pub use problem::Problem;
pub use server::{Limits, Listening, Place, serve};
pub use tls::{Tls, TlsError};

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

/// Where kernels and contents may be fetched from, and by whom.
#[derive(Clone)]
pub struct Elsewhere {
    /// Registries of kernels that the operator lists.
    pub registries: Vec<Host>,
    /// Hosts of contents that the operator lists.
    pub sources: Vec<Host>,
    /// Asks them.
    pub fetcher: Arc<dyn Fetcher>,
}

/// What the operator has said of what may be asked for.
pub struct Rules {
    /// What webhooks may reach beside public addresses.
    pub networks: Networks,
    /// Who has to vouch for kernels, where somebody has to.
    pub keys: Option<Arc<Keys>>,
    /// Where kernels and contents may be fetched from.
    pub elsewhere: Elsewhere,
    /// Whether nobody on the way can read what is sent, so that cookies need never be sent otherwise.
    pub is_secure: bool,
    /// What this server was made of.
    pub build: Build,
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
    /// Sends what webhooks are told.
    pub post: Arc<Post>,
    /// What they may reach beside public addresses.
    pub networks: Networks,
    /// Who has to vouch for kernels, where somebody has to.
    pub keys: Option<Arc<Keys>>,
    /// Where kernels and contents may be fetched from.
    pub elsewhere: Elsewhere,
    is_secure: bool,
    build: Build,
    began: Moment,
    sessions: session::Sessions,
    meanings: invoke::Meanings,
    draws: Draws,
    guard: guard::Guard,
    carried_out: carried_out::CarriedOut,
    metrics: metrics::Metrics,
    incoming: body::Incoming,
    uploads: uploads::Uploads,
    checks: turns::Turns,
    submissions: turns::Turns,
    waiting: waiting::Waiting,
    followers: following::Followers,
    pulls: turns::Turns,
    looks: looks::Looks,
}

impl App {
    /// What requests need.
    #[must_use]
    pub fn new(
        shared: Arc<Shared>,
        jobs: JobService,
        calls: Arc<Calls>,
        waiters: Arc<Waiters>,
        post: Arc<Post>,
        rules: Rules,
    ) -> Self {
        let Rules { networks, keys, elsewhere, is_secure, build } = rules;
        Self {
            shared,
            jobs,
            waiters,
            calls,
            post,
            networks,
            keys,
            elsewhere,
            is_secure,
            build,
            began: Moment::now(),
            sessions: session::Sessions::default(),
            meanings: invoke::Meanings::default(),
            draws: Draws::default(),
            guard: guard::Guard::default(),
            carried_out: carried_out::CarriedOut::default(),
            metrics: metrics::Metrics::default(),
            incoming: body::Incoming::default(),
            uploads: uploads::Uploads::default(),
            checks: turns::Turns::of_kernels(),
            submissions: turns::Turns::of_jobs(),
            waiting: waiting::Waiting::default(),
            followers: following::Followers::default(),
            pulls: turns::Turns::of_pulls(),
            looks: looks::Looks::default(),
        }
    }

    /// A kernel was blocked, for the sake of which these jobs were ended: what still runs of it ends, and whoever waits hears that.
    pub fn blocked(&self, kernel: &Digest, reason: &str, ended: &[Ended]) {
        for ended in ended {
            self.jobs.tell(Order::Cancelled(ended.job.clone()));
            self.waiters.over(&ended.job);
            self.shared.counts.over(ended.tenant, ended.state(), &ended.conclusion(reason));
        }
        self.post.look();
        self.calls.block(kernel, &holds::words(reason));
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
        let began = std::time::Instant::now();
        let (sender, receiver) = oneshot::channel();
        self.shared.directory.store().write_then(write, move |result| {
            // Whoever asked may have gone; what was asked for is done all the same.
            let _ = sender.send(result);
        });
        let result = receiver.await.map_err(|_| Problem::store(&store::StoreError::Closed))?;
        self.metrics.commit.add(began.elapsed());
        result.map_err(|error| Problem::store(&error))
    }
}

/// Does something that waits for a disk or a process, beside the thread that has the connections.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Problem::internal(&error.to_string()))
}
