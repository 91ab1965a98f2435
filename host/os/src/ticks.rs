//! A call again and again while this process runs, by a timer of the kernel's: for a process that has one thread and must not
//! start another.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

/// What is called.
static CALL: OnceLock<fn()> = OnceLock::new();

/// Has `call` called in this interval from now on, whatever the process is doing: it runs in the handler of a signal
/// (SIGALRM), so it may use atomics and nothing else that others may be in the middle of: no memory, no lock. System calls that
/// are interrupted go on. To be called once, before filters forbid it; it never ends.
///
/// # Errors
/// When the kernel has no timer left.
pub fn start(interval: Duration, call: fn()) -> io::Result<()> {
    CALL.get_or_init(|| call);
    install()?;
    let seconds = libc::time_t::try_from(interval.as_secs()).unwrap_or(libc::time_t::MAX);
    let step = libc::timeval { tv_sec: seconds, tv_usec: interval.subsec_micros().into() };
    let timer = libc::itimerval { it_interval: step, it_value: step };
    // SAFETY: `timer` is valid for reads, and the old value is not asked for.
    if unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn install() -> io::Result<()> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    let place = action.as_mut_ptr();
    // SAFETY: `place` points to zeroed memory of this function's own, in which every field is valid.
    let action = unsafe { &mut *place };
    action.sa_sigaction = on_signal as *const () as libc::sighandler_t;
    // On the stack of handlers: the one in use may be nearly used up by a kernel.
    action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: the handler only reads a cell that is set and calls what is async-signal-safe by the condition of `start`.
    if unsafe { libc::sigaction(libc::SIGALRM, action, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

extern "C" fn on_signal(_signal: libc::c_int) {
    if let Some(call) = CALL.get() {
        call();
    }
}
