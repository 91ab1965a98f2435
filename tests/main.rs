//! One integration binary. Each module drives the program as a user does, or reads the sources as a reviewer does.
//!
//! `harness` runs the program and looks after what it leaves behind, `native` computes in plain Rust what kernels
//! compute, so that results can be compared byte for byte.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod harness;
mod native;

mod abi;
mod bad_input;
mod bench;
mod cache;
mod capsules;
mod chaos;
mod check;
mod commands;
mod compressed;
mod costs;
mod counts;
mod database;
mod death;
mod debugging;
mod doctor;
mod engines;
mod errors;
mod examples;
mod exit_codes;
mod faults;
mod fuzz;
mod hostile;
mod inputs;
mod inspect;
mod invoke;
mod kernels;
mod layering;
mod limits;
mod memory;
mod new;
mod order;
#[cfg(feature = "parquet")]
mod parquet;
mod pictures;
mod pipes;
mod programs;
mod recorded;
mod resume;
mod review;
mod run;
mod sandbox;
#[cfg(feature = "service")]
mod service;
mod shards;
mod signals;
mod splits;
mod stdio;
mod tidy;
mod wit;
mod wrong;
