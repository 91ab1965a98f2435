//! taskhost: a process pool for WebAssembly kernels.
//!
//! A [`Pool`] runs kernels on every core of the machine, each worker a process of its own that is locked in. What people know
//! from `multiprocessing` and `concurrent.futures` is here: [`Kernel::map`], [`Kernel::map_unordered`], [`Kernel::submit`],
//! which gives a [`Task`]; [`Kernel::invoke`] calls any function of any component. [`Pool::pipeline`] joins several kernels.
//!
//! The command of the same name is built on the same parts: [`pool`] is the coordinator, [`worker`] what makes an executable
//! able to be its own worker. These two are no stable interface, but for [`worker::run_if_worker`].

mod library;

pub use library::{
    Attendance, Builder, Bytes, Error, Form, Function, Json, Kernel, KernelSource, KernelStats, Logged, Map,
    MapUnordered, Outcome, Piped, PipedUnordered, Pipeline, PipelineReport, Pool, Stage, StageError, StageReport,
    Stats, Task, TaskError, Together, Values, WorkerStats,
};
pub use taskhost_pool as pool;
pub use taskhost_pool::verdict::Blame;
pub use taskhost_protocol::message::{Fresh, Level, Sandbox};
pub use taskhost_worker as worker;
