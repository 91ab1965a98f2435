//! Crashes on demand, for tests, in debug builds only: a raw module may import the functions below from module
//! `taskhost-fault`. In a release build they are refused as any other unknown import.
//!
//! All are `() -> ()` and end or stop the *process*, from host code, as a bug of the host or an attack on it would:
//!
//! | function | what it does |
//! | --- | --- |
//! | `abort` | aborts, as the C library does: SIGABRT; SIGSEGV in the first process of a namespace, which ignores the former |
//! | `segv` | reads memory that nobody may read: SIGSEGV |
//! | `kill` | SIGKILL; in the first process of a namespace, which cannot kill itself, by its limit of CPU time |
//! | `sys` | makes a system call that a filter forbids: SIGSYS |
//! | `exit42` | exits with code 42, without a word |
//! | `panic` | panics |
//! | `exhaust-memory` | takes memory, without touching it, until there is none |
//! | `overflow-stack` | recurses in host code until the stack ends |
//! | `block` | waits for ever without using CPU time |
//! | `spin` | uses CPU time for ever |
//!
//! What they do is given from outside ([`install`]), since this crate knows no processes.

use std::sync::OnceLock;

use wasmtime::Linker;

use crate::host::HostState;

/// The module that these are imported from.
const MODULE: &str = "taskhost-fault";

/// Every function; each is `() -> ()`.
const NAMES: [&str; 10] =
    ["abort", "segv", "kill", "sys", "exit42", "panic", "exhaust-memory", "overflow-stack", "block", "spin"];

/// How a function is found by its name.
type Lookup = fn(&str) -> Option<fn()>;

static LOOKUP: OnceLock<Lookup> = OnceLock::new();

/// Says what the functions do. To be called before a kernel is loaded; the first call counts.
pub fn install(lookup: Lookup) {
    LOOKUP.get_or_init(|| lookup);
}

/// Whether `name`, as `module.function`, is one of them.
pub(crate) fn offers(name: &str) -> bool {
    name.strip_prefix(MODULE).and_then(|rest| rest.strip_prefix('.')).is_some_and(|name| NAMES.contains(&name))
}

/// Defines them.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    for name in NAMES {
        linker.func_wrap(MODULE, name, move || match LOOKUP.get().and_then(|lookup| lookup(name)) {
            Some(commit) => {
                commit();
                Ok(())
            }
            None => Err(wasmtime::format_err!("this process does not do `{name}` of {MODULE}")),
        })?;
    }
    Ok(())
}
