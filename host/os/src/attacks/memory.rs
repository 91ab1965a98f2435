//! Attempts on memory: to make code, to share or lock memory, to take more than was granted.

use super::raw::address;
use super::scene::{PAGE, Scene};
use super::{Aim, Attempt, attempt};

/// More memory than any worker is granted, and than any machine has.
const TOO_MUCH: usize = 1 << 45;

pub(super) fn list(scene: &Scene) -> Vec<Attempt> {
    let Scene { arena, input, page, .. } = *scene;
    let inside = |name, about, number, arguments| attempt(Aim::Inside, name, about, number, arguments);
    let executable = (libc::PROT_READ | libc::PROT_EXEC) as usize;
    let read_write = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let anonymous = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
    let huge = anonymous | libc::MAP_HUGETLB as usize;
    let shared = libc::MAP_SHARED as usize;
    vec![
        inside(
            "map-code",
            "maps memory that can be executed",
            libc::SYS_mmap,
            [0, PAGE, executable, anonymous, usize::MAX, 0],
        ),
        inside(
            "map-code-of-file",
            "maps a file that can be executed",
            libc::SYS_mmap,
            [0, PAGE, executable, libc::MAP_PRIVATE as usize, arena, 0],
        ),
        inside("make-code", "makes memory executable", libc::SYS_mprotect, [page, PAGE, executable, 0, 0, 0]),
        inside(
            "make-code-by-key",
            "the same by another call",
            libc::SYS_pkey_mprotect,
            [page, PAGE, executable, usize::MAX, 0, 0],
        ),
        inside(
            "map-shared",
            "shares memory with the coordinator",
            libc::SYS_mmap,
            [0, PAGE, read_write, shared, arena, 0],
        ),
        inside("map-input", "maps the input to write it", libc::SYS_mmap, [0, PAGE, read_write, shared, input, 0]),
        inside("map-huge", "maps a huge page", libc::SYS_mmap, [0, 2 << 20, read_write, huge, usize::MAX, 0]),
        inside(
            "move-memory",
            "moves memory to where it wants",
            libc::SYS_mremap,
            [page, PAGE, PAGE, 3, page + 2 * PAGE, 0],
        ),
        inside(
            "advise-free",
            "lets the kernel take memory later",
            libc::SYS_madvise,
            [page, PAGE, libc::MADV_FREE as usize, 0, 0, 0],
        ),
        inside(
            "advise-remove",
            "removes pages of shared memory",
            libc::SYS_madvise,
            [page, PAGE, libc::MADV_REMOVE as usize, 0, 0, 0],
        ),
        inside("lock-memory", "locks memory", libc::SYS_mlock, [page, PAGE, 0, 0, 0, 0]),
        inside("file-in-memory", "makes a file in memory", libc::SYS_memfd_create, [address(c"x"), 0, 0, 0, 0, 0]),
        inside("secret-memory", "makes memory that the kernel cannot see", libc::SYS_memfd_secret, [0; 6]),
        attempt(
            Aim::Granted,
            "take-memory",
            "takes 32 TiB of memory",
            libc::SYS_mmap,
            [0, TOO_MUCH, read_write, anonymous, usize::MAX, 0],
        ),
    ]
}
