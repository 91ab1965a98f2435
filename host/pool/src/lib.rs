//! The coordinator: input, batches, scheduling, merge.
