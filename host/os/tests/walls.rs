//! The walls, for real: processes that lock themselves in and then behave as if a kernel had taken them over.
//!
//! The children are this same program, told by their first argument what to be, or forks of it. It has no test harness,
//! since that starts threads.

#![expect(unsafe_code, reason = "escaped code makes system calls as it likes, and so do these tests")]
#![expect(clippy::print_stdout, reason = "what was skipped, and what stopped what, is for whoever runs the tests")]

#[path = "walls/attacks.rs"]
mod attacks;
#[path = "walls/checks.rs"]
mod checks;
#[path = "walls/child.rs"]
mod child;
#[path = "walls/raw.rs"]
mod raw;

use taskhost_os::allocator::Reporting;

#[global_allocator]
static ALLOCATOR: Reporting = Reporting;

fn main() {
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
