//! The taskhost library: one front for the pool.
