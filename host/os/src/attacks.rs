//! What code that has broken out of a kernel would try: one list, for the tests of the walls and for `taskhost doctor --attack`.
//!
//! Each attempt is made by a process of its own ([`Trial`]) that has locked itself in as a worker does. None of them harms
//! the machine or the process that it is about, should it come through.

mod descriptors;
mod files;
mod itself;
mod machine;
mod memory;
mod network;
mod others;
mod outcome;
mod raw;
mod scene;
mod trial;
mod victim;

use std::fmt;
use std::io;

use libc::c_long;

pub use outcome::{Outcome, Stopper};
pub use scene::Scene;
pub use trial::{ARGUMENT, Trial, TrialError, live};
pub use victim::{Spot, Victim};

/// What two of the attempts make where nothing stops them.
pub const TRACES: [&str; 2] = ["/tmp/taskhost-attack-file", "/tmp/taskhost-attack-folder"];

/// What an attempt is good for, and by that, how many layers have to stop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aim {
    /// Reads, talks to, or changes something outside. More than one layer has to stop it.
    Outside,
    /// Changes the machine as a whole. The same; but where there are no walls it is not tried out.
    Machine,
    /// Makes the process itself more of a nuisance, or shows it more of the kernel. The filter stops it; what it could
    /// lead to is stopped by others.
    Inside,
    /// A call that workers need and the filter allows, with something that was not granted.
    Granted,
}

impl Aim {
    /// A word for tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outside => "outside",
            Self::Machine => "machine",
            Self::Inside => "inside",
            Self::Granted => "granted",
        }
    }

    /// Whether more than one layer has to stop it.
    #[must_use]
    pub const fn needs_two(self) -> bool {
        matches!(self, Self::Outside | Self::Machine)
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One attempt.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// A short name, one word.
    pub name: &'static str,
    /// What it does: "connects to a port of this machine".
    pub about: &'static str,
    /// What it is good for.
    pub aim: Aim,
    act: Act,
}

/// How it is done.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// One system call.
    Call(c_long, [usize; 6]),
    /// More than that.
    Steps(fn(&Scene) -> c_long),
}

impl Attempt {
    /// Makes the attempt. The process has to end soon: its memory may not be what it was.
    ///
    /// # Errors
    /// What the kernel refused it with. Where the filter stops it, this does not return.
    pub fn make(&self, scene: &Scene) -> io::Result<()> {
        let result = match self.act {
            Act::Call(number, arguments) => raw::call(number, arguments),
            Act::Steps(steps) => steps(scene),
        };
        if result >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        // These are made so that they do nothing: what is said of the arguments was said after they were allowed.
        let is_refusal = matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENOSYS | libc::ESRCH));
        if self.aim == Aim::Machine && !is_refusal { Ok(()) } else { Err(error) }
    }
}

/// All attempts, in the order of tables.
#[must_use]
pub fn all(scene: &Scene) -> Vec<Attempt> {
    let lists =
        [files::list, others::list, network::list, machine::list, itself::list, memory::list, descriptors::list];
    lists.into_iter().flat_map(|list| list(scene)).collect()
}

/// The attempt of that name.
#[must_use]
pub fn by_name(scene: &Scene, name: &str) -> Option<Attempt> {
    all(scene).into_iter().find(|attempt| attempt.name == name)
}

/// Makes the entries of the lists: each list has a function for each aim that it needs.
const fn attempt(aim: Aim, name: &'static str, about: &'static str, number: c_long, arguments: [usize; 6]) -> Attempt {
    Attempt { name, about, aim, act: Act::Call(number, arguments) }
}

/// The same for more than one call.
const fn steps(aim: Aim, name: &'static str, about: &'static str, steps: fn(&Scene) -> c_long) -> Attempt {
    Attempt { name, about, aim, act: Act::Steps(steps) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_words_and_every_attempt_says_what_it_does() {
        let scene = Scene::blank();
        let mut names = BTreeSet::new();
        for attempt in all(&scene) {
            assert!(names.insert(attempt.name), "{} is there twice", attempt.name);
            assert!(attempt.name.bytes().all(|byte| byte.is_ascii_lowercase() || b"-0123456789".contains(&byte)));
            assert!(!attempt.about.is_empty() && !attempt.about.ends_with('.'), "{}", attempt.name);
            assert!(by_name(&scene, attempt.name).is_some());
        }
        assert!(names.len() > 100, "{}", names.len());
    }
}
