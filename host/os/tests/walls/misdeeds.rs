//! Ways to come to grief, in debug builds and releases alike.

use std::hint::black_box;

use crate::raw::{call, end};

/// Bytes taken at a time, until there are no more.
const STEP: usize = 64 << 20;

/// An address in the first page.
const NOWHERE: usize = 16;

/// Does it, and does not return.
pub(crate) fn commit(deed: &str) -> ! {
    match deed {
        "segv" => {
            // SAFETY: none; this is to fail. Nothing is ever mapped there.
            unsafe { std::ptr::read_volatile(std::ptr::without_provenance::<u8>(NOWHERE)) };
        }
        "abort" => std::process::abort(),
        "panic" => panic!("a panic was asked for"),
        "exit42" => end(42),
        "exhaust-memory" => exhaust_memory(),
        "overflow-stack" => {
            black_box(deeper(0));
        }
        // What no role needs, and no C library keeps to itself.
        "sys" => {
            call(libc::SYS_getppid, [0; 6]);
        }
        deed => panic!("{deed} is no misdeed"),
    }
    panic!("{deed} was survived");
}

fn exhaust_memory() {
    let mut all = Vec::new();
    loop {
        all.push(black_box(Vec::<u8>::with_capacity(STEP)));
    }
}

fn deeper(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX {
        return 0;
    }
    let frame = black_box([depth; 64]);
    // Something is left to be done afterwards, so that this is no loop.
    black_box(deeper(depth + 1)) ^ frame[0]
}
