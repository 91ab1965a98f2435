//! Attempts to talk: to ports and sockets of this machine, to the kernel, to the machine below.

use libc::c_long;

use super::raw::call;
use super::scene::Scene;
use super::{Aim, Attempt, attempt, steps};

/// One byte to an address, without waiting.
const DO_NOT_WAIT: usize = (libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) as usize;

pub(super) fn list(scene: &Scene) -> Vec<Attempt> {
    let Scene { buffer, socket, control, .. } = *scene;
    let inside = |name, about, number, arguments| attempt(Aim::Inside, name, about, number, arguments);
    let kind = |family: i32, kind: i32| [family as usize, kind as usize, 0, 0, 0, 0];
    let outside = |name, about, function| steps(Aim::Outside, name, about, function);
    let strange = libc::MSG_OOB as usize;
    vec![
        outside("connect-tcp", "connects to a port of this machine", |scene| {
            connect(libc::AF_INET, libc::SOCK_STREAM, scene.tcp)
        }),
        outside("send-udp", "sends a datagram to this machine", send_udp),
        outside("connect-abstract", "connects to an abstract socket", |scene| {
            connect(libc::AF_UNIX, libc::SOCK_STREAM, scene.abstract_socket)
        }),
        attempt(
            Aim::Outside,
            "packets",
            "listens to all packets",
            libc::SYS_socket,
            kind(libc::AF_PACKET, libc::SOCK_RAW),
        ),
        attempt(
            Aim::Outside,
            "raw-packets",
            "makes packets of its own",
            libc::SYS_socket,
            [libc::AF_INET as usize, libc::SOCK_RAW as usize, 255, 0, 0, 0],
        ),
        inside("socket-tcp", "makes a TCP socket", libc::SYS_socket, kind(libc::AF_INET, libc::SOCK_STREAM)),
        inside("socket-udp", "makes a UDP socket", libc::SYS_socket, kind(libc::AF_INET, libc::SOCK_DGRAM)),
        inside("socket-tcp6", "makes a TCP socket of IPv6", libc::SYS_socket, kind(libc::AF_INET6, libc::SOCK_STREAM)),
        inside("socket-unix", "makes a UNIX socket", libc::SYS_socket, kind(libc::AF_UNIX, libc::SOCK_STREAM)),
        inside(
            "socket-pair",
            "makes a pair of sockets",
            libc::SYS_socketpair,
            [libc::AF_UNIX as usize, libc::SOCK_STREAM as usize, 0, buffer, 0, 0],
        ),
        inside(
            "socket-netlink",
            "talks to the kernel by netlink",
            libc::SYS_socket,
            kind(libc::AF_NETLINK, libc::SOCK_RAW),
        ),
        inside("socket-crypto", "lets the kernel encrypt", libc::SYS_socket, kind(libc::AF_ALG, libc::SOCK_SEQPACKET)),
        inside("socket-vsock", "talks to the machine below", libc::SYS_socket, kind(libc::AF_VSOCK, libc::SOCK_STREAM)),
        inside("connect", "connects a socket", libc::SYS_connect, [socket, buffer, 2, 0, 0, 0]),
        inside("bind", "names a socket", libc::SYS_bind, [socket, buffer, 2, 0, 0, 0]),
        inside("listen", "listens on its control socket", libc::SYS_listen, [control, 1, 0, 0, 0, 0]),
        inside(
            "send-elsewhere",
            "sends on another socket",
            libc::SYS_sendmsg,
            [socket, buffer, libc::MSG_NOSIGNAL as usize, 0, 0, 0],
        ),
        inside(
            "receive-elsewhere",
            "receives on another socket",
            libc::SYS_recvmsg,
            [socket, buffer, libc::MSG_CMSG_CLOEXEC as usize | DO_NOT_WAIT, 0, 0, 0],
        ),
        inside("send-strangely", "sends out of order", libc::SYS_sendmsg, [control, buffer, strange, 0, 0, 0]),
        inside("write-control", "writes to its control socket", libc::SYS_write, [control, buffer, 1, 0, 0, 0]),
        inside(
            "socket-option",
            "sets an option of its control socket",
            libc::SYS_setsockopt,
            [control, 1, 8, buffer, 4, 0],
        ),
        inside("peer", "asks who is at the other end", libc::SYS_getsockopt, [control, 1, 17, buffer, buffer + 64, 0]),
    ]
}

fn new_socket(family: i32, kind: i32, then: impl FnOnce(usize) -> c_long) -> c_long {
    let socket = call(libc::SYS_socket, [family as usize, kind as usize, 0, 0, 0, 0]);
    if socket < 0 { socket } else { then(socket as usize) }
}

fn connect(family: i32, kind: i32, (address, len): (usize, usize)) -> c_long {
    new_socket(family, kind, |socket| call(libc::SYS_connect, [socket, address, len, 0, 0, 0]))
}

fn send_udp(scene: &Scene) -> c_long {
    let (address, len) = scene.udp;
    new_socket(libc::AF_INET, libc::SOCK_DGRAM, |socket| {
        call(libc::SYS_sendto, [socket, scene.buffer, 1, DO_NOT_WAIT, address, len])
    })
}
