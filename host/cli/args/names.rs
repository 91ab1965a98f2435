//! Choices on the command line, by name.

use clap::ValueEnum;
use taskhost_protocol::kernel::Kind;
use taskhost_protocol::message::{Fresh, Level, Sandbox};

/// Kinds of kernels, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindName {
    /// A component built for a world of taskhost:kernel
    Component,
    /// A core module with memory, `taskhost_alloc` and `taskhost_process`
    Raw,
    /// Any component, for --invoke
    Typed,
    /// A WASI program: an item is its standard input
    Command,
}

impl From<KindName> for Kind {
    fn from(name: KindName) -> Self {
        match name {
            KindName::Component => Self::Component,
            KindName::Raw => Self::RawModule,
            KindName::Typed => Self::Typed,
            KindName::Command => Self::Command,
        }
    }
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// A bar on a terminal, lines elsewhere
    Auto,
    /// A bar
    Bar,
    /// A line every 30 seconds
    Plain,
    /// Nothing
    Never,
}

/// Levels of the log, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LevelName {
    /// For the kernel's author
    Debug,
    /// For the user
    Info,
    /// Something is odd
    Warn,
    /// Something is wrong
    Error,
}

impl From<LevelName> for Level {
    fn from(name: LevelName) -> Self {
        match name {
            LevelName::Debug => Self::Debug,
            LevelName::Info => Self::Info,
            LevelName::Warn => Self::Warn,
            LevelName::Error => Self::Error,
        }
    }
}

/// How long an instance is kept, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FreshName {
    /// As long as its worker lives
    Worker,
    /// For one batch
    Batch,
    /// For one item: nothing is left behind for the next
    Item,
}

impl From<FreshName> for Fresh {
    fn from(name: FreshName) -> Self {
        match name {
            FreshName::Worker => Self::Worker,
            FreshName::Batch => Self::Batch,
            FreshName::Item => Self::Item,
        }
    }
}

/// How much of the sandbox is insisted on, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SandboxName {
    /// Every wall that this machine allows, and at least the system-call filter
    Auto,
    /// Every wall there is; without one, nothing runs (exit code 6)
    Full,
    /// None: the kernel's own sandbox is all there is
    Off,
}

impl From<SandboxName> for Sandbox {
    fn from(name: SandboxName) -> Self {
        match name {
            SandboxName::Auto => Self::Auto,
            SandboxName::Full => Self::Full,
            SandboxName::Off => Self::Off,
        }
    }
}

/// What becomes of a result of which an item failed, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnErrorName {
    /// It is not made, and none after it is begun
    Fail,
    /// It is made without the item
    Skip,
}
