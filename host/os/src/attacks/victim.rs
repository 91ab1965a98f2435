//! A process outside of the walls that attempts are about: it has a secret, a key, and ears.

use std::ffi::CString;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::raw::{address, call};

/// Something in every process, at the same address in those that are forks.
static SECRET: AtomicU64 = AtomicU64::new(0);

/// Tells several victims of one process apart.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// This process as a victim: as long as this lives, its ears are open.
#[derive(Debug)]
pub struct Victim {
    spot: Spot,
    _tcp: TcpListener,
    _udp: UdpSocket,
    _abstract_socket: UnixListener,
    _key: Option<Key>,
}

/// How a victim can be found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// The process.
    pub(super) process: u32,
    /// The address of its secret.
    pub(super) secret: usize,
    /// Ports of this machine that it listens at.
    pub(super) tcp: u16,
    pub(super) udp: u16,
    /// The number in the name of its abstract socket.
    pub(super) socket: u64,
}

impl Victim {
    /// Opens the ears.
    ///
    /// # Errors
    /// When the machine has no network of its own.
    pub fn open() -> io::Result<Self> {
        let tcp = TcpListener::bind(("127.0.0.1", 0))?;
        let udp = UdpSocket::bind(("127.0.0.1", 0))?;
        let process = std::process::id();
        let socket = NUMBER.fetch_add(1, Ordering::Relaxed);
        let secret = ptr::from_ref(&SECRET).expose_provenance();
        let (tcp_port, udp_port) = (tcp.local_addr()?.port(), udp.local_addr()?.port());
        let spot = Spot { process, secret, tcp: tcp_port, udp: udp_port, socket };
        let abstract_socket = UnixListener::bind_addr(&SocketAddr::from_abstract_name(spot.name())?)?;
        Ok(Self { spot, _tcp: tcp, _udp: udp, _abstract_socket: abstract_socket, _key: Key::add(&spot.name()) })
    }

    /// How it can be found.
    #[must_use]
    pub fn spot(&self) -> Spot {
        self.spot
    }
}

/// A key among those of the session.
#[derive(Debug)]
struct Key(usize);

/// The keys of the session, for any call about keys.
pub(super) const SESSION_KEYS: usize = libc::KEY_SPEC_SESSION_KEYRING as usize;

impl Key {
    /// `None` where there are no keys.
    fn add(name: &str) -> Option<Self> {
        let name = CString::new(name).ok()?;
        let (kind, content) = (address(c"user"), address(c"x"));
        let name = name.as_ptr().expose_provenance();
        let key = call(libc::SYS_add_key, [kind, name, content, 1, SESSION_KEYS, 0]);
        usize::try_from(key).ok().map(Self)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        call(libc::SYS_keyctl, [libc::KEYCTL_UNLINK as usize, self.0, SESSION_KEYS, 0, 0, 0]);
    }
}

impl Spot {
    /// The name of its socket and of its key.
    pub(super) fn name(self) -> String {
        format!("taskhost-attack-{}-{}", self.process, self.socket)
    }

    /// As part of an argument of a program.
    pub(super) fn encode(self) -> String {
        let Self { process, secret, tcp, udp, socket } = self;
        format!("{process},{secret},{tcp},{udp},{socket}")
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let mut fields = text.split(',');
        Some(Self {
            process: fields.next()?.parse().ok()?,
            secret: fields.next()?.parse().ok()?,
            tcp: fields.next()?.parse().ok()?,
            udp: fields.next()?.parse().ok()?,
            socket: fields.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_by_what_is_written_down() {
        let victim = Victim::open().expect("a network of its own");
        let spot = victim.spot();
        assert_eq!(Spot::decode(&spot.encode()), Some(spot));
        assert_eq!(Spot::decode("1,2"), None);
        std::net::TcpStream::connect(("127.0.0.1", spot.tcp)).expect("it listens");
    }
}
