//! `taskhost inspect` and `taskhost compile`: what a kernel is, and having its code ready.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::{Value, json};
use taskhost_data::size::human_size;
use taskhost_pool::runner::Pool;
use taskhost_protocol::kernel::{CompileOptions, Description, Function, KernelInfo, Kind, ResultLength};

use crate::args::{InspectArguments, LookArguments};
use crate::exit_code::Exit;
use crate::kernel;
use crate::report;
use crate::start::{Starting, start};

fn pool(arguments: &InspectArguments) -> Result<(Pool, String)> {
    let options = CompileOptions { kind: arguments.kind.map(Into::into), ..CompileOptions::default() };
    Ok(start(Starting::to_ask(kernel::find(&arguments.kernel)?, options, arguments.sandbox.insistence.into()))?)
}

/// Prints what a kernel is.
pub(crate) fn run(arguments: &LookArguments) -> Result<Exit> {
    let (pool, name) = pool(&arguments.kernel)?;
    if arguments.json {
        return Ok(report::line(&facts(pool.kernel(), pool.description()).to_string()));
    }
    Ok(report::text(&describe(&name, pool.kernel(), pool.description())))
}

/// Compiles a kernel into the cache.
pub(crate) fn compile(arguments: &InspectArguments) -> Result<Exit> {
    let (pool, name) = pool(arguments)?;
    let size = human_size(pool.kernel().code_bytes);
    let what = if pool.compiled() { "compiled" } else { "was compiled already" };
    Ok(report::line(&format!("{name}: {what}, {size} of code")))
}

/// What `inspect --json` says. Fields are added and keep their meanings.
fn facts(info: &KernelInfo, description: Option<&Description>) -> Value {
    let function = |function: &Function| {
        let (call, why) = match &function.call {
            Ok(call) => (Some(call), None),
            Err(why) => (None, Some(why)),
        };
        json!({ "name": function.name, "type": function.ty, "example": call, "cannot_be_called": why })
    };
    let described = description.map(|description| {
        let length = match description.result_length {
            ResultLength::Unknown => Value::Null,
            ResultLength::Same => "same".into(),
            ResultLength::Exactly(bytes) => bytes.into(),
        };
        let settings: Vec<Value> = description
            .settings
            .iter()
            .map(|setting| json!({ "name": setting.name, "default": setting.default, "help": setting.help }))
            .collect();
        json!({
            "summary": description.summary,
            "split": description.split,
            "merge": description.merge,
            "result_length": length,
            "settings": settings,
        })
    });
    json!({
        "kind": info.kind.name(),
        "why": info.why,
        "is_image_filter": info.exports.image_filter,
        "exports": info.export_names,
        "imports": info.import_names,
        "functions": info.functions.iter().map(function).collect::<Vec<_>>(),
        "description": described,
        "wasm_bytes": info.wasm_bytes,
        "code_bytes": info.code_bytes,
        "initial_memory_bytes": info.initial_memory,
    })
}

/// The text of `inspect`.
fn describe(name: &str, info: &KernelInfo, description: Option<&Description>) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}", info.why);
    let _ = writeln!(text);
    if let Some(description) = description {
        let _ = writeln!(text, "{}", report::escape(&description.summary));
        let _ = writeln!(text);
    }
    let file = report::escape(name);
    let invoke = if info.kind == Kind::Typed { " --invoke NAME" } else { "" };
    let settings = settings_usage(description);
    let words = if info.kind == Kind::Command { " [-- ARGUMENT…]" } else { "" };
    let _ = writeln!(text, "Usage: taskhost run {file}{invoke} [INPUT]… [-o OUTPUT]{settings}{words}");
    let _ = writeln!(text);
    functions(&mut text, &info.functions);
    if let Some(description) = description {
        if !info.exports.image_filter {
            let _ = writeln!(text, "Split:   {}", or_none(&description.split));
            let _ = writeln!(text, "Merge:   {}", or_none(&description.merge));
            let length = match description.result_length {
                ResultLength::Unknown => None,
                ResultLength::Same => Some("as long as its item".to_owned()),
                ResultLength::Exactly(bytes) => Some(format!("{bytes} bytes")),
            };
            if let Some(length) = length {
                let _ = writeln!(text, "Result:  {length}");
            }
            let _ = writeln!(text);
        }
        if !description.settings.is_empty() {
            let _ = writeln!(text, "Settings (-c NAME=VALUE):");
            let width = description.settings.iter().map(|setting| setting.name.len()).max().unwrap_or(0);
            for setting in &description.settings {
                let default = match &setting.default {
                    Some(default) => format!(" [default: {}]", report::escape(default)),
                    None => " (needed)".to_owned(),
                };
                let (name, help) = (report::escape(&setting.name), report::escape(&setting.help));
                let _ = writeln!(text, "  {name:width$}  {help}{default}");
            }
            let _ = writeln!(text);
        }
    }
    list(&mut text, "Exports", &info.export_names);
    list(&mut text, "Imports", &info.import_names);
    let _ = writeln!(
        text,
        "Sizes:   {} of WebAssembly, {} of code, {} of memory to begin with",
        human_size(info.wasm_bytes),
        human_size(info.code_bytes),
        human_size(info.initial_memory)
    );
    text
}

/// What can be called with `--invoke`, with a line that it takes.
fn functions(text: &mut String, functions: &[Function]) {
    if functions.is_empty() {
        return;
    }
    let _ = writeln!(text, "Functions (--invoke NAME, a line of JSON for each call):");
    for function in functions {
        let _ = writeln!(text, "  {}: {}", report::escape(&function.name), report::escape(&function.ty));
        match &function.call {
            Ok(line) if line.is_empty() => {}
            Ok(line) => {
                let _ = writeln!(text, "      {}", report::escape(line));
            }
            Err(why) => {
                let _ = writeln!(text, "      cannot be called: {}", report::escape(why));
            }
        }
    }
    let _ = writeln!(text);
}

fn settings_usage(description: Option<&Description>) -> String {
    let needed = description.into_iter().flat_map(|description| &description.settings);
    needed
        .filter(|setting| setting.default.is_none())
        .map(|setting| format!(" -c {}=VALUE", report::escape(&setting.name)))
        .collect()
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "(not said)".to_owned() } else { report::escape(text) }
}

fn list(text: &mut String, title: &str, names: &[String]) {
    let _ = writeln!(text, "{title}:");
    if names.is_empty() {
        let _ = writeln!(text, "  none");
    }
    for name in names {
        let _ = writeln!(text, "  {}", report::escape(name));
    }
    let _ = writeln!(text);
}
