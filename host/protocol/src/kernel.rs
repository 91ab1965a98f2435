//! What is known of a kernel: from its bytes (by the compile role) and from what it says of itself.

use serde::{Deserialize, Serialize};

/// The ways in: how a kernel is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A component built for a world of `taskhost:kernel`.
    Component,
    /// A core module with `memory`, `taskhost_alloc` and `taskhost_process`.
    RawModule,
    /// Any component, one function of which is called: see [`Invoke`].
    Typed,
    /// A WASI program: an item is its standard input, and what it writes to standard output is the result.
    Command,
}

impl Kind {
    /// The name on the command line (`--kind`).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::RawModule => "raw",
            Self::Typed => "typed",
            Self::Command => "command",
        }
    }
}

/// Which code is generated. Artifacts of different profiles are different files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Profile {
    /// No instrumentation.
    #[default]
    Plain,
    /// Counts fuel, so that an item can be given a budget that is the same everywhere.
    Fuel,
    /// Stops again and again, so that it can be seen where it is.
    Sampled,
}

/// What the compile role is asked to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileOptions {
    /// Which code to generate.
    pub profile: Profile,
    /// `--kind`: take the file for this kind, whatever it looks like.
    pub kind: Option<Kind>,
}

/// The interfaces a kernel exports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "one flag for each optional interface of the contract")]
pub struct Exports {
    /// One result for each item.
    pub mapper: bool,
    /// Any number of results for each item.
    pub flat_mapper: bool,
    /// Many items in one call.
    pub packed_mapper: bool,
    /// `combine` and `finish`.
    pub reducer: bool,
    /// `prepare` and `filter`.
    pub image_filter: bool,
    /// `describe`.
    pub describe: bool,
    /// `start`.
    pub lifecycle: bool,
}

/// Which function of a component is called for each item (`--invoke`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoke {
    /// Its name, or what of it tells it from all others.
    pub function: String,
    /// How items are written.
    pub notation: Notation,
}

/// How the arguments of a typed function are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notation {
    /// An item is a JSON value.
    Json,
    /// An item is a call in WAVE: `f(1, "x")`.
    Wave,
}

/// A function that a component exports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Its name: `interface#function`, or only the function.
    pub name: String,
    /// Its type in WIT.
    pub ty: String,
    /// A line of JSON that it takes, empty when it would be too long to be of use; or why it cannot be called.
    pub call: Result<String, String>,
}

/// What the code of a kernel needs of the engine that runs it, as its bytes show. All others get a smaller engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// It throws exceptions of WebAssembly's own.
    pub exceptions: bool,
    /// It says which line of its source each instruction comes from (DWARF), so that backtraces can.
    pub debug_info: bool,
}

/// What the compile role found in the file. Written in front of the code in an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelInfo {
    /// How it is called.
    pub kind: Kind,
    /// Why it was taken for that kind, as a sentence for `inspect`.
    pub why: String,
    /// The interfaces of the contract that it exports.
    pub exports: Exports,
    /// Every import, as `interface` or `module.name: type`, sorted.
    pub import_names: Vec<String>,
    /// Every export, likewise.
    pub export_names: Vec<String>,
    /// What its code needs of the engine.
    pub needs: Needs,
    /// The functions that a component exports for anybody, those of the contract left out; of very many the first.
    pub functions: Vec<Function>,
    /// Bytes of the file.
    pub wasm_bytes: u64,
    /// Bytes of the generated code.
    pub code_bytes: u64,
    /// Bytes of linear memory it starts with.
    pub initial_memory: u64,
}

/// How long results are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResultLength {
    /// Only known afterwards.
    #[default]
    Unknown,
    /// As long as the item.
    Same,
    /// This many bytes.
    Exactly(u32),
}

/// A setting that users give as `--config name=value`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value when the user gives none; `None` when the user must.
    pub default: Option<String>,
    /// One line for `inspect`.
    pub help: String,
}

/// What a kernel says of itself (`describe`). The texts of `split` and `merge` are not yet understood.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// One line: what it does.
    pub summary: String,
    /// As in `--split`.
    pub split: String,
    /// As in `--merge`.
    pub merge: String,
    /// How long results are.
    pub result_length: ResultLength,
    /// All its settings.
    pub settings: Vec<Setting>,
}
