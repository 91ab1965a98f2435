//! Loads native code. The one place outside `host/os` with `unsafe`.

use std::path::Path;

use taskhost_protocol::fault::Refusal;
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

/// Maps the component in the file at `path`, code and memory image, so that the file is not needed again.
#[expect(unsafe_code, reason = "loading native code cannot be checked by the compiler")]
pub(crate) fn component(engine: &Engine, path: &Path) -> Result<Component, Refusal> {
    // SAFETY: the file must be what `precompile_component` of this wasmtime made, and must not change while it is
    // mapped. The coordinator upholds both: it hands over only a sealed memfd, whose contents it has compared with
    // the keyed MAC that it wrote when the compile role of this same executable had made them.
    let component = unsafe { Component::deserialize_file(engine, path) }.map_err(|error| not_loaded(&error))?;
    component.initialize_copy_on_write_image().map_err(|error| not_loaded(&error))?;
    Ok(component)
}

/// The same for a core module.
#[expect(unsafe_code, reason = "loading native code cannot be checked by the compiler")]
pub(crate) fn module(engine: &Engine, path: &Path) -> Result<Module, Refusal> {
    // SAFETY: as in `component`, with `precompile_module`; upheld by the coordinator.
    let module = unsafe { Module::deserialize_file(engine, path) }.map_err(|error| not_loaded(&error))?;
    module.initialize_copy_on_write_image().map_err(|error| not_loaded(&error))?;
    Ok(module)
}

fn not_loaded(error: &wasmtime::Error) -> Refusal {
    Refusal::Start(format!("the compiled kernel could not be loaded: {error:#}"))
}
