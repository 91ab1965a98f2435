//! Everything that reads what strangers wrote, as functions from bytes: each returns for all bytes, and asserts what must
//! hold of the answer besides that there is one.
//!
//! The fuzzer calls them, and so do the ordinary tests, with the seeds and with changes of the seeds.

mod choices;
mod headers;
mod journal;
mod messages;
mod pictures;
mod splits;

pub use headers::headers;
pub use journal::journal;
pub use messages::messages;
pub use pictures::pictures;
pub use splits::splits;

/// A target: what the fuzzer, the folder of seeds and the tests call it, and the function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 5] =
    [("messages", messages), ("splits", splits), ("headers", headers), ("journal", journal), ("pictures", pictures)];
