//! The only crate that names wasmtime: compile, artifacts, the kernel ABIs.
