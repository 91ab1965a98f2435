//! What a process gives up for good that goes on for long and has the secrets of many.

use std::io;

use rustix::process::Resource;

use crate::rlimits::limit;

/// Gives up new privileges, for this process and all that it starts, and core files, in which its secrets would lie. To be called
/// before there is another thread.
///
/// Workers need no program that gives privileges: their namespaces are made by this process's own rights, or by none.
///
/// # Errors
/// None are expected: everybody may give up these.
pub fn give_up() -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    limit(Resource::Core, 0)
}
