//! Granted folders, for real: processes that lock themselves in with one and then try to get at more than it.
//!
//! The children are this same program, told by their first argument what to be. It has no test harness, since that starts
//! threads.

#![expect(unsafe_code, reason = "escaped code makes system calls as it likes, and so do these tests")]
#![expect(clippy::print_stdout, reason = "what was skipped is for whoever runs the tests")]

#[path = "folders/attempts.rs"]
mod attempts;
#[path = "folders/checks.rs"]
mod checks;
#[path = "folders/child.rs"]
mod child;
#[path = "walls/raw.rs"]
mod raw;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("granted") {
        child::live();
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
