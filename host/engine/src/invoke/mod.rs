//! Typed functions: any function of any component, called with arguments written as JSON (or once, in the notation of
//! WAVE), its result written as JSON.
//!
//! `docs/typed-functions.md` has the mapping. It looks at types and never at data, and the same types are seen from two
//! sides: the compile role reads them from the file to list the functions (`listing`), an execute worker from the
//! compiled component to call one of them (`call`). Both make a [`shape::Shape`] of them, which is all that reading,
//! writing and examples go by.

mod base64;
mod call;
mod compiled;
mod direct;
mod example;
mod integer;
mod listing;
mod names;
mod probe;
mod problem;
mod read;
mod shape;
mod tokens;
mod write;

pub(crate) use call::{Chosen, TypedCalls};
pub(crate) use listing::functions;
pub use probe::there_and_back;

#[cfg(test)]
mod tests;
