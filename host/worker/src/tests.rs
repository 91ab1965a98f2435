//! Tests of a worker at work: real kernels, no coordinator, no walls.

mod bench;
mod component;
mod failed_items;
mod filtering;
mod instances;
mod limits;
mod packed;
mod progress;
mod reductions;
mod rests;
