//! The allocator of the whole program: the system's own, and in a worker a word on its end.
//!
//! A worker that gets no memory for its own needs is lost: most callers abort then, which looks like any other crash.
//! So such a process, once it has called [`report_failure_on`], says why and exits. That also ends it where the caller
//! could have coped (`Vec::try_reserve`, and what wasmtime does when it makes an instance): whoever is refused once has
//! no memory for what follows either. A process that decodes what strangers wrote, and is asked for sizes that they
//! chose, should cope instead, and not call it.

use std::alloc::{GlobalAlloc, Layout, System};

use crate::last_words::{LastWords, Occasion};

/// To be made the program's `#[global_allocator]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reporting;

static FAILURE: Occasion = Occasion::new();

/// From now on, this process ends with these words when it gets no memory. Only with [`Reporting`] as its allocator.
pub fn report_failure_on(words: LastWords) {
    FAILURE.prepare(words);
}

/// From now on, the system's allocator makes no further arena. With one thread it makes one only when the first has come to
/// its limit; to decide on that, and to give memory back afterwards, it looks for cores and settings by name, which
/// looks like an attack in a process that has no names any more.
pub(crate) fn keep_to_one_arena() {
    // SAFETY: sets a number that the allocator reads; there is one thread.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1)
    };
}

/// Gives the pages of the heap on which nothing lies back to the system: for a process that needed memory to begin and will
/// be idle with less.
pub fn give_back() {
    // SAFETY: frees what is free already; nothing that was given out is touched.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Passes on what the system gave, if it is something.
fn checked(place: *mut u8) -> *mut u8 {
    if place.is_null() {
        FAILURE.come();
    }
    place
}

// SAFETY: all that is given out comes from `System`, unchanged, which upholds the contract.
unsafe impl GlobalAlloc for Reporting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the contract of `GlobalAlloc`, which is passed on as it is.
        checked(unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above; `place` came from `System`.
        unsafe { System.dealloc(place, layout) };
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        checked(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`.
        checked(unsafe { System.realloc(place, layout, size) })
    }
}
