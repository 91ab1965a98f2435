//! What is fetched for tenants from elsewhere: where from, and what is asked. It is asked by a [`Fetcher`]: this crate speaks no HTTP
//! as a client.

use std::io::Read;
use std::str::FromStr;

use crate::webhook::Undelivered;

/// Longest place of a content.
const PLACE_BYTES: usize = 4096;

/// A host that the operator lists: `ghcr.io`, or `http://10.0.0.7:5000` for one without TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    scheme: &'static str,
    name: String,
}

/// What is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a host is written as ghcr.io or storage.example.org:5000; with http:// in front when it has no TLS")]
pub struct NoHost;

pub(crate) fn is_host(text: &str) -> bool {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, "443"));
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    !host.is_empty() && host.bytes().all(is_name) && port.parse::<u16>().is_ok()
}

impl FromStr for Host {
    type Err = NoHost;

    fn from_str(text: &str) -> Result<Self, NoHost> {
        let (scheme, name) = text.strip_prefix("http://").map_or(("https", text), |name| ("http", name));
        if is_host(name) { Ok(Self { scheme, name: name.to_owned() }) } else { Err(NoHost) }
    }
}

impl Host {
    /// What it is called, without what it speaks.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What all places begin with that are at it.
    #[must_use]
    pub fn root(&self) -> String {
        format!("{}://{}/", self.scheme, self.name)
    }
}

/// Where a content is, as somebody asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentPlace(String);

/// What is no place of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a content is at https://HOST/PATH, or http:// where the operator lists it so, with at most {PLACE_BYTES} signs"
)]
pub struct NoPlace;

impl FromStr for ContentPlace {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(NoPlace)?;
        let (host, _) = rest.split_once('/').ok_or(NoPlace)?;
        let is_sign = |byte: u8| byte.is_ascii_graphic() && !b"#\\\"<>^`{|}".contains(&byte);
        let is_one = is_host(host) && text.len() <= PLACE_BYTES && text.bytes().all(is_sign);
        if is_one { Ok(Self(text.to_owned())) } else { Err(NoPlace) }
    }
}

impl ContentPlace {
    /// All of it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0
    }

    /// What may be told of it: behind the `?` there may be what opens it.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.0.split('?').next().unwrap_or_default()
    }

    /// The host that it is at, as it is asked for.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.split('/').nth(2).unwrap_or_default()
    }

    /// Whether it is at one of these hosts.
    #[must_use]
    pub fn is_at(&self, hosts: &[Host]) -> bool {
        hosts.iter().any(|host| self.0.starts_with(&host.root()))
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Get<'a> {
    /// Where it is.
    pub url: &'a str,
    /// In which form.
    pub form: &'a str,
    /// What is shown there, and nowhere else.
    pub token: Option<&'a str>,
    /// Whether to go where one is sent on to.
    pub elsewhere: bool,
}

/// What is answered.
pub struct Fetched {
    /// The status.
    pub status: u16,
    /// What it wants to be shown, when it wants anything.
    pub challenge: Option<String>,
    /// What comes.
    pub body: Box<dyn Read + Send>,
}

/// Asks other servers.
pub trait Fetcher: Send + Sync {
    /// Asks for something, and connects to no address that may not be reached.
    ///
    /// # Errors
    /// When there is no answer.
    fn fetch(&self, wanted: Get<'_>) -> Result<Fetched, Undelivered>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Result<ContentPlace, NoPlace> {
        text.parse()
    }

    #[test]
    fn a_content_is_at_a_host_that_is_listed_or_not() {
        let hosts: Vec<Host> =
            ["storage.example.org", "http://10.0.0.7:9000"].iter().map(|text| text.parse().expect("one")).collect();
        for (text, is_listed) in [
            ("https://storage.example.org/a/b?X-Sig=1%2F2&y", true),
            ("http://10.0.0.7:9000/bucket/key", true),
            ("http://storage.example.org/a", false),
            ("https://10.0.0.7:9000/bucket/key", false),
            ("https://storage.example.org:8443/a", false),
            ("https://storage.example.org.evil.example/a", false),
            ("http://10.0.0.7:90000/a", false),
        ] {
            assert_eq!(place(text).is_ok_and(|place| place.is_at(&hosts)), is_listed, "{text}");
        }
    }

    #[test]
    fn a_host_has_no_path_and_nobody_in_front_of_it() {
        for text in ["", "https://ghcr.io", "ghcr.io/x", "http://", "a@b", "GHCR.io"] {
            assert_eq!(text.parse::<Host>(), Err(NoHost), "{text}");
        }
    }

    #[test]
    fn what_may_be_taken_for_another_host_is_no_place() {
        for text in [
            "",
            "ftp://a/b",
            "https://a",
            "https:///b",
            "https://user@a/b",
            "https://A/b",
            "https://a/b#c",
            "https://a/b c",
            "https://a\\@b/c",
            "https://a/\r\nHost: b",
            "https://[::1]/b",
            "https://a/ü",
        ] {
            assert_eq!(place(text), Err(NoPlace), "{text}");
        }
        let long = format!("https://a/{}", "b".repeat(PLACE_BYTES));
        assert_eq!(place(&long), Err(NoPlace));
    }

    #[test]
    fn what_opens_a_content_is_not_told() {
        assert_eq!(place("https://a/b?token=c").expect("one").shown(), "https://a/b");
    }
}
