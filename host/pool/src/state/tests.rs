//! The state machine as pure state: events in, actions out, without a process.
