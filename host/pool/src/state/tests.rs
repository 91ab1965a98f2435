//! The state machine as pure state, without a process: a small world of files, workers and outputs acts out its
//! decisions, and looks closely at each.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod chaos;
mod deaths;
mod faults;
mod filter;
mod forged;
mod health;
mod input;
mod items;
mod jobs;
mod outcome;
mod pictures;
mod portions;
mod random;
mod reduce;
mod skip;
mod worker;
mod world;
