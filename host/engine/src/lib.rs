//! The only crate that names wasmtime: compile, artifacts, the kernel ABIs.
//!
//! Two sides. [`compile`] turns a file into native code and says what it found; it parses what strangers wrote, so it
//! belongs in a process of its own. [`LoadedKernel`] and [`Instance`] load that code and call it; they never compile.
//! Both take their engine settings from one place (`config`), so that what one makes the other can load.

mod adapter_room;
mod allowance;
mod artifact;
mod bindings;
mod broadcast;
mod command;
mod compile;
mod component;
mod componentize;
mod config;
mod contract;
mod detect;
mod exchange;
mod fault;
#[cfg(debug_assertions)]
pub mod faults;
mod folders;
mod footprint;
mod fuel;
mod host;
mod instance;
mod invoke;
mod kernel;
mod last_words;
mod packed;
pub mod prepass;
mod quiet_allocator;
mod raw;
mod raw_description;
mod raw_imports;
mod render;
mod runtime;
mod sampler;
mod shape;
mod survey;
mod wasi;
mod wasi_clock;
mod wasi_random;
mod wasi_stdio;

pub use broadcast::BroadcastData;
pub use compile::{Compiled, compile};
pub use config::WASMTIME_VERSION;
pub use exchange::Input;
pub use folders::FolderGrant;
pub use footprint::most_memory;
pub use host::{HostContext, ItemContext};
pub use instance::{Instance, Tile};
#[doc(hidden)]
pub use invoke::there_and_back as json_there_and_back;
pub use kernel::{LoadOptions, LoadedKernel};
pub use packed::PackedResults;
pub use sampler::{INTERVAL as SAMPLE_INTERVAL, SampleLog, tick};

/// The versions of what runs kernels, for reports.
#[must_use]
pub fn versions() -> String {
    format!("wasmtime {}", config::WASMTIME_VERSION)
}
