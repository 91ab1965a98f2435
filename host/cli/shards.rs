//! `taskhost plan`, `shard` and `merge`: a run that is cut into shards, which are run anywhere, and joined again.
//!
//! The plan fixes all that decides what comes out; a shard is a stretch of the input; a part is what a shard has made.
//! Nothing here knows of an engine: that is [`crate::cluster`].

mod cut;
mod feed;
mod file;
mod job;
mod joined;
mod make;
mod merge;
pub(crate) mod part;
mod probe;
mod reduction;
mod trouble;
mod watch;
mod work;

pub(crate) use file::{Plan, engine_options};
pub(crate) use make::{MOST_SHARDS, freeze, plan};
pub(crate) use merge::{Merged, Merging, merge, missing_text};
pub(crate) use trouble::Trouble;
pub(crate) use work::shard;
