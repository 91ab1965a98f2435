//! Which kind of kernel a file is, from its bytes and from nothing else.

use std::borrow::Cow;

use taskhost_protocol::fault::Refusal;
use taskhost_protocol::kernel::{Exports, Kind};

use crate::survey::Survey;
use crate::{componentize, contract, shape};

/// What a file was taken for.
pub(crate) struct Found<'a> {
    pub(crate) kind: Kind,
    /// A sentence for `inspect`.
    pub(crate) why: String,
    pub(crate) exports: Exports,
    /// Of what is compiled, which is not always the file.
    pub(crate) survey: Survey,
    pub(crate) wasm: Cow<'a, [u8]>,
}

/// What every binary begins with.
const MAGIC: &[u8] = b"\0asm";

/// The binary of a file that is binary or text.
pub(crate) fn binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    if bytes.starts_with(MAGIC) {
        return Ok(Cow::Borrowed(bytes));
    }
    if bytes.is_empty() {
        return Err(Refusal::NotWasm("it is empty".into()));
    }
    let text = std::str::from_utf8(bytes).ok().filter(|text| {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        text.starts_with('(') || text.starts_with(";;")
    });
    let Some(text) = text else {
        let start: Vec<String> = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        return Err(Refusal::NotWasm(format!(
            "it begins with the bytes {}, but a WebAssembly file begins with 00 61 73 6d, or with `(` when it is text",
            start.join(" ")
        )));
    };
    wat::parse_str(text).map(Cow::Owned).map_err(|error| Refusal::NotWasm(format!("its text has an error: {error}")))
}

/// What is said of a kernel that is a program, too.
const ALSO_COMMAND: &str = "; it is a WASI program as well: --kind command runs it as one";

/// Finds the kind of a binary, and checks that it is a whole and valid kernel of that kind. With `wanted` it is taken
/// for that kind or refused.
pub(crate) fn detect(wasm: &[u8], wanted: Option<Kind>) -> Result<Found<'_>, Refusal> {
    let survey = Survey::of(wasm)?;
    if survey.is_component {
        if wanted == Some(Kind::RawModule) {
            return Err(Refusal::WrongShape("--kind raw wants a core module, and this is a component".into()));
        }
        return component(Cow::Borrowed(wasm), survey, "", wanted);
    }
    let looks_raw = shape::looks_raw(&survey);
    let typed = survey.has_component_type && !matches!(wanted, Some(Kind::RawModule | Kind::Command));
    // A module with both faces is a component unless its types are not of the contract.
    if typed && !looks_raw {
        return encoded(wasm, wanted);
    }
    if typed
        && let Ok(found) = encoded(wasm, wanted)
        && (found.kind == Kind::Component || wanted.is_some())
    {
        return Ok(found);
    }
    match wanted {
        Some(Kind::Component) => {
            return Err(Refusal::WrongShape(
                "--kind component wants a component, or a core module with a `component-type` section; this is a core \
                 module without one. Build it with the bindings of its language for a world of taskhost:kernel"
                    .into(),
            ));
        }
        Some(Kind::Typed) => {
            return Err(Refusal::WrongShape(
                "--invoke wants a component, or a core module with a `component-type` section: only those say what \
                 their functions take; this is a core module without one"
                    .into(),
            ));
        }
        Some(Kind::RawModule | Kind::Command) | None => {}
    }
    if wanted == Some(Kind::Command) || (wanted.is_none() && !looks_raw && shape::looks_command(&survey)) {
        let exports = shape::command(&survey)?;
        let why = "command: a WASI preview 1 program, it exports _start; an item is its standard input".into();
        return Ok(Found { kind: Kind::Command, why, exports, survey, wasm: Cow::Borrowed(wasm) });
    }
    let exports = shape::raw(&survey)?;
    // Both kinds at once are no mistake of a compiler's, but nobody should have to guess which it is.
    let also = if wanted.is_none() && shape::looks_command(&survey) { ALSO_COMMAND } else { "" };
    let why = format!("raw module: it exports memory, taskhost_alloc and taskhost_process{also}");
    Ok(Found { kind: Kind::RawModule, why, exports, survey, wasm: Cow::Borrowed(wasm) })
}

/// A core module with a component-type section, made into a component.
fn encoded(core: &[u8], wanted: Option<Kind>) -> Result<Found<'_>, Refusal> {
    let component_bytes = componentize::componentize(core)?;
    let survey = Survey::of(&component_bytes)?;
    component(Cow::Owned(component_bytes), survey, ", made from a core module with a component-type section", wanted)
}

fn component<'a>(wasm: Cow<'a, [u8]>, survey: Survey, how: &str, wanted: Option<Kind>) -> Result<Found<'a>, Refusal> {
    if wanted == Some(Kind::Typed) || (wanted.is_none() && shape::looks_typed(&survey)) {
        shape::typed(&survey)?;
        let why = format!("typed functions: a component{how}, and --invoke NAME calls one of its functions");
        return Ok(Found { kind: Kind::Typed, why, exports: Exports::default(), survey, wasm });
    }
    let is_command = shape::looks_command(&survey);
    let has_work = || survey.exports.iter().any(|entry| contract::interface(&entry.name).is_some());
    if wanted == Some(Kind::Command) || (wanted.is_none() && is_command && !has_work()) {
        let exports = shape::command(&survey)?;
        let why = format!("command: a WASI 0.2 program, it exports wasi:cli/run{how}; an item is its standard input");
        return Ok(Found { kind: Kind::Command, why, exports, survey, wasm });
    }
    let (exports, work) = shape::component(&survey)?;
    let also = if wanted.is_none() && is_command { ALSO_COMMAND } else { "" };
    let why = format!("component: it exports {}{how}{also}", work.join(" and "));
    Ok(Found { kind: Kind::Component, why, exports, survey, wasm })
}
