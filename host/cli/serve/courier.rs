//! Sends what webhooks are told: one request, to an address that may be reached, without following anything.

use std::io::{self, Read as _};
use std::time::Duration;

use taskhost_service::webhook::{Courier, Letter, Networks, Undelivered};
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// How long a message may take in all.
const TIME: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read, so that whoever answers can end in peace; they are not looked at.
const ANSWER_BYTES: u64 = 4 << 10;

/// Sends messages over the network.
pub(super) struct Web {
    agent: Agent,
}

/// Finds the addresses of a name, and leaves out those that may not be reached. What it returns is what is connected to: a name
/// that means something else the next time is looked at the next time.
#[derive(Debug)]
pub(super) struct Allowed {
    networks: Networks,
    resolver: DefaultResolver,
}

impl Allowed {
    /// Public addresses, and these networks.
    pub(super) fn new(networks: Networks) -> Self {
        Self { networks, resolver: DefaultResolver::default() }
    }
}

/// What stands in the place of an address that may not be reached.
#[derive(Debug, thiserror::Error)]
#[error("it may not be reached")]
struct Inside;

impl Resolver for Allowed {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        // Whoever asked is not told which names there are in the network that the server is in.
        let inside = || ureq::Error::Other(Box::new(Inside));
        let found = self.resolver.resolve(uri, config, timeout).map_err(|error| match error {
            ureq::Error::Timeout(_) => error,
            _ => inside(),
        })?;
        let is_secret = uri.scheme_str() == Some("https");
        let mut allowed = self.empty();
        for address in found.iter().filter(|address| self.networks.allow(address.ip(), is_secret)) {
            allowed.push(*address);
        }
        if allowed.is_empty() { Err(inside()) } else { Ok(allowed) }
    }
}

impl Web {
    /// Reaches public addresses, and these networks.
    pub(super) fn new(networks: Networks) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // What is sent goes where its tenant said, whatever the environment of the server says.
            .proxy(None)
            // A connection that is kept would go around the resolver.
            .max_idle_connections(0)
            .timeout_global(Some(TIME))
            .user_agent(concat!("taskhost/", env!("CARGO_PKG_VERSION")))
            .build();
        let resolver = Allowed::new(networks);
        Self { agent: Agent::with_parts(config, DefaultConnector::default(), resolver) }
    }
}

impl Courier for Web {
    fn deliver(&self, letter: &Letter) -> Result<u16, Undelivered> {
        let mut request = self.agent.post(&letter.url);
        for (name, value) in &letter.head {
            request = request.header(*name, value);
        }
        let mut answer = request.send(letter.body.as_str()).map_err(undelivered)?;
        // However it ends: the status is known.
        let _ = answer.body_mut().as_reader().take(ANSWER_BYTES).read_to_end(&mut Vec::new());
        Ok(answer.status().as_u16())
    }
}

pub(super) fn undelivered(error: ureq::Error) -> Undelivered {
    match error {
        ureq::Error::Other(_) | ureq::Error::HostNotFound => Undelivered::Address,
        ureq::Error::Timeout(_) => Undelivered::Late,
        ureq::Error::ConnectionFailed => Undelivered::Connection,
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::ConnectionReset => Undelivered::Connection,
            io::ErrorKind::TimedOut => Undelivered::Late,
            _ => Undelivered::Other,
        },
        _ => Undelivered::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(networks: &str, url: &str) -> Result<u16, Undelivered> {
        let networks = Networks(networks.split_whitespace().map(|network| network.parse().expect("one")).collect());
        Web::new(networks).deliver(&Letter { url: url.into(), head: Vec::new(), body: "{}".into() })
    }

    #[test]
    fn names_and_addresses_of_what_is_inside_are_not_connected_to() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        listener.set_nonblocking(true).expect("set");
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f000001"] {
            for (scheme, networks) in [("https", ""), ("https", "10.0.0.0/8"), ("http", "10.0.0.0/8")] {
                let sent = send(networks, &format!("{scheme}://{host}:{port}/"));
                assert_eq!(sent, Err(Undelivered::Address), "{scheme}://{host}");
            }
        }
        assert_eq!(listener.accept().expect_err("nobody came").kind(), io::ErrorKind::WouldBlock);
        assert_eq!(send("127.0.0.0/8", "http://nobody.invalid/"), Err(Undelivered::Address));
    }
}
