//! What a raw module may import from module `taskhost`. All of it is optional; nothing of it can make runs differ.

use taskhost_protocol::fault::Fault;
use taskhost_protocol::message::Level;
use wasmtime::{Caller, Extern, Linker, Memory};

use crate::host::HostState;

/// The module that these are imported from.
const MODULE: &str = "taskhost";

/// Every function with its type.
pub(crate) const OFFERED: [(&str, &str); 7] = [
    ("taskhost.config_get", "(i32, i32, i32, i32) -> i32"),
    ("taskhost.log", "(i32, i32, i32) -> ()"),
    ("taskhost.item_position", "() -> i64"),
    ("taskhost.item_offset", "() -> i64"),
    ("taskhost.counter_add", "(i32, i32, i64) -> ()"),
    ("taskhost.broadcast_size", "(i32, i32) -> i64"),
    ("taskhost.broadcast_read", "(i32, i32, i64, i32, i32) -> i32"),
];

/// Whether a function of that type is offered to tests.
#[cfg(debug_assertions)]
pub(crate) fn offers_to_tests(name: &str, ty: &str) -> bool {
    crate::faults::offers(name) && ty == "() -> ()"
}

/// A release has nothing for tests.
#[cfg(not(debug_assertions))]
pub(crate) fn offers_to_tests(_name: &str, _ty: &str) -> bool {
    false
}

/// What `config_get` gives for a name that is not set: no value is as long.
const NOT_SET: u32 = u32::MAX;

/// Defines them.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "config_get", config_get)?;
    linker.func_wrap(MODULE, "log", log)?;
    linker.func_wrap(MODULE, "item_position", |caller: Caller<'_, HostState>| -> u64 {
        caller.data().item.as_ref().map_or(0, |item| item.position)
    })?;
    linker.func_wrap(MODULE, "item_offset", |caller: Caller<'_, HostState>| -> u64 {
        caller.data().item.as_ref().map_or(0, |item| item.offset)
    })?;
    linker.func_wrap(MODULE, "counter_add", counter_add)?;
    linker.func_wrap(MODULE, "broadcast_size", broadcast_size)?;
    linker.func_wrap(MODULE, "broadcast_read", broadcast_read)?;
    #[cfg(debug_assertions)]
    crate::faults::link(linker)?;
    Ok(())
}

fn config_get(
    mut caller: Caller<'_, HostState>,
    name: u32,
    name_len: u32,
    into: u32,
    room: u32,
) -> wasmtime::Result<u32> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let name = text(bytes, name, name_len)?;
    let Some(value) = state.setting(&name) else { return Ok(NOT_SET) };
    let copied = value.len().min(room as usize);
    let into = into as usize;
    let place = bytes.get_mut(into..into + copied).ok_or_else(|| outside("config_get"))?;
    place.copy_from_slice(&value.as_bytes()[..copied]);
    Ok(u32::try_from(value.len()).unwrap_or(NOT_SET - 1))
}

fn log(mut caller: Caller<'_, HostState>, level: u32, at: u32, len: u32) -> wasmtime::Result<()> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let level = match level {
        0 => Level::Debug,
        1 => Level::Info,
        2 => Level::Warn,
        _ => Level::Error,
    };
    state.logs.push(level, text(bytes, at, len)?);
    Ok(())
}

fn counter_add(mut caller: Caller<'_, HostState>, at: u32, len: u32, amount: u64) -> wasmtime::Result<()> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let name = text(bytes, at, len)?;
    state.count(&name, amount);
    Ok(())
}

/// Bytes of what the user gave under a name; -1 when there is nothing of that name.
fn broadcast_size(mut caller: Caller<'_, HostState>, at: u32, len: u32) -> wasmtime::Result<i64> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let entry = state.broadcast.find(&text(bytes, at, len)?).and_then(|index| state.broadcast.entry(index));
    Ok(entry.map_or(-1, |(_, len)| i64::try_from(len).unwrap_or(i64::MAX)))
}

/// Copies as much of it from `offset` on as there is and fits, and gives the number of bytes; -1 as above.
fn broadcast_read(
    mut caller: Caller<'_, HostState>,
    at: u32,
    len: u32,
    offset: u64,
    into: u32,
    room: u32,
) -> wasmtime::Result<u32> {
    let memory = memory(&mut caller)?;
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let Some(index) = state.broadcast.find(&text(bytes, at, len)?) else { return Ok(NOT_SET) };
    let into = into as usize;
    let place = bytes.get_mut(into..into + room as usize).ok_or_else(|| outside("broadcast_read"))?;
    let read = state.broadcast.read(index, offset, place);
    let read = read.map_err(|error| Fault::Failed(format!("broadcast data cannot be read: {error}")))?;
    Ok(u32::try_from(read).unwrap_or(room))
}

fn memory(caller: &mut Caller<'_, HostState>) -> wasmtime::Result<Memory> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        // It exports one: that was checked when it was compiled. A start function may run before exports exist.
        _ => Err(Fault::Contract("it called the host without a memory".into()).into()),
    }
}

/// Text in the kernel's memory, copied no further than texts may be long.
fn text(memory: &[u8], at: u32, len: u32) -> wasmtime::Result<String> {
    let at = at as usize;
    let bytes = memory.get(at..at + len as usize).ok_or_else(|| outside("a function of the host"))?;
    let shown = bytes.len().min(2 * taskhost_protocol::limits::TEXT_BYTES);
    Ok(String::from_utf8_lossy(&bytes[..shown]).into_owned())
}

fn outside(what: &str) -> wasmtime::Error {
    Fault::Contract(format!("it called {what} with a place outside its memory")).into()
}
