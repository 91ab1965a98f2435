//! Safe wrappers over Linux: spawn, sockets, memfd, cores, signals, sandbox.
//!
//! The only crate with `unsafe` (one load of an artifact elsewhere aside), so that everything else can be read without
//! thinking of it. It knows nothing of pools, kernels or messages.

#![expect(unsafe_code, reason = "this crate exists to wrap what needs it; each block says why it is sound")]

#[cfg(not(target_os = "linux"))]
compile_error!("taskhost runs on Linux only: its workers are made of namespaces, memfds and pidfds");

pub mod allocator;
pub mod atomic_file;
pub mod attacks;
pub mod cgroup_leaf;
pub mod child;
pub mod container;
pub mod cores;
pub mod crash;
pub mod descriptors;
pub mod eventfd;
pub mod exact;
pub mod exe;
#[cfg(debug_assertions)]
pub mod fault_injection;
pub mod file_kind;
pub mod fork_server;
pub mod hardening;
pub mod last_words;
pub mod lease;
pub mod machine;
mod mapping;
pub mod memfd;
pub mod out_of_memory;
pub mod parent;
pub mod poll;
pub mod priority;
pub mod process_id;
pub mod progress;
pub mod rlimits;
pub mod sandbox;
pub mod signals;
pub mod socket;
pub mod spawn;
pub mod stack_overflow;
pub mod ticks;
pub mod transfer;
pub mod usage;
pub mod users;
