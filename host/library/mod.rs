//! The pool as Rust programs use it: values go in, values come out, in the shape that people know from `multiprocessing`
//! and `concurrent.futures`.
//!
//! * [`builder`] and [`pool`] make a pool and end it, [`stats`] is what it did, [`kernel`] what is done with one; [`function`] are typed functions.
//! * [`map`] is an iterator over results, [`task`] one result; both are ends of a [`flow`] or a [`channel`]. Of items that are
//!   run [`together`], a function is told.
//!   [`reduce`] joins all items to one result.
//! * [`pipeline`] lets items flow through several kernels, each on [`terms`] of its own.
//! * [`form`] is how values become bytes, [`error`] what can go wrong and who is to blame.
//! * [`source`] and [`broadcast`] are what a pool is given: the files of kernels, data for all workers.
//! * [`reactor`] is the thread that owns the workers of a kernel; what it is asked for lies on a [`desk`]. It drives their pool,
//!   or for a moment somebody else does: [`drive`].

mod attend;
mod broadcast;
mod builder;
mod channel;
mod desk;
mod drive;
mod error;
mod flow;
mod form;
mod function;
mod kernel;
mod map;
mod pipeline;
mod pool;
mod reactor;
mod reduce;
mod source;
mod stats;
mod task;
mod terms;
mod together;

pub use attend::Attendance;
pub use builder::{Builder, Logged};
pub use error::{Error, StageError, TaskError};
pub use form::{Bytes, Form, Json, Values};
pub use function::Function;
pub use kernel::Kernel;
pub use map::{Map, MapUnordered};
pub use pipeline::{Piped, PipedUnordered, Pipeline, PipelineReport, Stage, StageReport};
pub use pool::Pool;
pub use source::KernelSource;
pub use stats::{KernelStats, Stats, WorkerStats};
pub use task::Task;
pub use together::{Outcome, Together};
