//! What a worker does that behaves.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::ptr;

use taskhost_os::exact::{pread_exact, pwrite_all};
use taskhost_os::socket::{Descriptors, Socket};

use crate::raw::call;

/// Everything that a worker does in its batches. Panics where it cannot.
pub(crate) fn work(socket: &Socket, arena: &OwnedFd) {
    // A message with a descriptor, which is one more than it has.
    let received = socket.recv(&mut [0; 64], Descriptors::Accept).expect("a message");
    assert_eq!(received.fds.len(), 1);
    let second = File::from(received.fds.into_iter().next().expect("one")).try_clone().expect("a descriptor");
    pwrite_all(arena.as_fd(), b"result", 8).expect("it is writable");
    pread_exact(arena.as_fd(), &mut [0; 6], 8).expect("it was written");
    pread_exact(second.as_fd(), &mut [0; 6], 0).expect("it was sent");
    drop(second);
    // Memory comes, moves and goes.
    let mut bytes = vec![1_u8; 300 << 10];
    for _ in 0..8 {
        bytes.extend_from_within(..);
    }
    assert_eq!(std::hint::black_box(&bytes).len(), (300 << 10) << 8);
    drop(bytes);
    let map = std::collections::HashMap::from([(1, 2)]);
    assert_eq!(map.get(&1), Some(&2));
    assert!(std::time::Instant::now().elapsed().as_secs() < 60);
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let clock = libc::CLOCK_MONOTONIC as usize;
    assert_eq!(call(libc::SYS_clock_gettime, [clock, ptr::from_mut(&mut now).addr(), 0, 0, 0, 0]), 0);
    // What the pool asks for is refused, and nothing dies.
    assert_eq!(call(libc::SYS_process_madvise, [arena.as_raw_fd() as usize, 0, 0, 4, 0, 0]), -1);
    assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EPERM));
    assert_eq!(call(libc::SYS_futex, [ptr::from_mut(&mut now).addr(), 1 | 128, 1, 0, 0, 0]), 0);
    assert_eq!(call(libc::SYS_write, [2, 0, 0, 0, 0, 0]), 0);
}
