//! Raw modules: core modules that are called without any tooling. This is their whole ABI.
//!
//! # What the module exports
//!
//! | export | type | meaning |
//! | --- | --- | --- |
//! | `memory` | a 32-bit memory | where everything lies |
//! | `taskhost_alloc` | `(len: i32) -> i32` | a place for an argument of `len` bytes |
//! | `taskhost_process` | `(ptr: i32, len: i32) -> i64` | runs the item at `ptr` |
//! | `taskhost_error` | `() -> i64` | optional: the text of the error that was just returned |
//! | `taskhost_describe` | `() -> i64` | optional: a text, see below |
//! | `taskhost_start` | `() -> i64` | optional: `lifecycle.start` of the contract; what it gives is ignored |
//! | `taskhost_combine` | `(ptr: i32, len: i32) -> i64` | optional, with the next: `reducer.combine` |
//! | `taskhost_finish` | `(ptr: i32, len: i32) -> i64` | `reducer.finish`; the argument is the last partial result |
//! | `_initialize` | `() -> ()` | optional: called once, before anything else |
//!
//! Pointers and lengths are unsigned.
//!
//! # What is returned
//!
//! An `i64` is a place: `ptr << 32 | len`. The values -1, -2 and -3, which can be no place (it would begin at the last
//! byte of the largest memory and be longer than it), are errors: -1 invalid input, -2 failed, -3 temporary, with the
//! meanings of `types.error`. After one of them `taskhost_error`, when it is exported, is called and gives the place of
//! its text (UTF-8; other bytes are replaced). A place outside the memory breaks the contract.
//!
//! # Who owns the memory
//!
//! The module does, all of it. `taskhost_alloc` is called once before each call with an argument, also when `len` is
//! 0, and its place must be good until that call returns; 0 says that there is no room (when `len` is not 0). A result
//! must stay until the next call into the module: the host reads it at once and frees nothing. So an allocator that
//! starts over at each `taskhost_alloc` is enough.
//!
//! # The argument of `taskhost_combine`
//!
//! The number of parts as a little-endian `u32`, the length of each part likewise, and then the parts, end to end.
//!
//! # The text of `taskhost_describe`
//!
//! Lines `key=value`: `summary`, `split`, `merge`, `result-length` (`unknown`, `same`, or a number of bytes) as in
//! `describe` of the contract, and for each setting `setting=NAME`, then `default=VALUE` when it has one, `help=TEXT`.
//!
//! # What it may import
//!
//! All of WASI preview 1 (nothing is granted), and from module `taskhost`: `config_get(name: i32, name_len: i32, into:
//! i32, room: i32) -> i32` copies as much of the setting as there is room for and gives its whole length, or -1 when
//! it is not set; `log(level: i32, ptr: i32, len: i32)` with 0 debug, 1 info, 2 warn, 3 error; `item_position() ->
//! i64`; `item_offset() -> i64`; `counter_add(name: i32, name_len: i32, amount: i64)`; `broadcast_size(name: i32, name_len:
//! i32) -> i64` gives the bytes of what `--broadcast` gives under that name, or -1, and `broadcast_read(name: i32, name_len:
//! i32, offset: i64, into: i32, room: i32) -> i32` copies as much of it as there is and fits, and gives the number of bytes.

use taskhost_protocol::fault::Fault;
use taskhost_protocol::kernel::{Description, Exports};
use wasmtime::{Instance, Memory, Store, TypedFunc, WasmParams, WasmResults};

use crate::exchange::{Input, Results, within};
use crate::fault::CallError;
use crate::host::HostState;
use crate::instance::not_exported;
use crate::raw_description;

/// What makes a core module a raw module.
pub(crate) const REQUIRED: [&str; 3] = ["memory", "taskhost_alloc", "taskhost_process"];

/// Every export of the ABI with its type.
pub(crate) const ABI: [(&str, &str); 9] = [
    ("memory", "memory"),
    ("taskhost_alloc", "(i32) -> i32"),
    ("taskhost_process", "(i32, i32) -> i64"),
    ("taskhost_error", "() -> i64"),
    ("taskhost_describe", "() -> i64"),
    ("taskhost_start", "() -> i64"),
    ("taskhost_combine", "(i32, i32) -> i64"),
    ("taskhost_finish", "(i32, i32) -> i64"),
    ("_initialize", "() -> ()"),
];

/// The pointer of what is an error and no place.
const ERROR: u32 = u32::MAX;

/// A function from a place to a place.
type Work = TypedFunc<(u32, u32), u64>;

/// A function from nothing to a place.
type Ask = TypedFunc<(), u64>;

/// The exports of an instance.
pub(crate) struct RawCalls {
    memory: Memory,
    alloc: TypedFunc<u32, u32>,
    process: Work,
    error: Option<Ask>,
    describe: Option<Ask>,
    start: Option<Ask>,
    combine: Option<Work>,
    finish: Option<Work>,
}

impl RawCalls {
    /// Finds the exports and calls `_initialize`.
    pub(crate) fn load(store: &mut Store<HostState>, instance: &Instance, exports: Exports) -> wasmtime::Result<Self> {
        let memory = instance.get_memory(&mut *store, "memory").ok_or_else(|| wasmtime::format_err!("no memory"))?;
        let calls = Self {
            memory,
            alloc: instance.get_typed_func(&mut *store, "taskhost_alloc")?,
            process: instance.get_typed_func(&mut *store, "taskhost_process")?,
            error: optional(store, instance, "taskhost_error", true)?,
            describe: optional(store, instance, "taskhost_describe", exports.describe)?,
            start: optional(store, instance, "taskhost_start", exports.lifecycle)?,
            combine: optional(store, instance, "taskhost_combine", exports.reducer)?,
            finish: optional(store, instance, "taskhost_finish", exports.reducer)?,
        };
        if let Some(initialize) = optional::<(), ()>(store, instance, "_initialize", true)? {
            initialize.call(&mut *store, ())?;
        }
        Ok(calls)
    }

    pub(crate) fn describe(
        &mut self,
        store: &mut Store<HostState>,
        output: u64,
    ) -> Result<Option<Description>, CallError> {
        let Some(describe) = &self.describe else { return Ok(None) };
        let place = describe.call(&mut *store, ())?;
        let text = self.result(store, place, output)?;
        Ok(Some(raw_description::parse(text)?))
    }

    pub(crate) fn start(&mut self, store: &mut Store<HostState>, output: u64) -> Result<(), CallError> {
        if let Some(start) = &self.start {
            let place = start.call(&mut *store, ())?;
            if (place >> 32) as u32 == ERROR {
                self.result(store, place, output)?;
            }
        }
        Ok(())
    }

    pub(crate) fn process(
        &mut self,
        store: &mut Store<HostState>,
        input: Input<'_>,
        mut results: Results<'_>,
    ) -> Result<(), CallError> {
        let argument = self.place(store, input)?;
        let place = self.process.call(&mut *store, argument)?;
        let limit = results.limit;
        results.give(self.result(store, place, limit)?)?;
        Ok(())
    }

    pub(crate) fn combine(
        &mut self,
        store: &mut Store<HostState>,
        parts: &[&[u8]],
        output: u64,
    ) -> Result<Vec<u8>, CallError> {
        let Some(combine) = &self.combine else { return Err(not_exported("taskhost_combine")) };
        let argument = self.place(store, Input::Bytes(&joined(parts)?))?;
        let place = combine.call(&mut *store, argument)?;
        Ok(self.result(store, place, output)?.to_vec())
    }

    pub(crate) fn finish(
        &mut self,
        store: &mut Store<HostState>,
        total: &[u8],
        output: u64,
    ) -> Result<Vec<u8>, CallError> {
        let Some(finish) = &self.finish else { return Err(not_exported("taskhost_finish")) };
        let argument = self.place(store, Input::Bytes(total))?;
        let place = finish.call(&mut *store, argument)?;
        Ok(self.result(store, place, output)?.to_vec())
    }

    /// Puts an argument where the module wants it.
    fn place(&self, store: &mut Store<HostState>, input: Input<'_>) -> Result<(u32, u32), CallError> {
        let len = input.checked_len()?;
        let at = self.alloc.call(&mut *store, len)?;
        if at == 0 && len != 0 {
            let own = || Fault::Failed(format!("the kernel has no room for an item of {len} bytes"));
            return Err(store.data().allowance.no_room(u64::from(len)).unwrap_or_else(own).into());
        }
        let memory = self.memory.data_mut(&mut *store);
        let size = memory.len();
        let start = at as usize;
        let Some(place) = memory.get_mut(start..start + len as usize) else {
            let text = format!("taskhost_alloc({len}) gave {at}, which does not fit in its memory of {size} bytes");
            return Err(Fault::Contract(text).into());
        };
        input.put(place)?;
        Ok((at, len))
    }

    /// What the module returned: bytes or an error.
    fn result<'a>(&self, store: &'a mut Store<HostState>, place: u64, output: u64) -> Result<&'a [u8], CallError> {
        if (place >> 32) as u32 == ERROR {
            return Err(self.failure(store, place)?.into());
        }
        let memory = self.memory.data(&*store);
        let bytes = within_memory(memory, place)?;
        within(bytes.len() as u64, output)?;
        Ok(bytes)
    }

    /// The error of a kernel.
    fn failure(&self, store: &mut Store<HostState>, value: u64) -> Result<Fault, CallError> {
        let kind: fn(String) -> Fault = match value.cast_signed() {
            -1 => Fault::InvalidInput,
            -2 => Fault::Failed,
            -3 => Fault::Temporary,
            other => return Err(Fault::Contract(format!("it returned {other}, which is no error and no place")).into()),
        };
        let Some(error) = &self.error else { return Ok(kind("the kernel gave no reason".into())) };
        let place = error.call(&mut *store, ())?;
        let text = within_memory(self.memory.data(&*store), place)?;
        // Longer texts are cut anyway, so no more is copied.
        let shown = text.len().min(2 * taskhost_protocol::limits::TEXT_BYTES);
        Ok(kind(String::from_utf8_lossy(&text[..shown]).into_owned()))
    }
}

fn within_memory(memory: &[u8], place: u64) -> Result<&[u8], Fault> {
    let start = (place >> 32) as usize;
    let len = (place as u32) as usize;
    memory.get(start..start + len).ok_or_else(|| {
        let size = memory.len();
        Fault::Contract(format!("it returned {len} bytes at {start}, which are not all in its memory of {size} bytes"))
    })
}

/// The argument of `taskhost_combine`.
fn joined(parts: &[&[u8]]) -> Result<Vec<u8>, Fault> {
    let too_large = |len: usize| Fault::ItemTooLarge { len: len as u64, limit: taskhost_protocol::limits::ITEM_BYTES };
    let total: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = Vec::with_capacity(4 + 4 * parts.len() + total);
    let count = u32::try_from(parts.len()).map_err(|_| too_large(total))?;
    bytes.extend_from_slice(&count.to_le_bytes());
    for part in parts {
        let len = u32::try_from(part.len()).map_err(|_| too_large(total))?;
        bytes.extend_from_slice(&len.to_le_bytes());
    }
    for part in parts {
        bytes.extend_from_slice(part);
    }
    Ok(bytes)
}

fn optional<Params: WasmParams, Results: WasmResults>(
    store: &mut Store<HostState>,
    instance: &Instance,
    name: &str,
    wanted: bool,
) -> wasmtime::Result<Option<TypedFunc<Params, Results>>> {
    if !wanted || instance.get_func(&mut *store, name).is_none() {
        return Ok(None);
    }
    instance.get_typed_func(&mut *store, name).map(Some)
}
