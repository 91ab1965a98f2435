//! SHA-256 of contents, beside the BLAKE3 under which they are kept: others name contents by it.

use std::fmt;
use std::str::FromStr;

use super::Digest;

/// The SHA-256 of a content, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sha256(pub [u8; 32]);

#[cfg(feature = "http")]
impl Sha256 {
    /// That of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut digest = [0; 32];
        digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
        Self(digest)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", blake3::Hash::from_bytes(self.0).to_hex())
    }
}

/// What a content is asked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContentName {
    /// What it is kept under.
    Blake3(Digest),
    /// The other one.
    Sha256(Sha256),
}

/// A text that names no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest is blake3: or sha256:, and 64 hexadecimal digits in lower case")]
pub struct ContentNameError;

impl FromStr for ContentName {
    type Err = ContentNameError;

    fn from_str(text: &str) -> Result<Self, ContentNameError> {
        let Some(hex) = text.strip_prefix("sha256:") else {
            return text.parse().map(Self::Blake3).map_err(|_| ContentNameError);
        };
        // One content has one name of each kind.
        if hex.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(ContentNameError);
        }
        let hash = blake3::Hash::from_hex(hex).map_err(|_| ContentNameError)?;
        Ok(Self::Sha256(Sha256(*hash.as_bytes())))
    }
}

impl fmt::Display for ContentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blake3(digest) => digest.fmt(f),
            Self::Sha256(digest) => digest.fmt(f),
        }
    }
}

impl serde::Serialize for ContentName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for ContentName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Computes one, while a content is written.
#[cfg(feature = "http")]
#[derive(Clone)]
pub(super) struct Hasher(ring::digest::Context);

#[cfg(feature = "http")]
impl Hasher {
    pub(super) fn new() -> Self {
        Self(ring::digest::Context::new(&ring::digest::SHA256))
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn sha256(&self) -> Option<Sha256> {
        self.0.clone().finish().as_ref().try_into().ok().map(Sha256)
    }
}

/// Computes nothing: nobody is there who could ask for it.
#[cfg(not(feature = "http"))]
#[derive(Clone)]
pub(super) struct Hasher;

#[cfg(not(feature = "http"))]
impl Hasher {
    pub(super) fn new() -> Self {
        Self
    }

    #[expect(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "it stands for one that computes")]
    pub(super) fn update(&mut self, _: &[u8]) {}

    #[expect(clippy::unused_self, reason = "it stands for one that computes")]
    pub(super) fn sha256(&self) -> Option<Sha256> {
        None
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_in_one_way() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let named: ContentName = empty.parse().expect("a name");
        assert!(matches!(named, ContentName::Sha256(_)) && named.to_string() == empty);
        let digest = Digest::of(b"");
        assert_eq!(digest.to_string().parse(), Ok(ContentName::Blake3(digest)));
        let others = [empty.to_uppercase(), empty.replace("sha256:", ""), format!("{empty}0"), "sha256:".to_owned()];
        for other in others {
            assert_eq!(other.parse::<ContentName>(), Err(ContentNameError), "{other}");
        }
    }

    #[cfg(feature = "http")]
    #[test]
    fn it_is_that_of_all_bytes() {
        let mut hasher = Hasher::new();
        hasher.update(b"a");
        hasher.update(b"bc");
        let abc = hasher.sha256().expect("computed").to_string();
        assert_eq!(abc, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
