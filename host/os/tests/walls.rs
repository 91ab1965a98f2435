//! The walls, for real: processes that lock themselves in and then behave as if a kernel had taken them over.
//!
//! The children are this same program, told by their first argument what to be, or forks of it. It has no test harness,
//! since that starts threads.

#![expect(unsafe_code, reason = "escaped code makes system calls as it likes, and so do these tests")]
#![expect(clippy::print_stdout, reason = "what was skipped, and what stopped what, is for whoever runs the tests")]

#[path = "walls/checks.rs"]
mod checks;
#[path = "walls/child.rs"]
mod child;
#[path = "walls/misdeeds.rs"]
mod misdeeds;
#[path = "walls/raw.rs"]
mod raw;
#[path = "walls/work.rs"]
mod work;

use taskhost_os::allocator::Reporting;
use taskhost_os::attacks;

#[global_allocator]
static ALLOCATOR: Reporting = Reporting;

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().is_some_and(|argument| Some(argument.as_str()) == attacks::ARGUMENT.to_str().ok()) {
        attacks::live(&arguments.next().unwrap_or_default());
    }
    if let Some(plan) = std::env::args().nth(1).and_then(|argument| child::Plan::parse(&argument)) {
        child::live(&plan);
    }
    checks::run("as this user");
    if rustix::process::geteuid().is_root() {
        let ended = raw::in_fork(|| {
            raw::become_nobody();
            checks::run("as nobody");
            0
        });
        assert_eq!(ended, taskhost_os::child::End::Code(0), "the checks failed for an unprivileged user");
    }
}
