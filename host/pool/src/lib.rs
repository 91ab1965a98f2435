//! The coordinator: input becomes batches, batches go to workers, results are merged in order.
//!
//! * [`state`] decides, and only it: events in, actions out.
//! * [`runner`] performs: it owns the processes, descriptors and files, and turns what happens to them into events.
//! * [`lending`] decides which of several pools may use which core.
//! * [`artifact`] keeps compiled kernels; compiling happens in a worker.
//! * [`journal`] is the file from which a run goes on after a crash.
//!
//! This crate never links the WebAssembly engine.

pub mod artifact;
pub mod death;
pub mod error;
pub mod event;
pub mod job;
pub mod journal;
pub mod lending;
pub mod plan;
pub mod runner;
pub mod state;
pub mod verdict;
