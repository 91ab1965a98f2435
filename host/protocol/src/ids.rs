//! Identifiers, each a type of its own so that they cannot be mixed up.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// One input-to-output computation of a pool. Never reused within a pool.
    JobId(u64)
}
id! {
    /// A piece of a job's work that is assigned as one. Never reused within a pool.
    BatchId(u64)
}
id! {
    /// The how-manieth attempt at a batch this is, from 0. A reply of an older generation is dropped.
    Generation(u32)
}
id! {
    /// A worker process of a pool. Never reused: a replacement gets a new one.
    WorkerId(u32)
}
id! {
    /// A place in a worker's table of open files, below [`crate::limits::SLOTS`].
    SlotId(u8)
}
id! {
    /// One input of a job, numbered from 0 in the order of the input.
    SourceId(u32)
}
