//! The child process: roles compile, execute and convert.
