//! From a file to native code: look at it, make a component of it where it asks for that, generate code.

use taskhost_protocol::fault::Refusal;
use taskhost_protocol::kernel::{CompileOptions, KernelInfo, Kind};
use taskhost_protocol::limits::{ARTIFACT_BYTES, KERNEL_BYTES};
use wasmtime::Engine;

use crate::{config, detect, fault, prepass};

/// A kernel, compiled.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What it is.
    pub info: KernelInfo,
    /// Native code, for [`crate::LoadedKernel::load`] of this very executable on a processor like this one. It is
    /// trusted when it is loaded: whoever keeps it must see to it that nobody changes it.
    pub code: Vec<u8>,
}

/// Compiles the kernel in `bytes`: a component, a core module, or either as text (`.wat`).
///
/// The kernel is a stranger's and the parsers and the compiler are large: call this in a process that may be lost.
///
/// # Errors
/// [`Refusal::NotWasm`] when the bytes are no WebAssembly or use what is not supported, [`Refusal::WrongShape`] when
/// nothing in it can be called, [`Refusal::ImportNotOffered`] and [`Refusal::TooLarge`] as they say.
pub fn compile(bytes: &[u8], options: CompileOptions) -> Result<Compiled, Refusal> {
    compile_file(bytes, options).map_err(fault::capped)
}

fn compile_file(bytes: &[u8], options: CompileOptions) -> Result<Compiled, Refusal> {
    cap(bytes.len() as u64, KERNEL_BYTES, "the kernel file")?;
    let wasm = detect::binary(bytes)?;
    cap(wasm.len() as u64, KERNEL_BYTES, "the kernel")?;
    prepass::look(&wasm, &prepass::CAPS)?;
    let found = detect::detect(&wasm, options.kind)?;
    let engine = Engine::new(&config::compiler(options.profile, found.survey.needs, found.wasm.len()))
        .map_err(|error| Refusal::Start(format!("the compiler could not be set up: {error:#}")))?;
    let code = match found.kind {
        _ if found.survey.is_component => engine.precompile_component(&found.wasm),
        Kind::Component | Kind::Typed => engine.precompile_component(&found.wasm),
        Kind::RawModule | Kind::Command => engine.precompile_module(&found.wasm),
    }
    .map_err(|error| Refusal::NotWasm(format!("it does not compile: {error:#}")))?;
    cap(code.len() as u64, ARTIFACT_BYTES, "the compiled kernel")?;
    let info = KernelInfo {
        kind: found.kind,
        why: found.why,
        exports: found.exports,
        import_names: found.survey.import_names(),
        export_names: found.survey.export_names(),
        needs: found.survey.needs,
        functions: found.survey.functions,
        wasm_bytes: bytes.len() as u64,
        code_bytes: code.len() as u64,
        initial_memory: found.survey.initial_memory,
    };
    Ok(Compiled { info, code })
}

/// Refuses what is larger than its limit.
fn cap(len: u64, limit: u64, what: &str) -> Result<(), Refusal> {
    if len > limit {
        return Err(Refusal::TooLarge(format!("{what} has {len} bytes, more than the {limit} that are allowed")));
    }
    Ok(())
}
