//! Kernels of every shape, good and hostile, through compile, load and call.

mod component;
mod dist;
#[cfg(debug_assertions)]
mod faults;
mod fuel;
mod hostile;
mod imports;
mod interfaces;
mod memory;
mod raw;
mod refused;
mod support;
mod wasi;
