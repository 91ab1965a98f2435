//! Which places webhooks may reach. A tenant names the place and the server connects to it, from where it is: so that nobody looks
//! by this into networks that are not open to everybody, only public addresses are reached, and those that the operator lists.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::Uri;
use axum::http::uri::Authority;

use crate::network::Networks;

/// Longest place.
const MOST_BYTES: usize = 2048;

/// What a place may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Target {
    /// It is no place of the web.
    #[error("a place is written as https://example.org/path, without a name or a password in it")]
    Unreadable,
    /// Everybody on the way could read and change what is sent.
    #[error("the place is not https: that is only for networks that the operator has listed")]
    Plain,
    /// It is inside.
    #[error("the place has an address that is not public, and not one that the operator has listed")]
    Inside,
}

impl Networks {
    /// Whether an address may be reached, with TLS or without.
    #[must_use]
    pub fn allow(&self, address: IpAddr, is_secret: bool) -> bool {
        self.lists(address) || (is_secret && is_public(address))
    }

    /// Looks at a place as it is written; what its name means is looked at when something is sent there.
    ///
    /// # Errors
    /// When nothing will ever be sent there.
    pub fn check(&self, url: &str) -> Result<(), Target> {
        if url.len() > MOST_BYTES || url.contains('#') || !url.is_ascii() {
            return Err(Target::Unreadable);
        }
        let uri: Uri = url.parse().map_err(|_| Target::Unreadable)?;
        let is_secret = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(Target::Unreadable),
        };
        let authority = uri.authority().ok_or(Target::Unreadable)?;
        if authority.as_str().contains('@') || authority.host().is_empty() || !has_port(authority) {
            return Err(Target::Unreadable);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(address) if self.allow(address, is_secret) => Ok(()),
            Ok(address) if !is_secret && is_public(address) => Err(Target::Plain),
            Ok(_) => Err(Target::Inside),
            // Where nothing is listed, no name can mean a place that is.
            Err(_) if !is_secret && self.0.is_empty() => Err(Target::Plain),
            Err(_) => Ok(()),
        }
    }
}

/// Whether a place has a port that there is, or names none.
fn has_port(authority: &Authority) -> bool {
    let behind = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    matches!(behind, "" | ":") || authority.port_u16().is_some_and(|port| port != 0)
}

/// Whether an address is one of the whole Internet, by the registries of addresses with a special purpose (RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_4(address),
        IpAddr::V6(address) => is_public_6(address),
    }
}

fn is_public_4(address: Ipv4Addr) -> bool {
    let special: [(u32, u32); 9] = [
        (0x0000_0000, 8),  // 0.0.0.0/8: this network
        (0x6440_0000, 10), // 100.64.0.0/10: behind a provider's translation of addresses
        (0xc000_0000, 24), // 192.0.0.0/24: of protocols
        (0xc000_0200, 24), // 192.0.2.0/24: documentation, as the two others
        (0xc633_6400, 24), // 198.51.100.0/24
        (0xcb00_7100, 24), // 203.0.113.0/24
        (0xc058_6300, 24), // 192.88.99.0/24: relays of 6to4
        (0xc612_0000, 15), // 198.18.0.0/15: benchmarks
        (0xf000_0000, 4),  // 240.0.0.0/4: reserved, and broadcast
    ];
    let bits = address.to_bits();
    let is_special = special.iter().any(|(network, length)| (bits ^ network) >> (32 - length) == 0);
    !(is_special || address.is_loopback() || address.is_private() || address.is_link_local() || address.is_multicast())
}

fn is_public_6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    // Only these are given out; the rest is for local use, for groups, or wraps an older address.
    let is_given_out = parts[0] & 0xe000 == 0x2000;
    let is_special = matches!(
        parts,
        [0x2001, 0x0000..=0x01ff, ..] // protocols, and addresses that wrap others (Teredo)
            | [0x2001, 0x0db8, ..]    // documentation
            | [0x3fff, 0x0000..=0x0fff, ..]
            | [0x2002, ..] // 6to4 wraps others
    );
    is_given_out && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &str) -> Networks {
        list.parse().expect("networks")
    }

    #[test]
    fn what_is_inside_is_not_reached_in_whatever_form_it_is_written() {
        for url in [
            "https://127.0.0.1/",
            "https://127.8.8.8:8443/x",
            "https://10.1.2.3/",
            "https://172.31.255.255/",
            "https://192.168.0.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://100.64.0.1/",
            "https://0.0.0.0/",
            "https://255.255.255.255/",
            "https://224.0.0.1/",
            "https://198.19.0.1/",
            "https://[::1]/",
            "https://[::]/",
            "https://[fe80::1]/",
            "https://[fd00::1]/",
            "https://[ff02::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:a00:1]/",
            "https://[::127.0.0.1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[2002:7f00:1::]/",
            "https://[2001:0:1::1]/",
        ] {
            assert_eq!(networks("").check(url), Err(Target::Inside), "{url}");
        }
        for url in ["https://example.org/x?y=z", "https://8.8.8.8:65535/", "https://[2606:4700::1111]:8443/"] {
            assert_eq!(networks("").check(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for url in [
            "",
            "example.org",
            "ftp://example.org/",
            "file:///etc/passwd",
            "https://",
            "https://name:password@example.org/",
            "https://good.example@127.0.0.1/",
            "https://example.org/#x",
            "https://exämple.org/",
            "https://example.org/a b",
            "https://example.org:99999/",
            "https://example.org:65536/",
            "https://example.org:0/",
            "https://example.org:-1/",
            "https://example.org:x/",
            "https://[2606:4700::1111]:99999/",
            "http://10.0.0.1:99999/",
            &format!("https://example.org/{}", "x".repeat(MOST_BYTES)),
        ] {
            assert_eq!(networks("10.0.0.0/8").check(url), Err(Target::Unreadable), "{url}");
        }
        assert_eq!(networks("").check("http://example.org/"), Err(Target::Plain));
        assert_eq!(networks("10.0.0.0/8").check("http://8.8.8.8/"), Err(Target::Plain));
    }

    #[test]
    fn the_operator_lists_networks_and_no_more_than_these_are_reached() {
        let listed = networks("127.0.0.0/8 fd00:1::/32 192.168.7.7");
        for url in ["http://127.0.0.1:9/", "https://[::ffff:127.1.1.1]/", "http://[fd00:1::9]/", "https://192.168.7.7/"]
        {
            assert_eq!(listed.check(url), Ok(()), "{url}");
        }
        for url in ["https://10.0.0.1/", "http://[fd00:2::9]/", "https://192.168.7.8/", "https://[::1]/"] {
            assert_eq!(listed.check(url), Err(Target::Inside), "{url}");
        }
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(listed.allow(address("127.0.0.1"), false) && !listed.allow(address("8.8.8.8"), false));
        assert!(
            networks("0.0.0.0/0").allow(address("10.0.0.1"), false) && !networks("0.0.0.0/0").lists(address("::1"))
        );
    }
}
