//! How many descriptors this process may have open.

use rustix::process::{Resource, getrlimit};

/// The limit in force; `None` when there is none.
#[must_use]
pub fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}
