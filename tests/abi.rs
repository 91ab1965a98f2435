//! Kernels in every language.

mod bindings;
