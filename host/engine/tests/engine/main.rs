//! Kernels of every shape, good and hostile, through compile, load and call.

mod bombs;
mod command;
mod component;
mod dist;
#[cfg(debug_assertions)]
mod faults;
mod fuel;
mod generate;
mod hostile;
mod imports;
mod interfaces;
mod malformed;
mod memory;
mod raw;
mod refused;
mod smith;
mod support;
mod wasi;
mod wild;
