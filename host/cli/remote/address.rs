//! Which service, and what it is shown: from flags, or from the environment.

use std::fs;
use std::path::PathBuf;

use crate::args::ServerArguments;
use crate::exit_code::Failure;
use crate::report;

/// Where the service is.
const SERVER: &str = "TASKHOST_SERVER";
/// The file of the token.
const TOKEN_FILE: &str = "TASKHOST_TOKEN_FILE";
/// The file of the certificates.
const SERVER_CA: &str = "TASKHOST_SERVER_CA";

/// A service, and a token for it.
pub(crate) struct Address {
    /// `https://host:port`, without a slash at its end.
    pub(super) url: String,
    pub(super) token: String,
    /// Who vouches for the service: PEM, when not those whom everybody trusts.
    pub(super) trusted: Option<Vec<u8>>,
    /// What to change when something cannot be had there.
    pub(super) said_by: &'static str,
}

/// A variable that is set to something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Address {
    /// The service that is meant; `None` for this machine.
    pub(crate) fn of(arguments: &ServerArguments) -> Result<Option<Self>, Failure> {
        let (url, said_by) = match &arguments.server {
            Some(url) => (Some(url.clone()).filter(|url| !url.is_empty()), "--server"),
            None => (variable(SERVER), SERVER),
        };
        let Some(url) = url else {
            let other = arguments.token_file.as_ref().map(|_| "--token-file");
            let other = other.or(arguments.server_ca.as_ref().map(|_| "--server-ca"));
            // Of the variables this is no error: they may stand there for other runs.
            return match other {
                Some(flag) => Err(Failure::usage(format!("{flag} is for a service: name it with --server URL"))),
                None => Ok(None),
            };
        };
        let url = check(&url)?;
        let path = arguments.token_file.clone().or_else(|| variable(TOKEN_FILE).map(PathBuf::from));
        let Some(path) = path else {
            return Err(Failure::usage(format!(
                "{url} wants a token: name the file that it is in with --token-file FILE, or in {TOKEN_FILE}"
            )));
        };
        let token = fs::read_to_string(&path);
        let token = token.map_err(|error| Failure::input(format!("the token file {}: {error}", path.display())))?;
        let token = token.trim().to_owned();
        if token.is_empty() || token.contains(|sign: char| !sign.is_ascii_graphic()) {
            return Err(Failure::input(format!("the token file {} holds no token", path.display())));
        }
        let ca = arguments.server_ca.clone().or_else(|| variable(SERVER_CA).map(PathBuf::from));
        let read = |path: PathBuf| {
            fs::read(&path).map_err(|error| Failure::input(format!("the certificates {}: {error}", path.display())))
        };
        Ok(Some(Self { url, token, trusted: ca.map(read).transpose()?, said_by }))
    }

    /// The one that is meant, for a command that makes no sense without.
    pub(super) fn required(arguments: &ServerArguments) -> Result<Self, Failure> {
        let missing = || Failure::usage(format!("name the service: --server URL, or {SERVER} in the environment"));
        Self::of(arguments)?.ok_or_else(missing)
    }
}

/// Takes nothing for a place of a service but the place of a service.
fn check(url: &str) -> Result<String, Failure> {
    let wrong = |why: &str| Failure::usage(format!("--server {url}: {why}, such as https://jobs.example.org:8420"));
    let Some((scheme @ ("http" | "https"), rest)) = url.split_once("://") else {
        return Err(wrong("write a URL that begins with https:// or http://"));
    };
    let host = rest.trim_end_matches('/');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]%/~".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_plain) {
        return Err(wrong("write the place of the service, and nothing else"));
    }
    if scheme == "http" && !is_loopback(host) {
        report::message("warning", &format!("{url}: whoever is on the way can read the token and the results"));
    }
    Ok(format!("{scheme}://{host}"))
}

fn is_loopback(host: &str) -> bool {
    let host = host.split('/').next().unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_of_a_service_is_one_and_nothing_else() {
        for (url, is) in [
            ("http://127.0.0.1:8420", Some("http://127.0.0.1:8420")),
            ("https://jobs.example.org/", Some("https://jobs.example.org")),
            ("https://example.org/jobs/", Some("https://example.org/jobs")),
            ("http://[::1]:80", Some("http://[::1]:80")),
            ("jobs.example.org", None),
            ("ftp://x", None),
            ("https://", None),
            ("https://anna:secret@x", None),
            ("https://x?y", None),
            ("https://x y", None),
        ] {
            assert_eq!(check(url).ok().as_deref(), is, "{url}");
        }
        assert!(is_loopback("localhost:1") && is_loopback("[::1]:1") && !is_loopback("10.0.0.1:1"));
    }
}
