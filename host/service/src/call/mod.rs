//! Calls: one item in, one result out, while the caller waits.
//!
//! * [`Engine`] has the workers. It is not part of this crate: whoever makes a service brings one.
//! * [`calls`] has the kernels that are [`ready`], and the way of a call from its arrival to its result.
//! * [`attend`] has results received by the loop that has the connections.
//! * [`lines`] decides which call is next; [`numbers`] are what was done.
//!
//! A worker serves one tenant and one kernel. Those that have nothing to do are kept for the next call, the least recently used
//! of too many are ended.

mod attend;
mod calls;
mod lines;
mod numbers;
mod ready;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::blobs::Digest;
use crate::store::StoreError;
use crate::tenant::TenantId;

pub use calls::{Calls, Capacity, MOST_WAITING};
pub use numbers::Numbers;

/// A kernel that is to be called, or one function of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Purpose {
    /// Whose workers these are.
    pub tenant: TenantId,
    /// The kernel.
    pub kernel: Digest,
    /// The function of it, when it is one.
    pub function: Option<String>,
    /// Bytes of memory that a worker's kernel may have.
    pub memory: u64,
}

/// What workers are made of.
#[derive(Debug)]
pub struct Wanted {
    /// For whom, and of what.
    pub purpose: Purpose,
    /// The kernel.
    pub kernel: File,
    /// The folder of its compiled code.
    pub cache: PathBuf,
}

/// Why a kernel cannot be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// It was deleted.
    Gone,
    /// It is no such kernel, or has no such function: for whoever calls.
    Refused(String),
    /// Workers cannot be had, which is not its fault: for the log alone.
    Failed(String),
}

/// An item that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemFailure {
    /// The name of the verdict, as in `docs/errors.md`.
    pub verdict: &'static str,
    /// Who is to blame: `kernel`, `item`, `host` or `nobody`.
    pub blame: &'static str,
    /// What happened, in the words of the kernel or of its engine, which may be any.
    pub message: String,
}

/// What became of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its result.
    Done(Vec<u8>),
    /// It has failed.
    Failed(ItemFailure),
    /// It was not run to an end, for reasons that are not the item's.
    Lost(String),
}

/// Why there is no result.
#[derive(Clone, Debug)]
pub enum CallError {
    /// The server is about to stop.
    Stopping,
    /// The tenant has as many calls under way as it may.
    TooMany(u32),
    /// The tenant has used up its seconds of CPU time of today: so many of so many.
    CpuUsedUp(u64, u64),
    /// There are too many calls, or no worker became free in time. It was not begun.
    Busy,
    /// It was begun, and took too long.
    Late,
    /// The kernel was deleted.
    Gone,
    /// The kernel cannot be called like this, and why.
    Refused(String),
    /// The item has failed.
    Failed(ItemFailure),
    /// Something went wrong that is for the log alone.
    Lost(String),
    /// The store cannot be read.
    Store(StoreError),
}

/// Is told of items by their numbers, of each once, in any thread.
pub type Told = Box<dyn FnMut(usize, Outcome) + Send>;

/// Items that are being run. Dropping it gives up those that are not done.
pub type Running = Box<dyn Send>;

/// What a loop attends to so that results need no other thread: whenever the descriptor is readable, there is something to do.
pub trait Attended: std::os::fd::AsFd + Send {
    /// Does it, without waiting for anything. True when this is to be called again.
    fn turn(&self) -> bool;
}

/// A kernel with workers.
pub trait Callee: Send + Sync {
    /// Has items run together, by one worker. Does not wait.
    ///
    /// # Errors
    /// When it has no workers any more, and why.
    fn submit(&self, items: &[Vec<u8>], told: Told) -> Result<Running, String>;

    /// To be attended to by the loop that has the connections. `None` when it has a thread that does without.
    fn attend(&self) -> Option<Box<dyn Attended>>;

    /// CPU time of all its workers so far, as the system measures it.
    fn cpu_time(&self) -> Duration;
}

/// Makes workers.
pub trait Engine: Send + Sync {
    /// Has a kernel ready. Waits until it is.
    ///
    /// # Errors
    /// When it cannot be called, or workers cannot be had.
    fn open(&self, wanted: &Wanted) -> Result<Arc<dyn Callee>, OpenError>;
}
