//! What coordinator and worker say to each other: messages, their encoding, and every cap on them.
//!
//! Both ends are the same executable, so nothing here is a stable format; the handshake still compares
//! [`PROTOCOL_VERSION`] and the build id, because a socket does not know who sits at its other end.
//! This crate knows nothing of processes, sockets, files or WebAssembly.

pub mod exit;
pub mod fault;
pub mod frame;
pub mod given;
pub mod grant;
pub mod ids;
pub mod kernel;
pub mod limits;
pub mod mark;
pub mod message;
pub mod picture;
pub mod progress;
pub mod stream;
pub mod table;
pub mod work;

/// Raised with every change to a type in this crate that is sent.
pub const PROTOCOL_VERSION: u32 = 5;
