//! The control socket: SOCK_SEQPACKET, where the kernel keeps the boundaries of messages and carries descriptors.
//!
//! An empty message cannot be told from the end of the connection, so none is ever sent, and a peer that sends one is
//! treated as gone.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// Most descriptors in one message: a start-up message carries three, and nine when the user gives all that can be given.
pub const DESCRIPTORS: usize = 12;

/// Room for the descriptors of one message.
const CONTROL_BYTES: usize = rustix::cmsg_space!(ScmRights(DESCRIPTORS));

/// Whether descriptors that come with a message are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptors {
    /// At most [`DESCRIPTORS`] in a message.
    Accept,
    /// None: the kernel drops them before they reach this process, and the message is an error.
    Refuse,
}

/// A message that was received.
#[derive(Debug, Default)]
pub struct Received {
    /// Its length in the buffer.
    pub len: usize,
    /// The descriptors that came with it, close-on-exec.
    pub fds: Vec<OwnedFd>,
    /// The other end is closed; there is no message, and there will be none.
    pub closed: bool,
}

/// Why a message was not sent or received.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The other end is closed: its process is gone.
    #[error("the other end of the control socket is closed")]
    Closed,
    /// The message is longer than the buffer, or than the socket carries.
    #[error("a message is too long for the control socket")]
    TooLong,
    /// The peer sent more descriptors than are taken here. They are closed.
    #[error("a message came with descriptors that are not taken here")]
    UnwantedDescriptors,
    /// A message needs a byte, and at most [`DESCRIPTORS`] descriptors.
    #[error("a message of {bytes} bytes with {descriptors} descriptors cannot be sent")]
    Unsendable {
        /// Its length.
        bytes: usize,
        /// Its descriptors.
        descriptors: usize,
    },
    /// Anything else.
    #[error("the control socket failed: {0}")]
    Io(#[from] io::Error),
}

/// One end of a control socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
}

impl Socket {
    /// Both ends, close-on-exec.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self { fd: one }, Self { fd: other }))
    }

    /// The socket that the parent put at [`crate::spawn::SOCKET_FD`]. Only the first call gets it.
    ///
    /// # Errors
    /// When there is no such descriptor or it is not a control socket, or when it was taken already.
    pub fn inherited() -> io::Result<Self> {
        static TAKEN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
        if TAKEN.swap(true, std::sync::atomic::Ordering::AcqRel) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the inherited socket was taken already"));
        }
        // SAFETY: only looked at here; a closed number gives an error.
        let fd = unsafe { BorrowedFd::borrow_raw(crate::spawn::SOCKET_FD) };
        if rustix::net::sockopt::socket_type(fd)? != SocketType::SEQPACKET {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "descriptor 3 is not a control socket"));
        }
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
        // SAFETY: the descriptor is open, as was just seen, and the flag above makes this its only owner: a worker's
        // start-up takes it before anything else opens descriptors.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(crate::spawn::SOCKET_FD) } })
    }

    /// The socket of a process that was forked, which the steps that made it a worker have put in place.
    ///
    /// # Errors
    /// When they have not.
    pub(crate) fn placed() -> io::Result<Self> {
        // SAFETY: only looked at here; a closed number gives an error.
        let fd = unsafe { BorrowedFd::borrow_raw(crate::spawn::SOCKET_FD) };
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
        // SAFETY: open, as was just seen. What had the number before, the fork server's own socket, belongs to code that never
        // runs again in this process.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(crate::spawn::SOCKET_FD) } })
    }

    /// Sends a message, waiting for room.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), SocketError> {
        self.send_with(bytes, fds, SendFlags::NOSIGNAL).map(drop)
    }

    /// Sends a message if there is room for it; `false` when there is none.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub fn try_send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<bool, SocketError> {
        self.send_with(bytes, fds, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
    }

    /// Receives a message into `buffer`, waiting for one.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub fn recv(&self, buffer: &mut [u8], descriptors: Descriptors) -> Result<Received, SocketError> {
        self.recv_with(buffer, descriptors, RecvFlags::empty()).map(|received| received.expect("the call waits"))
    }

    /// Receives a message into `buffer`; `None` when there is none yet.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub fn try_recv(&self, buffer: &mut [u8], descriptors: Descriptors) -> Result<Option<Received>, SocketError> {
        self.recv_with(buffer, descriptors, RecvFlags::DONTWAIT)
    }

    fn send_with(&self, bytes: &[u8], fds: &[BorrowedFd<'_>], flags: SendFlags) -> Result<bool, SocketError> {
        if bytes.is_empty() || fds.len() > DESCRIPTORS {
            return Err(SocketError::Unsendable { bytes: bytes.len(), descriptors: fds.len() });
        }
        loop {
            let mut space = [MaybeUninit::uninit(); CONTROL_BYTES];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !fds.is_empty() {
                let pushed = control.push(SendAncillaryMessage::ScmRights(fds));
                debug_assert!(pushed, "the number was checked above");
            }
            match rustix::net::sendmsg(&self.fd, &[IoSlice::new(bytes)], &mut control, flags) {
                // A packet is sent whole or not at all.
                Ok(_) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => return Err(SocketError::Closed),
                Err(Errno::MSGSIZE) => return Err(SocketError::TooLong),
                Err(errno) => return Err(SocketError::Io(errno.into())),
            }
        }
    }

    fn recv_with(
        &self,
        buffer: &mut [u8],
        descriptors: Descriptors,
        flags: RecvFlags,
    ) -> Result<Option<Received>, SocketError> {
        let mut space = [MaybeUninit::uninit(); CONTROL_BYTES];
        let room = match descriptors {
            Descriptors::Accept => &mut space[..],
            Descriptors::Refuse => &mut [],
        };
        let mut control = RecvAncillaryBuffer::new(room);
        let message = loop {
            let mut parts = [IoSliceMut::new(buffer)];
            match rustix::net::recvmsg(&self.fd, &mut parts, &mut control, flags | RecvFlags::CMSG_CLOEXEC) {
                Ok(message) => break message,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::CONNRESET) => return Ok(Some(Received { closed: true, ..Received::default() })),
                Err(errno) => return Err(SocketError::Io(errno.into())),
            }
        };
        let mut fds = Vec::new();
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = part {
                fds.extend(received);
            }
        }
        if message.flags.contains(ReturnFlags::CTRUNC) || fds.len() > DESCRIPTORS {
            return Err(SocketError::UnwantedDescriptors);
        }
        if message.flags.contains(ReturnFlags::TRUNC) {
            return Err(SocketError::TooLong);
        }
        Ok(Some(Received { len: message.bytes, fds, closed: message.bytes == 0 }))
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Socket, Socket) {
        Socket::pair().expect("descriptors are left")
    }

    #[test]
    fn messages_keep_their_boundaries() {
        let (one, other) = pair();
        one.send(b"first", &[]).expect("open");
        one.send(b"second one", &[]).expect("open");
        let mut buffer = [0; 32];
        let received = other.recv(&mut buffer, Descriptors::Refuse).expect("sent");
        assert_eq!(&buffer[..received.len], b"first");
        let received = other.recv(&mut buffer, Descriptors::Refuse).expect("sent");
        assert_eq!(&buffer[..received.len], b"second one");
        assert!(other.try_recv(&mut buffer, Descriptors::Refuse).expect("open").is_none());
    }

    #[test]
    fn descriptors_travel_and_close_on_exec() {
        let (one, other) = pair();
        let (cargo, far) = pair();
        one.send(b"x", &[far.as_fd(); DESCRIPTORS]).expect("open");
        drop(far);
        let mut received = other.recv(&mut [0; 8], Descriptors::Accept).expect("sent");
        assert_eq!(received.fds.len(), DESCRIPTORS);
        let far = Socket { fd: received.fds.remove(0) };
        assert_eq!(rustix::io::fcntl_getfd(&far).expect("open"), rustix::io::FdFlags::CLOEXEC);
        cargo.send(b"through", &[]).expect("open");
        let mut buffer = [0; 8];
        assert_eq!(far.recv(&mut buffer, Descriptors::Refuse).expect("sent").len, 7);
    }

    #[test]
    fn unwanted_descriptors_never_arrive() {
        let (one, other) = pair();
        let (cargo, far) = pair();
        one.send(b"x", &[far.as_fd()]).expect("open");
        drop(far);
        let refused = other.recv(&mut [0; 8], Descriptors::Refuse);
        assert!(matches!(refused, Err(SocketError::UnwantedDescriptors)));
        // No copy of the far end is left anywhere: its peer sees the end.
        assert!(cargo.recv(&mut [0; 8], Descriptors::Refuse).expect("open").closed);
    }

    #[test]
    fn more_descriptors_than_agreed_are_closed() {
        let (one, other) = pair();
        let (cargo, far) = pair();
        // What a hostile peer could send: more than this module's `send` would.
        let fds = [far.as_fd(); DESCRIPTORS + 20];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS + 20))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        rustix::net::sendmsg(&one, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).expect("open");
        drop(far);
        let refused = other.recv(&mut [0; 8], Descriptors::Accept);
        assert!(matches!(refused, Err(SocketError::UnwantedDescriptors)));
        assert!(cargo.recv(&mut [0; 8], Descriptors::Refuse).expect("open").closed);
    }

    #[test]
    fn a_message_longer_than_the_buffer_is_an_error() {
        let (one, other) = pair();
        one.send(&[7; 100], &[]).expect("open");
        assert!(matches!(other.recv(&mut [0; 99], Descriptors::Refuse), Err(SocketError::TooLong)));
    }

    #[test]
    fn a_closed_peer_is_seen_on_both_ways() {
        let (one, other) = pair();
        drop(other);
        assert!(matches!(one.send(b"x", &[]), Err(SocketError::Closed)));
        assert!(one.recv(&mut [0; 8], Descriptors::Refuse).expect("no failure").closed);
    }

    #[test]
    fn a_full_socket_refuses_without_waiting() {
        let (one, other) = pair();
        let message = vec![1; 64 * 1024];
        let mut sent = 0;
        while one.try_send(&message, &[]).expect("open") {
            sent += 1;
        }
        assert!(sent >= 2, "two messages of the largest size fit in the default buffer, not {sent}");
        let mut buffer = vec![0; 64 * 1024];
        other.recv(&mut buffer, Descriptors::Refuse).expect("sent");
        assert!(one.try_send(&message, &[]).expect("open"));
    }

    #[test]
    fn an_empty_message_is_not_sent() {
        let (one, _other) = pair();
        assert!(matches!(one.send(b"", &[]), Err(SocketError::Unsendable { .. })));
    }
}
