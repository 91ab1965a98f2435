//! What the host offers, as plain functions. Nothing here can make two runs differ.

pub mod broadcast;
pub mod config;
pub mod counter;
pub mod item;
pub mod log;

/// The host itself; in native unit tests the stand-in of [`crate::testing`].
#[cfg(target_family = "wasm")]
use crate::bindings::host::taskhost::kernel as backend;
#[cfg(not(target_family = "wasm"))]
use crate::testing::host as backend;
