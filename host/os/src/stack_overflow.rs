//! A word on its end from a process whose stack is used up, instead of a crash like any other.
//!
//! The kernel answers an access below the stack with SIGSEGV. The handler here runs on a stack of its own, tells such an
//! access by its address, and leaves every other crash to the default action. Handlers that are installed later, such
//! as those by which WebAssembly traps, come first and hand on what is not theirs.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;

use crate::crash::touch_nothing;
use crate::last_words::{LastWords, Occasion};

/// The addresses that are touched when a stack is used up.
struct Guard {
    /// The first.
    from: usize,
    /// Behind the last.
    to: usize,
}

/// How far below the stack the kernel keeps other mappings away (256 pages): a frame may be as large.
const GAP: usize = 1 << 20;

/// A page that is the last of the stack by one count and the first outside by another.
const PAGE: usize = 4096;

/// The stack of a handler, when nobody has made one yet. It only looks and makes system calls.
const HANDLER_STACK: usize = 64 << 10;

static GUARD: OnceLock<Guard> = OnceLock::new();

static OVERFLOW: Occasion = Occasion::new();

/// From now on, this process ends with these words when the stack of its first thread is used up. To be called by that
/// thread, before other handlers are installed that are to come first. Other crashes stay what they are.
///
/// # Errors
/// When another thread calls, or the kernel does not tell where the stack is.
pub fn report_on(words: LastWords) -> io::Result<()> {
    if rustix::thread::gettid() != rustix::process::getpid() {
        return Err(io::Error::other("only the first thread's stack can be watched"));
    }
    let lowest = lowest_of_stack()?;
    OVERFLOW.prepare(words);
    GUARD.get_or_init(|| Guard { from: lowest.saturating_sub(GAP), to: lowest + PAGE });
    ensure_handler_stack()?;
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        install(signal)?;
    }
    Ok(())
}

/// The lowest address of this thread's stack.
fn lowest_of_stack() -> io::Result<usize> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::zeroed();
    // SAFETY: has no conditions.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: `attributes` is valid for writes.
    check(unsafe { libc::pthread_getattr_np(this, attributes.as_mut_ptr()) })?;
    let mut lowest = ptr::null_mut();
    let mut size = 0;
    // SAFETY: the call above has set up the attributes, and the other two are valid for writes.
    let result = unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut lowest, &raw mut size) };
    // SAFETY: likewise, and nobody uses them afterwards.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    check(result)?;
    Ok(lowest.addr())
}

/// Gives this thread a stack for handlers, if it has none: there is no room on its own.
fn ensure_handler_stack() -> io::Result<()> {
    let mut current = MaybeUninit::<libc::stack_t>::zeroed();
    // SAFETY: `current` is valid for writes.
    check_errno(unsafe { libc::sigaltstack(ptr::null(), current.as_mut_ptr()) })?;
    // SAFETY: it was zero, which is a valid value, and the kernel wrote over it.
    let current = unsafe { current.assume_init() };
    if current.ss_flags & libc::SS_DISABLE == 0 {
        return Ok(());
    }
    let stack = Box::leak(vec![0_u8; HANDLER_STACK].into_boxed_slice());
    let stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: stack.len() };
    // SAFETY: the memory is never used for anything else, nor freed.
    check_errno(unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) })
}

fn install(signal: i32) -> io::Result<()> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zero is a valid value.
    let action = unsafe { action.assume_init_mut() };
    let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = handle;
    action.sa_sigaction = handler as libc::sighandler_t;
    // Not blocked while it is handled: the crash that `handle` brings about is to be deadly.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    // SAFETY: `handle` has the type that SA_SIGINFO asks for, and does nothing that a handler may not do.
    check_errno(unsafe { libc::sigaction(signal, action, ptr::null_mut()) })
}

/// The handler. Only loads from statics and makes system calls.
extern "C" fn handle(signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid record.
    let info = unsafe { &*info };
    // What a process sends has other codes.
    let is_real = info.si_code > 0;
    // SAFETY: both signals come with an address, or with other fields of the same size in its place.
    let address = unsafe { info.si_addr() }.addr();
    if is_real && GUARD.get().is_some_and(|guard| (guard.from..guard.to).contains(&address)) {
        OVERFLOW.come();
    }
    // SAFETY: to take the default action back runs no code.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    if !is_real {
        // Nothing would happen again when this returns, and the first process of a namespace could send itself what it
        // likes; so it crashes for real.
        touch_nothing();
    }
}

fn check(errno: i32) -> io::Result<()> {
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
}

fn check_errno(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
