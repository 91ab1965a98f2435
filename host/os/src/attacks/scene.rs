//! What attempts need, made as long as everything is allowed. It is leaked: the process ends soon.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::ptr;

use super::raw::call;
use super::victim::Spot;

pub(super) const PAGE: usize = 4096;

/// Pages that attempts may move and change.
const PAGES: usize = 4;

/// A limit that is higher than that of any worker, and lower than what programs are started with.
pub(super) static LIMIT: [u64; 2] = [4096, 4096];

/// Bytes of an address of an IPv4 socket.
const INET_BYTES: usize = size_of::<libc::sockaddr_in>();

/// What the attempts are about: descriptors as a worker has them, a page, buffers, and the way to a victim.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scene {
    pub(super) victim: usize,
    /// The control socket.
    pub(super) control: usize,
    /// Where results go: a file in memory whose size is sealed.
    pub(super) arena: usize,
    /// A sealed file in memory.
    pub(super) input: usize,
    /// The first of some pages of this process that can be read and written.
    pub(super) page: usize,
    /// A page of zeros: an empty answer, path or record of any call.
    pub(super) buffer: usize,
    /// Vectors of eight bytes: in this process, and the victim's secret.
    pub(super) own: usize,
    pub(super) its: usize,
    /// A socket that is not the control socket.
    pub(super) socket: usize,
    /// Addresses of the victim's ears, each with its length.
    pub(super) tcp: (usize, usize),
    pub(super) udp: (usize, usize),
    pub(super) abstract_socket: (usize, usize),
    /// The name of the victim's key.
    pub(super) key: usize,
    /// A record for `perf_event_open`: a clock of software, in the program alone.
    pub(super) event: usize,
    /// A record for `openat2` that asks for nothing special: all zeros but long enough.
    pub(super) how: usize,
    /// A message that carries the arena.
    pub(super) message: usize,
}

/// Descriptors that a scene has open, besides the standard streams and the control socket.
pub(super) const DESCRIPTORS: u64 = 3;

impl Scene {
    /// A scene in which no attempt can be made: for those who want to know which there are.
    #[must_use]
    pub fn blank() -> Self {
        Self::default()
    }

    /// Prepares everything. To be called as long as everything is allowed.
    #[must_use]
    pub fn prepare(victim: Spot, control: i32, arena: OwnedFd, input: OwnedFd) -> Self {
        let (read, write) = (libc::PROT_READ as usize, libc::PROT_WRITE as usize);
        let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
        let page = call(libc::SYS_mmap, [0, PAGES * PAGE, read | write, flags, usize::MAX, 0]);
        let socket = call(libc::SYS_socket, [libc::AF_UNIX as usize, libc::SOCK_DGRAM as usize, 0, 0, 0, 0]);
        let buffer = leak(vec![0_u8; PAGE]);
        let vector = |at| leak(vec![libc::iovec { iov_base: ptr::with_exposed_provenance_mut(at), iov_len: 8 }]);
        let (arena_number, input_number) = (arena.as_raw_fd(), input.as_raw_fd());
        std::mem::forget((arena, input));
        Self {
            victim: victim.process as usize,
            control: control as usize,
            arena: arena_number as usize,
            input: input_number as usize,
            page: page as usize,
            buffer,
            own: vector(buffer),
            its: vector(victim.secret),
            socket: socket as usize,
            tcp: (inet(victim.tcp), INET_BYTES),
            udp: (inet(victim.udp), INET_BYTES),
            abstract_socket: unix(&victim.name()),
            key: leak([victim.name().as_bytes(), b"\0"].concat()),
            event: event(),
            how: buffer,
            message: message(buffer, arena_number),
        }
    }
}

/// Leaks a list and tells where it is.
fn leak<T>(list: Vec<T>) -> usize {
    Box::leak(list.into_boxed_slice()).as_mut_ptr().expose_provenance()
}

fn inet(port: u16) -> usize {
    leak(vec![libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
        sin_zero: [0; 8],
    }])
}

/// The address of an abstract socket: its family, a zero byte, the name.
fn unix(name: &str) -> (usize, usize) {
    let mut bytes = (libc::AF_UNIX as libc::sa_family_t).to_ne_bytes().to_vec();
    bytes.push(0);
    bytes.extend(name.bytes());
    let len = bytes.len();
    (leak(bytes), len)
}

/// The first version of `perf_event_attr`, in words: kind 1 (software) and its size, event 0 (a clock), then, three words
/// on, flags that leave out the kernel and the hypervisor.
fn event() -> usize {
    const BYTES: u64 = 64;
    const WITHOUT_KERNEL: u64 = 1 << 5 | 1 << 6;
    let mut words = vec![0_u64; 8];
    words[0] = 1 | BYTES << 32;
    words[5] = WITHOUT_KERNEL;
    leak(words)
}

/// One byte, and a descriptor.
fn message(buffer: usize, descriptor: i32) -> usize {
    const SPACE: usize = 24;
    const USED: usize = 20;
    // The header is three words: the length, and level and kind in one; the descriptor follows.
    let kind = libc::SOL_SOCKET as u64 | (libc::SCM_RIGHTS as u64) << 32;
    let control = leak(vec![USED as u64, kind, u64::from(descriptor.cast_unsigned())]);
    let vector = leak(vec![libc::iovec { iov_base: ptr::with_exposed_provenance_mut(buffer), iov_len: 1 }]);
    // The record in words, as the kernel reads it on 64-bit machines.
    leak(vec![0, 0, vector, 1, control, SPACE, 0])
}
