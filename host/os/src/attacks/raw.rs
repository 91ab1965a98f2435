//! System calls as they are.

use std::ffi::CStr;

use libc::c_long;

/// Any system call at all.
pub(super) fn call(number: c_long, arguments: [usize; 6]) -> c_long {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the lists next to this file hold that pointers among the arguments are null, or of static or leaked memory
    // that is large enough for what a call does that succeeds; the process ends right after.
    unsafe { libc::syscall(number, a, b, c, d, e, f) }
}

/// `getpid` by the gate for 32-bit programs.
#[cfg(target_arch = "x86_64")]
pub(super) fn call_by_the_old_gate() -> c_long {
    let result: u64;
    // SAFETY: call 20 of that table takes and touches no memory; the gate changes no register but the result's, and some
    // that are named.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("rax") 20_u64 => result, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    result.cast_signed()
}

/// Where a text is.
pub(super) fn address(text: &'static CStr) -> usize {
    text.as_ptr().expose_provenance()
}
