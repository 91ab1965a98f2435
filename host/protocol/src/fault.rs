//! What can go wrong with one item, as a worker reports it. A worker's word is a hint: the coordinator caps and
//! counts it, and never concludes anything about the host from it.

use serde::{Deserialize, Serialize};

/// Why an item, or a call that belongs to no item, failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Fault {
    /// The kernel says the item is wrong.
    #[error("{0}")]
    InvalidInput(String),
    /// The kernel says it could not do it.
    #[error("{0}")]
    Failed(String),
    /// The kernel says that trying again may help.
    #[error("{0}")]
    Temporary(String),
    /// The kernel trapped.
    #[error("the kernel trapped: {reason}")]
    Trap {
        /// What WebAssembly calls it: `unreachable`, `out of bounds memory access`, ….
        reason: String,
        /// The functions on the stack, innermost first, at most [`crate::limits::BACKTRACE_FRAMES`].
        backtrace: Vec<String>,
    },
    /// The result is longer than `--max-output` allows.
    #[error("the result has {len} bytes, more than the {limit} that --max-output allows")]
    OutputLimit {
        /// Bytes of the result, or of the part that was over.
        len: u64,
        /// The limit in force.
        limit: u64,
    },
    /// The item is larger than a kernel can be given.
    #[error("the item has {len} bytes, more than the {limit} an item may have")]
    ItemTooLarge {
        /// Bytes of the item.
        len: u64,
        /// The limit in force.
        limit: u64,
    },
    /// The kernel trapped after it was refused more memory.
    #[error("the kernel needs more memory than the {limit} bytes that --memory allows: {reason}")]
    MemoryLimit {
        /// The limit in force, in bytes.
        limit: u64,
        /// The trap that followed.
        reason: String,
    },
    /// The kernel used up its fuel.
    #[error("the kernel used up the {limit} units of fuel that --fuel gives each item")]
    OutOfFuel {
        /// The limit in force.
        limit: u64,
    },
    /// The item was not run, because the order said so: the coordinator knows why.
    #[error("the item was left out")]
    LeftOut,
    /// The kernel broke the contract: a tile of the wrong length, a result outside its memory, ….
    #[error("the kernel broke its contract: {0}")]
    Contract(String),
    /// The input could not be read, or ended early.
    #[error("{0}")]
    Input(String),
    /// The output could not be written.
    #[error("{0}")]
    Output(String),
}

impl Fault {
    /// The same fault with its texts cut to the caps of [`crate::limits`].
    #[must_use]
    pub fn capped(self) -> Self {
        use crate::limits::{BACKTRACE_FRAMES, cap_text};
        let mut fault = self.map_text(cap_text);
        if let Self::Trap { backtrace, .. } = &mut fault {
            backtrace.truncate(BACKTRACE_FRAMES);
            for frame in backtrace {
                frame.truncate(frame.floor_char_boundary(256));
            }
        }
        fault
    }

    /// The same fault in other words: its text, or the reason of its trap.
    #[must_use]
    pub fn map_text(self, words: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::InvalidInput(text) => Self::InvalidInput(words(text)),
            Self::Failed(text) => Self::Failed(words(text)),
            Self::Temporary(text) => Self::Temporary(words(text)),
            Self::Trap { reason, backtrace } => Self::Trap { reason: words(reason), backtrace },
            Self::MemoryLimit { limit, reason } => Self::MemoryLimit { limit, reason: words(reason) },
            Self::Contract(text) => Self::Contract(words(text)),
            Self::Input(text) => Self::Input(words(text)),
            Self::Output(text) => Self::Output(words(text)),
            same @ (Self::OutputLimit { .. } | Self::ItemTooLarge { .. } | Self::OutOfFuel { .. } | Self::LeftOut) => {
                same
            }
        }
    }
}

/// Where in the input an item begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ItemPlace {
    /// The input it belongs to.
    pub source: crate::ids::SourceId,
    /// Offset of its first byte in that input; for a picture the first row of the tile.
    pub offset: u64,
}

/// An item that failed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemFailure {
    /// Which item.
    pub place: ItemPlace,
    /// Its number within the batch, from 0.
    pub ordinal: u64,
    /// Bytes of the item; for a picture those of its rows.
    pub len: u64,
    /// Bytes of results of the batch in front of the place where its own would be.
    pub at: u64,
    /// How often it was run.
    pub attempts: u32,
    /// Why.
    pub fault: Fault,
}

/// Why a kernel cannot be used at all (exit code 4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Neither a module nor a component, or not a valid one.
    #[error("not a WebAssembly file that can be run: {0}")]
    NotWasm(String),
    /// Valid, but it exports nothing that taskhost can call.
    #[error("{0}")]
    WrongShape(String),
    /// It imports something that is not offered.
    #[error("{0}")]
    ImportNotOffered(String),
    /// Over a size limit.
    #[error("{0}")]
    TooLarge(String),
    /// It failed before its first item: instantiation, `describe` or `lifecycle.start`.
    #[error("{0}")]
    Start(String),
    /// A setting that it does not take, or one it needs, is missing: the user's mistake, not the kernel's.
    #[error("{0}")]
    Setting(String),
    /// What it said of itself cannot be used.
    #[error("{0}")]
    Description(String),
}
