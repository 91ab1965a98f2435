//! Tokens: what a caller shows, and what is kept of it.
//!
//! A token is `th_KEY_SECRET_CHECK`. The key finds it, the secret proves it, the check tells a mistyped token, and a scanner
//! that looks for secrets in files, what it is. Of the secret only a hash is kept, which is enough for 256 random bits.

use subtle::ConstantTimeEq as _;

use crate::network::Networks;
use crate::random;
use crate::tenant::{Scopes, TenantId};
use crate::time::Moment;

/// Letters of a key: few, since it is no secret.
const KEY: usize = 10;
/// Letters of a secret: 256 bits of them.
const SECRET: usize = 43;
/// Digits of the check.
const CHECK: usize = 8;

/// A token as its owner has it. It is never written to a log: it has no `Debug` and no `Display`.
pub struct Token {
    key: String,
    secret: String,
}

/// What is kept of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptToken {
    /// What it is found by.
    pub key: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// The hash of its secret.
    pub secret: [u8; 32],
    /// What it is good for.
    pub scopes: Scopes,
    /// Since when it is there.
    pub created: Moment,
    /// Until when it is good; `None` for ever.
    pub expires: Option<Moment>,
    /// When it was last shown, to the hour; `None` when it never was.
    pub used: Option<Moment>,
    /// From where it is good; from everywhere when there is none.
    pub networks: Networks,
}

fn hash(secret: &str) -> [u8; 32] {
    blake3::derive_key("taskhost service token secret, version 1", secret.as_bytes())
}

fn check(key: &str, secret: &str) -> String {
    let mut hex = blake3::hash(format!("{key}_{secret}").as_bytes()).to_hex().to_string();
    hex.truncate(CHECK);
    hex
}

impl Token {
    /// A new one.
    #[must_use]
    pub fn create() -> Self {
        Self { key: random::word(KEY), secret: random::word(SECRET) }
    }

    /// The token in what a caller shows. `None` for what can be none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.strip_prefix("th_")?.split('_').collect();
        let &[key, secret, shown] = parts.as_slice() else { return None };
        let is_word =
            |word: &str, letters| word.len() == letters && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_whole = is_word(key, KEY) && is_word(secret, SECRET) && check(key, secret) == shown;
        is_whole.then(|| Self { key: key.to_owned(), secret: secret.to_owned() })
    }

    /// What it is found by.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// All of it, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("th_{}_{}_{}", self.key, self.secret, check(&self.key, &self.secret))
    }

    /// What is kept of it, when it is good from everywhere.
    #[must_use]
    pub fn keep(&self, tenant: TenantId, scopes: Scopes, expires: Option<Moment>) -> KeptToken {
        let (key, secret) = (self.key.clone(), hash(&self.secret));
        let networks = Networks::default();
        KeptToken { key, tenant, secret, scopes, created: Moment::now(), expires, used: None, networks }
    }

    /// Whether it is that one. Takes as long for any secret; with `None` as long as with a token that does not match.
    #[must_use]
    pub fn is(&self, kept: Option<&KeptToken>) -> bool {
        let wanted = kept.map_or([0; 32], |kept| kept.secret);
        let is_same = hash(&self.secret).ct_eq(&wanted);
        kept.is_some() && bool::from(is_same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_shown_and_proves_itself() {
        let token = Token::create();
        let kept = token.keep(TenantId(1), Scopes::ALL, None);
        let shown = token.reveal();
        let read = Token::parse(&shown).expect("a token");
        assert_eq!(read.key(), kept.key);
        assert!(read.is(Some(&kept)));
        assert!(!Token::create().is(Some(&kept)));
        assert!(!read.is(None));
        assert!(!kept.secret.iter().all(|byte| *byte == 0));
        assert!(!format!("{kept:?}").contains(&read.secret));
    }

    #[test]
    fn a_letter_that_is_wrong_is_noticed() {
        let shown = Token::create().reveal();
        for place in 0..shown.len() {
            let mut wrong = shown.clone().into_bytes();
            wrong[place] = if wrong[place] == b'x' { b'y' } else { b'x' };
            let wrong = String::from_utf8(wrong).expect("text");
            assert!(Token::parse(&wrong).is_none(), "{place}");
        }
        for text in ["", "th_", "th___", "Bearer", &shown[1..], &format!("{shown} "), &format!("{shown}_a")] {
            assert!(Token::parse(text).is_none(), "{text}");
        }
    }
}
