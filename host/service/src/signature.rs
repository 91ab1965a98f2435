//! Signatures of kernels, as minisign makes them: whose keys are good, and whether one of them has signed a content.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use minisign_verify::PublicKey;

/// Most that is taken of a signature: its comments are for people to read.
pub const SIGNATURE_BYTES: usize = 4096;

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read.
    #[error("{0} cannot be read: {1}")]
    File(PathBuf, io::Error),
    /// It holds something else.
    #[error("{path}:{line}: this is no public key of minisign, which begins with RW")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line of it.
        line: usize,
    },
    /// It holds none, so that no kernel could ever be taken.
    #[error("{0} has no key: `minisign -G` makes one")]
    None(PathBuf),
}

/// Why a signature is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It cannot be read as one.
    #[error("this is no signature of minisign: send the file that `minisign -S` writes, in Base64")]
    Unreadable,
    /// Nobody knows its key.
    #[error("it was made with the key {0}, which the operator does not list")]
    UnknownKey(String),
    /// It was made in the way of old, for which all of a content is held at once.
    #[error("it is one of old, without a hash: sign with minisign 0.11 or newer, or with -H")]
    Legacy,
    /// It is one of another content, or was changed.
    #[error("it is not one of this kernel")]
    Wrong,
    /// The content cannot be read.
    #[error("the kernel cannot be read: {0}")]
    Content(String),
}

/// The keys of those who vouch for kernels, by their numbers.
#[derive(Debug)]
pub struct Keys {
    path: PathBuf,
    current: RwLock<Arc<HashMap<String, PublicKey>>>,
}

/// A signature, and the key that it says it is of.
pub struct Signature {
    /// The number of the key, as minisign writes it.
    pub key: String,
    /// As it came.
    pub text: String,
    signature: minisign_verify::Signature,
    by: PublicKey,
}

/// A signature as it is sent in a header.
#[must_use]
pub fn as_sent(file: &[u8]) -> String {
    BASE64_STANDARD.encode(file)
}

/// The number of a key, which stands behind two letters in keys and in signatures.
fn number(base64: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(base64.trim()).ok()?;
    let number = bytes.get(2..10)?.try_into().ok()?;
    Some(format!("{:016X}", u64::from_le_bytes(number)))
}

fn read(path: &Path) -> Result<HashMap<String, PublicKey>, KeysError> {
    let text = std::fs::read_to_string(path).map_err(|error| KeysError::File(path.to_owned(), error))?;
    let mut keys = HashMap::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        // Several files of minisign, one behind the other.
        if line.is_empty() || line.starts_with('#') || line.starts_with("untrusted comment:") {
            continue;
        }
        let key = number(line).zip(PublicKey::from_base64(line).ok());
        let (number, key) = key.ok_or_else(|| KeysError::Line { path: path.to_owned(), line: at + 1 })?;
        keys.insert(number, key);
    }
    if keys.is_empty() { Err(KeysError::None(path.to_owned())) } else { Ok(keys) }
}

impl Keys {
    /// Reads them.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no key, or something else.
    pub fn load(path: &Path) -> Result<Self, KeysError> {
        let current = RwLock::new(Arc::new(read(path)?));
        Ok(Self { path: path.to_owned(), current })
    }

    /// Reads them again. Kernels that are stored stay.
    ///
    /// # Errors
    /// As at first; those from before are good on.
    pub fn reload(&self) -> Result<(), KeysError> {
        let new = Arc::new(read(&self.path)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// A signature of somebody whose key is known, before there is anything that it could be of. `base64` is all of the file that
    /// minisign writes.
    ///
    /// # Errors
    /// When it is none, or of nobody whose key is known.
    pub fn signature(&self, base64: &[u8]) -> Result<Signature, SignatureError> {
        if base64.len() > SIGNATURE_BYTES * 4 / 3 + 4 {
            return Err(SignatureError::Unreadable);
        }
        let bytes = BASE64_STANDARD.decode(base64).map_err(|_| SignatureError::Unreadable)?;
        let text = String::from_utf8(bytes).map_err(|_| SignatureError::Unreadable)?;
        let signature = minisign_verify::Signature::decode(&text).map_err(|_| SignatureError::Unreadable)?;
        let key = text.lines().nth(1).and_then(number).ok_or(SignatureError::Unreadable)?;
        let keys = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        let by = keys.get(&key).cloned().ok_or_else(|| SignatureError::UnknownKey(key.clone()))?;
        Ok(Signature { key, text, signature, by })
    }
}

impl Signature {
    /// Reads a content to its end.
    ///
    /// # Errors
    /// When it is not signed by this.
    pub fn check(&self, mut content: impl Read) -> Result<(), SignatureError> {
        let mut verifier = self.by.verify_stream(&self.signature).map_err(|error| match error {
            minisign_verify::Error::UnsupportedLegacyMode => SignatureError::Legacy,
            _ => SignatureError::Wrong,
        })?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => verifier.update(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(SignatureError::Content(error.to_string())),
            }
        }
        verifier.finalize().map_err(|_| SignatureError::Wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the documentation of minisign-verify.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const SIGNED: &str = "untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1633700835\tfile:test\tprehashed
wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==
";

    fn keys(text: &str) -> Result<Keys, String> {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("keys");
        std::fs::write(&path, text).expect("written");
        Keys::load(&path).map_err(|error| error.to_string().replace(&path.display().to_string(), "keys"))
    }

    #[test]
    fn what_somebody_has_signed_is_known_by_the_key_and_by_every_byte() {
        let keys = keys(&format!("# ours\nuntrusted comment: minisign public key\n{KEY}\n")).expect("a key");
        let signature = keys.signature(BASE64_STANDARD.encode(SIGNED).as_bytes()).expect("a signature");
        assert_eq!((&*signature.key, &*signature.text), ("E7620F1842B4E81F", SIGNED));
        assert_eq!(signature.check(&b"test"[..]), Ok(()));
        for other in ["", "Test", "test ", "tes"] {
            assert_eq!(signature.check(other.as_bytes()), Err(SignatureError::Wrong), "{other}");
        }
        // Its comment is signed, too.
        let changed = SIGNED.replace("file:test", "file:rest");
        let changed = keys.signature(BASE64_STANDARD.encode(changed).as_bytes()).expect("a signature");
        assert_eq!(changed.check(&b"test"[..]), Err(SignatureError::Wrong));
        // As minisign made them long ago.
        let legacy = SIGNED.replace("\nRUQf", "\nRWQf");
        let legacy = keys.signature(BASE64_STANDARD.encode(legacy).as_bytes()).expect("a signature");
        assert_eq!(legacy.check(&b"test"[..]), Err(SignatureError::Legacy));
    }

    #[test]
    fn what_is_no_signature_of_anybody_known_is_refused_before_there_is_a_content() {
        let own = keys(KEY).expect("a key");
        let long = format!("{SIGNED}{}", "x".repeat(SIGNATURE_BYTES));
        for text in ["", "x", &SIGNED[..200], &long] {
            let refused = own.signature(BASE64_STANDARD.encode(text).as_bytes()).err();
            assert_eq!(refused, Some(SignatureError::Unreadable), "{text}");
        }
        assert_eq!(own.signature(SIGNED.as_bytes()).err(), Some(SignatureError::Unreadable), "not in Base64");
        let other = keys("RWQBAQEBAQEBAXmlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3").expect("a key");
        let refused = other.signature(BASE64_STANDARD.encode(SIGNED).as_bytes()).err();
        assert_eq!(refused, Some(SignatureError::UnknownKey("E7620F1842B4E81F".into())));
    }

    #[test]
    fn a_file_of_keys_has_some_and_nothing_else() {
        assert_eq!(keys("\n# none yet\n").err().as_deref(), Some("keys has no key: `minisign -G` makes one"));
        let wrong = keys(&format!("{KEY}\nRWQx\n")).err();
        assert_eq!(wrong.as_deref(), Some("keys:2: this is no public key of minisign, which begins with RW"));
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("keys");
        assert!(matches!(Keys::load(&path), Err(KeysError::File(..))));
        // One that is spoilt while the server runs leaves what was good.
        std::fs::write(&path, KEY).expect("written");
        let keys = Keys::load(&path).expect("a key");
        std::fs::write(&path, "x").expect("written");
        keys.reload().expect_err("it is no key");
        keys.signature(BASE64_STANDARD.encode(SIGNED).as_bytes()).map(drop).expect("it is good on");
        std::fs::write(&path, "RWQBAQEBAQEBAXmlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3").expect("written");
        keys.reload().expect("another key");
        assert!(keys.signature(BASE64_STANDARD.encode(SIGNED).as_bytes()).is_err());
    }
}
