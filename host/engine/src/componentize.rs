//! Makes a component of a core module that carries its component types, as guest toolchains leave it: the output of
//! `cargo build --target wasm32-unknown-unknown` runs as it is.

use taskhost_protocol::fault::Refusal;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::ComponentEncoder;

use crate::{adapter_room, quiet_allocator};

/// The component that `core` describes. What it imports from WASI preview 1 is translated to preview 2.
pub(crate) fn componentize(core: &[u8]) -> Result<Vec<u8>, Refusal> {
    // A language's runtime that needs the one needs the other.
    let prepared = adapter_room::given(core).map(|module| quiet_allocator::with_still_clock(&module).unwrap_or(module));
    let encode = || {
        ComponentEncoder::default()
            // What comes out is validated with everything else that is surveyed.
            .validate(false)
            // Otherwise the adapter has its pages from `memory.grow`: a `cabi_realloc` may want a runtime that is not up yet.
            .realloc_via_memory_grow(prepared.is_none())
            .module(prepared.as_deref().unwrap_or(core))?
            .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
            .encode()
    };
    encode().map_err(|error| {
        Refusal::WrongShape(format!("its component-type section and its exports do not make a component: {error:#}"))
    })
}
