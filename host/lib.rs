//! taskhost: a process pool for WebAssembly kernels.
//!
//! This library is the front of the pool for Rust programs; the command of the same name is built on it. What there is
//! so far: [`worker`], which makes an executable able to be its own worker, and [`pool`], the coordinator.

pub use taskhost_pool as pool;
pub use taskhost_worker as worker;
