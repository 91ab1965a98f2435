//! Networks of addresses, as an operator or a tenant lists them: `10.0.0.0/8`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Addresses that begin with the same bits, as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// What is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a network is an address, or the first bits of one: 10.0.0.0/8, fd00::/8, 127.0.0.1")]
pub struct NoNetwork;

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| NoNetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| NoNetwork))?;
        if bits <= most { Ok(Self { address, bits }) } else { Err(NoNetwork) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl TryFrom<String> for Network {
    type Error = NoNetwork;

    fn try_from(text: String) -> Result<Self, NoNetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl Network {
    fn contains(self, other: IpAddr) -> bool {
        let is_same = |one: u128, other: u128, of: u32| {
            let rest = of - u32::from(self.bits);
            one.checked_shr(rest).unwrap_or(0) == other.checked_shr(rest).unwrap_or(0)
        };
        match (self.address, other) {
            (IpAddr::V4(one), IpAddr::V4(other)) => is_same(one.to_bits().into(), other.to_bits().into(), 32),
            (IpAddr::V6(one), IpAddr::V6(other)) => is_same(one.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }

    /// Whether every address of another one is in this one.
    fn covers(self, other: Self) -> bool {
        other.bits >= self.bits && self.contains(other.address)
    }
}

/// A list of networks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Networks(pub Vec<Network>);

impl Networks {
    /// Whether an address is in one of them.
    #[must_use]
    pub fn lists(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }

    /// Whether something is good at an address that is good in these networks, or everywhere when there is none.
    #[must_use]
    pub fn admit(&self, address: IpAddr) -> bool {
        self.0.is_empty() || self.lists(address)
    }

    /// Of what is good in these networks, or everywhere when there is none, where it is to be good that was asked for: nothing
    /// that is asked for is no less. The first network that is in none of these is the error.
    ///
    /// # Errors
    /// When more is asked for.
    pub fn narrow(&self, asked: Self) -> Result<Self, Network> {
        if asked.0.is_empty() {
            return Ok(self.clone());
        }
        match asked.0.iter().find(|network| !self.has(**network)) {
            Some(beyond) => Err(*beyond),
            None => Ok(asked),
        }
    }

    /// Whether what is good in other networks, or everywhere when there is none, is good nowhere else than what is good in these.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        self.0.is_empty() || (!other.0.is_empty() && other.0.iter().all(|network| self.has(*network)))
    }

    fn has(&self, network: Network) -> bool {
        self.0.is_empty() || self.0.iter().any(|own| own.covers(network))
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(Network::to_string).collect();
        f.write_str(&texts.join(" "))
    }
}

impl FromStr for Networks {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        text.split_whitespace().map(Network::from_str).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(text: &str) -> Networks {
        text.parse().expect("networks")
    }

    #[test]
    fn a_network_is_an_address_and_a_number_of_bits() {
        for text in ["10.0.0.0/33", "::/129", "10.0.0/8", "x", "", "10.0.0.0/-1", "10.0.0.0/"] {
            assert_eq!(text.parse::<Network>(), Err(NoNetwork), "{text}");
        }
        for text in ["", "10.0.0.0/8", "10.0.0.0/8 fd00::/8 127.0.0.1/32"] {
            assert_eq!(networks(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_listed_is_admitted_and_everything_where_nothing_is() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let listed = networks("10.0.0.0/8 fd00::/8");
        for (text, is_in) in [
            ("10.255.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("fd12::1", true),
            ("11.0.0.1", false),
            ("fe80::1", false),
            ("::1", false),
        ] {
            assert_eq!((listed.admit(address(text)), networks("").admit(address(text))), (is_in, true), "{text}");
        }
    }

    #[test]
    fn what_is_made_of_networks_is_no_wider() {
        let own = networks("10.0.0.0/8 192.0.2.7");
        for asked in ["10.1.0.0/16", "10.0.0.0/8", "10.1.2.3 192.0.2.7"] {
            assert_eq!(own.narrow(networks(asked)), Ok(networks(asked)), "{asked}");
        }
        assert_eq!(own.narrow(networks("")), Ok(own.clone()));
        for (asked, beyond) in [
            ("10.0.0.0/7", "10.0.0.0/7"),
            ("10.1.0.0/16 11.0.0.0/8", "11.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("192.0.2.0/24", "192.0.2.0/24"),
        ] {
            assert_eq!(own.narrow(networks(asked)), Err(beyond.parse().expect("a network")), "{asked}");
            assert!(!own.cover(&networks(asked)), "{asked}");
        }
        assert!(own.cover(&own) && own.cover(&networks("10.1.2.3")));
        assert!(!own.cover(&networks("")) && networks("").cover(&own) && networks("").cover(&networks("")));
        assert_eq!(networks("").narrow(networks("::/0")), Ok(networks("::/0")));
        assert_eq!(networks("0.0.0.0/0").narrow(networks("8.8.8.8")), Ok(networks("8.8.8.8")));
    }
}
