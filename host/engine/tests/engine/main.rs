//! Kernels of every shape, good and hostile, through compile, load and call.

mod component;
mod raw;
mod support;
