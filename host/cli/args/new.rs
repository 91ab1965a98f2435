//! `taskhost new`, as typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::KindName;

/// `taskhost new`.
#[derive(Debug, Args)]
pub(crate) struct NewArguments {
    /// The folder to be made; its last part names the kernel: small letters, digits and `-`
    #[arg(value_name = "NAME")]
    pub(crate) folder: PathBuf,
    /// What it is written in
    #[arg(long = "lang", value_enum, value_name = "LANGUAGE")]
    pub(crate) language: Language,
    /// What is built [default: component; raw in Go and AssemblyScript]
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) kind: Option<KindName>,
}

/// Languages of new kernels, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Rust, with the library `taskhost-kernel`
    Rust,
    /// C, with one header
    C,
    /// C++, with two headers
    Cpp,
    /// Zig
    Zig,
    /// Go
    Go,
    /// `AssemblyScript`
    #[value(name = "assemblyscript")]
    AssemblyScript,
    /// `JavaScript`, in `QuickJS`
    #[value(name = "javascript")]
    JavaScript,
    /// Python, in `CPython`
    Python,
}
