//! Exit codes of a worker that ends by itself. They are the worker's own word, and so a hint for the message; what
//! becomes of its items does not depend on them.

/// It could not go on: an order made no sense, or something that should always work did not.
pub const FAILED: i32 = 70;

/// There was no memory left for the worker's own needs.
pub const NO_MEMORY: i32 = 71;

/// The worker's own stack, not the kernel's, was used up.
pub const STACK_OVERFLOW: i32 = 72;

/// The worker's own code panicked.
pub const PANICKED: i32 = 73;
