//! From what wasmtime says to a [`Fault`].

use taskhost_protocol::fault::{Fault, Refusal};
use taskhost_protocol::limits::{BACKTRACE_FRAMES, cap_text};
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// What a kernel may hand over in one call beyond the results: lengths, texts of errors, log lines.
pub(crate) const HANDOVER_SLACK: u64 = 1 << 20;

/// Why a call did not give a result.
pub(crate) enum CallError {
    /// The kernel, the input or the output failed the item; the instance can go on.
    Fault(Fault),
    /// The call was torn: the instance must be replaced.
    Torn(wasmtime::Error),
}

impl From<Fault> for CallError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<wasmtime::Error> for CallError {
    fn from(error: wasmtime::Error) -> Self {
        Self::Torn(error)
    }
}

/// The fault behind an error of a torn call. `output` is the limit on results in force.
pub(crate) fn of_error(error: &wasmtime::Error, output: u64) -> Fault {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return fault.clone();
    }
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return Fault::Trap { reason: format!("it called exit({})", exit.0), backtrace: backtrace(error) };
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        let text = trap.to_string();
        let reason = text.strip_prefix("wasm trap: ").unwrap_or(&text).to_owned();
        return Fault::Trap { reason, backtrace: backtrace(error) };
    }
    if error.is::<wasmtime::ThrownException>() {
        let reason = "an exception was thrown and not caught".to_owned();
        return Fault::Trap { reason, backtrace: backtrace(error) };
    }
    let cause = error.root_cause().to_string();
    // The type of this error is private to wasmtime; a test provokes it.
    if cause.contains("fuel allocated for hostcalls") {
        // How much longer the result is was never looked at: this is what it has at the least.
        return Fault::OutputLimit { len: output.saturating_add(HANDOVER_SLACK), limit: output };
    }
    Fault::Contract(cause)
}

/// A refusal whose text fits in a message: it may quote names that the kernel chose.
pub(crate) fn capped(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::NotWasm(text) => Refusal::NotWasm(cap_text(text)),
        Refusal::WrongShape(text) => Refusal::WrongShape(cap_text(text)),
        Refusal::ImportNotOffered(text) => Refusal::ImportNotOffered(cap_text(text)),
        Refusal::TooLarge(text) => Refusal::TooLarge(cap_text(text)),
        Refusal::Start(text) => Refusal::Start(cap_text(text)),
        other => other,
    }
}

/// The functions that were running, innermost first, with their lines where the kernel knows those.
fn backtrace(error: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    backtrace.frames().iter().flat_map(names).take(BACKTRACE_FRAMES).collect()
}

/// A frame; where the compiler put functions into others, each of them.
fn names(frame: &wasmtime::FrameInfo) -> Vec<String> {
    let function = match frame.func_name() {
        Some(name) => demangled(name),
        None => format!("function {}", frame.func_index()),
    };
    if frame.symbols().is_empty() {
        return vec![function];
    }
    let symbols = frame.symbols().iter().map(|symbol| {
        let name = symbol.name().map_or_else(|| function.clone(), demangled);
        match (symbol.file(), symbol.line(), symbol.column()) {
            (Some(file), Some(line), Some(column)) if column > 0 => format!("{name} ({file}:{line}:{column})"),
            (Some(file), Some(line), _) => format!("{name} ({file}:{line})"),
            _ => name,
        }
    });
    symbols.collect()
}

fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}
