//! Kernels of every shape, good and hostile, through compile, load and call.

mod component;
mod dist;
mod hostile;
mod imports;
mod interfaces;
mod raw;
mod refused;
mod support;
mod wasi;
