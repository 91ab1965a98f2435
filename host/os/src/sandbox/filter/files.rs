//! The system calls of a kernel that was granted folders: those that `wasmtime-wasi` makes for it, on descriptors only.
//!
//! Which file a name means is decided by the walls behind this one (the folder is cut off, Landlock): a filter cannot see
//! names. It can see flags, and that each name is looked up from a descriptor, never from the current folder.

use super::Rule;
use super::profile::{Numbers, allow, refuse};
use super::program::Check::{Below, Bits, Is, OneOf};

/// Flags of `openat` that only read. `O_LARGEFILE` is 0 in the C library, and not in the kernel.
const READING: u32 = (libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_DIRECTORY | libc::O_NONBLOCK | libc::O_PATH)
    .cast_unsigned()
    | LARGE_FILE;

/// Those that write, too. `O_TMPFILE`, a file without a name, is none of them.
const WRITING: u32 = (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC | libc::O_APPEND)
    .cast_unsigned()
    | libc::O_SYNC.cast_unsigned();

#[cfg(target_arch = "x86_64")]
const LARGE_FILE: u32 = 0o10_0000;
#[cfg(target_arch = "aarch64")]
const LARGE_FILE: u32 = 0o40_0000;

/// Nothing but the nine bits of who may read, write and execute: no set-user-id.
const NO_MODE: u32 = !0o777;

const FCNTL: &[u32] =
    &[libc::F_DUPFD_CLOEXEC.cast_unsigned(), libc::F_GETFD.cast_unsigned(), libc::F_GETFL.cast_unsigned()];

/// The only flag of `pwritev2` that is used.
const APPEND: u32 = libc::RWF_APPEND.cast_unsigned();

/// Flags of `statx` and of `unlinkat`.
const LOOKS: &[u32] = &[
    0,
    libc::AT_EMPTY_PATH.cast_unsigned(),
    libc::AT_SYMLINK_NOFOLLOW.cast_unsigned(),
    (libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW).cast_unsigned(),
];
const REMOVALS: &[u32] = &[0, libc::AT_REMOVEDIR.cast_unsigned()];

/// Whether a folder may be entered is asked with the effective user.
const EFFECTIVE: u32 = libc::AT_EACCESS.cast_unsigned();

/// Adds them to the rules of every role.
pub(super) fn extend(rules: &mut Vec<Rule>, numbers: Numbers) {
    rules.retain(|rule| rule.number != libc::SYS_fcntl);
    rules.extend(reading(numbers));
    if numbers.writes {
        rules.extend(writing(numbers.descriptors));
    }
}

fn reading(numbers: Numbers) -> Vec<Rule> {
    let Numbers { descriptors, writes, .. } = numbers;
    let flags = if writes { READING | WRITING } else { READING };
    let open = [Below(0, descriptors), Bits(2, !flags, 0), Bits(3, NO_MODE, 0)];
    vec![
        // The flags of a file that is open are part of what WASI tells of it.
        allow(libc::SYS_fcntl, "fcntl", &[Below(0, descriptors), OneOf(1, FCNTL)]),
        // What a kernel asks for and must not have is an error to it, and no reason to end.
        Rule { otherwise: Some(libc::EACCES), ..allow(libc::SYS_openat, "openat", &open) },
        // Its flags lie in memory. The library then looks names up step by step, by the older call.
        refuse(libc::SYS_openat2, "openat2", libc::ENOSYS),
        allow(libc::SYS_statx, "statx", &[Below(0, descriptors), OneOf(2, LOOKS)]),
        allow(libc::SYS_readlinkat, "readlinkat", &[Below(0, descriptors)]),
        allow(libc::SYS_faccessat2, "faccessat2", &[Below(0, descriptors), Is(3, EFFECTIVE)]),
        allow(libc::SYS_getdents64, "getdents64", &[Below(0, descriptors)]),
        allow(libc::SYS_lseek, "lseek", &[Below(0, descriptors)]),
        allow(libc::SYS_fadvise64, "fadvise64", &[Below(0, descriptors)]),
        // Files that are open for reading can be synchronised as well.
        allow(libc::SYS_fsync, "fsync", &[Below(0, descriptors)]),
        allow(libc::SYS_fdatasync, "fdatasync", &[Below(0, descriptors)]),
    ]
}

fn writing(descriptors: u32) -> Vec<Rule> {
    let on_file = Below(0, descriptors);
    vec![
        allow(libc::SYS_pwritev2, "pwritev2", &[on_file, Is(5, APPEND)]),
        allow(libc::SYS_ftruncate, "ftruncate", &[on_file]),
        allow(libc::SYS_mkdirat, "mkdirat", &[on_file, Bits(2, NO_MODE, 0)]),
        allow(libc::SYS_unlinkat, "unlinkat", &[on_file, OneOf(2, REMOVALS)]),
        allow(libc::SYS_renameat, "renameat", &[on_file, Below(2, descriptors)]),
        allow(libc::SYS_utimensat, "utimensat", &[on_file, Is(3, 0)]),
        // A link would lead whoever follows it to where the kernel must not go itself.
        refuse(libc::SYS_symlinkat, "symlinkat", libc::EPERM),
        refuse(libc::SYS_linkat, "linkat", libc::EPERM),
    ]
}
