//! Whether a kernel has the shape that its kind wants: exports that can be called, imports that are offered.

use taskhost_protocol::fault::Refusal;
use taskhost_protocol::kernel::Exports;

use crate::contract::{self, Function};
use crate::raw::{self, ABI};
use crate::survey::{Entry, Survey};
use crate::{raw_imports, wasi};

/// Names of exports shown in a refusal; a large library exports thousands.
const NAMES_SHOWN: usize = 12;

/// Checks a component. Gives the interfaces it exports, and the names of those that do work.
pub(crate) fn component(survey: &Survey) -> Result<(Exports, Vec<String>), Refusal> {
    let mut exports = Exports::default();
    let mut work = Vec::new();
    for entry in &survey.exports {
        let Some(interface) = contract::interface(&entry.name) else { continue };
        let flag = match interface {
            "mapper" => &mut exports.mapper,
            "flat-mapper" => &mut exports.flat_mapper,
            "packed-mapper" => &mut exports.packed_mapper,
            "reducer" => &mut exports.reducer,
            "image-filter" => &mut exports.image_filter,
            "describe" => &mut exports.describe,
            "lifecycle" => &mut exports.lifecycle,
            _ => continue,
        };
        exported(entry, interface)?;
        *flag = true;
        if matches!(interface, "mapper" | "flat-mapper" | "image-filter") {
            work.push(entry.name.clone());
        }
    }
    if work.is_empty() {
        return Err(Refusal::WrongShape(no_work(survey)));
    }
    imports_of_component(survey)?;
    Ok((exports, work))
}

/// Checks a component of which a function is called.
pub(crate) fn typed(survey: &Survey) -> Result<(), Refusal> {
    // Those of the contract, too, which are not listed since there is a better way to call them.
    if survey.functions.is_empty() && survey.exports.iter().all(|entry| entry.functions.is_empty()) {
        return Err(Refusal::WrongShape(no_work(survey)));
    }
    imports_of_component(survey)
}

/// Whether a component without a word of the contract has functions that somebody may want to call.
pub(crate) fn looks_typed(survey: &Survey) -> bool {
    let is_other = |entry: &Entry| !entry.name.starts_with(contract::PACKAGE) && !is_command(&entry.name);
    !survey.functions.is_empty() && survey.exports.iter().all(is_other)
}

fn imports_of_component(survey: &Survey) -> Result<(), Refusal> {
    survey.imports.iter().try_for_each(imported)
}

/// Whether an export makes a WASI command.
fn is_command(name: &str) -> bool {
    name == "_start" || name.starts_with("wasi:cli/run@0.2.")
}

/// Every function of the interface is there and has the contract's type.
fn exported(entry: &Entry, interface: &str) -> Result<(), Refusal> {
    for &(_, name, wanted) in contract::EXPORTS.iter().filter(|function| function.0 == interface) {
        let has = entry.functions.iter().find(|function| function.0 == name).map(|function| function.1.as_str());
        if has != Some(wanted) {
            return Err(Refusal::WrongShape(format!(
                "`{name}` of its export {} is {}, but the contract says {wanted}. Was it built for another version \
                 of taskhost:kernel?",
                entry.name,
                has.unwrap_or("missing"),
            )));
        }
    }
    Ok(())
}

/// The import is offered, with the types that the kernel expects.
fn imported(entry: &Entry) -> Result<(), Refusal> {
    if entry.only_types || wasi::offers_interface(&entry.name) {
        return Ok(());
    }
    let interface = contract::interface(&entry.name);
    let known = |function: &Function| Some(function.0) == interface;
    if interface != Some(contract::TYPES) && !contract::IMPORTS.iter().any(known) {
        return Err(not_offered(&entry.name, OFFERED_TO_COMPONENTS));
    }
    for (name, has) in &entry.functions {
        let offered = contract::IMPORTS.iter().find(|function| known(function) && function.1 == name);
        match offered {
            Some(&(_, _, wanted)) if wanted == has => {}
            Some(&(_, _, wanted)) => {
                return Err(Refusal::WrongShape(format!(
                    "it imports `{name}` of {} as {has}, but the contract says {wanted}",
                    entry.name
                )));
            }
            None => return Err(not_offered(&format!("{name} of {}", entry.name), OFFERED_TO_COMPONENTS)),
        }
    }
    Ok(())
}

const OFFERED_TO_COMPONENTS: &str = "config, item, log, broadcast and counter of taskhost:kernel@1.0.0, and WASI 0.2 \
     (wasi:cli, wasi:clocks, wasi:filesystem, wasi:io, wasi:random, wasi:sockets; nothing of it is granted)";

const OFFERED_TO_MODULES: &str = "config_get, log, item_position, item_offset, counter_add, broadcast_size and \
     broadcast_read of module `taskhost`, and WASI preview 1 (module `wasi_snapshot_preview1`; nothing of it is granted)";

fn not_offered(name: &str, offered: &str) -> Refusal {
    Refusal::ImportNotOffered(format!("the kernel imports {name}, which is not offered; offered are {offered}"))
}

/// Whether a core module has the three exports of a raw module, whatever their types.
pub(crate) fn looks_raw(survey: &Survey) -> bool {
    raw::REQUIRED.iter().all(|name| survey.export(name).is_some())
}

/// Checks a core module for the raw ABI.
pub(crate) fn raw(survey: &Survey) -> Result<Exports, Refusal> {
    if !looks_raw(survey) {
        return Err(Refusal::WrongShape(no_work(survey)));
    }
    for (name, wanted) in ABI {
        if let Some(entry) = survey.export(name)
            && entry.ty != wanted
        {
            return Err(Refusal::WrongShape(format!(
                "its export {name} is {}, but a raw module has {name}: {wanted}",
                entry.ty
            )));
        }
    }
    let has = |name| survey.export(name).is_some();
    if has("taskhost_combine") != has("taskhost_finish") {
        return Err(Refusal::WrongShape(
            "it exports one of taskhost_combine and taskhost_finish; to reduce, export both".into(),
        ));
    }
    imports_of_module(survey)?;
    Ok(Exports {
        mapper: true,
        reducer: has("taskhost_combine"),
        describe: has("taskhost_describe"),
        lifecycle: has("taskhost_start"),
        ..Exports::default()
    })
}

/// Whether a core module without the exports of a raw module is a WASI program, or a component is one without work of the
/// contract.
pub(crate) fn looks_command(survey: &Survey) -> bool {
    survey.exports.iter().any(|entry| is_command(&entry.name))
}

/// Checks a program.
pub(crate) fn command(survey: &Survey) -> Result<Exports, Refusal> {
    if !looks_command(survey) {
        return Err(Refusal::WrongShape(format!(
            "--kind command wants a WASI program: a core module that exports _start, or a component that exports \
             wasi:cli/run@0.2; {}",
            no_work(survey)
        )));
    }
    // One result for each item.
    let exports = Exports { mapper: true, ..Exports::default() };
    if survey.is_component {
        imports_of_component(survey)?;
        return Ok(exports);
    }
    for (name, wanted) in [("_start", "() -> ()"), ("memory", "memory")] {
        let has = survey.export(name).map(|entry| entry.ty.as_str());
        if has != Some(wanted) {
            return Err(Refusal::WrongShape(format!(
                "its export {name} is {}, but a WASI program has {name}: {wanted}",
                has.unwrap_or("missing")
            )));
        }
    }
    imports_of_module(survey)?;
    Ok(exports)
}

fn imports_of_module(survey: &Survey) -> Result<(), Refusal> {
    for entry in &survey.imports {
        let offered = raw_imports::OFFERED.iter().find(|function| function.0 == entry.name);
        match offered {
            Some(&(_, wanted)) if wanted == entry.ty => {}
            Some(&(name, wanted)) => {
                return Err(Refusal::WrongShape(format!("it imports {name} as {}, but that is {wanted}", entry.ty)));
            }
            None if wasi::offers_function(&entry.name) => {}
            None if raw_imports::offers_to_tests(&entry.name, &entry.ty) => {}
            None => return Err(not_offered(&entry.name, OFFERED_TO_MODULES)),
        }
    }
    Ok(())
}

/// Nothing to call: what it exports, and what would be needed.
fn no_work(survey: &Survey) -> String {
    let names: Vec<&str> = survey.exports.iter().map(|entry| entry.name.as_str()).collect();
    let more = names.len().saturating_sub(NAMES_SHOWN);
    let mut listed = if names.is_empty() { "nothing".into() } else { names[..names.len() - more].join(", ") };
    if more > 0 {
        listed.push_str(&format!(" and {more} more"));
    }
    let needed = if survey.is_component {
        "a kernel exports mapper, flat-mapper or image-filter of taskhost:kernel@1.0.0, or wasi:cli/run@0.2 (a program), or \
         any functions to be called with --invoke"
    } else {
        "a kernel is a component (or carries a component-type section), or a core module that exports memory, \
         taskhost_alloc and taskhost_process, or a WASI program, which exports memory and _start"
    };
    format!("it exports {listed}; {needed}")
}
