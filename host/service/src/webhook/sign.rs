//! Secrets and signatures of messages, as Standard Webhooks has them: whoever gets one can tell that it is ours, that nobody has
//! changed it, and that it is not an old one that somebody sends again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::random;

/// In front of each secret.
const PREFIX: &str = "whsec_";

/// A new secret.
#[must_use]
pub fn new_secret() -> String {
    format!("{PREFIX}{}", STANDARD.encode(random::bytes::<32>()))
}

/// Whether this is a secret that others may have chosen: long enough that nobody guesses it.
#[must_use]
pub fn is_secret(secret: &str) -> bool {
    key(secret).is_some_and(|key| (16..=128).contains(&key.len()))
}

fn key(secret: &str) -> Option<Vec<u8>> {
    STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()
}

/// What stands in `webhook-signature`: over the number of the message, the seconds since 1970 at which it was sent, and all that it
/// says. `None` for a secret that is none.
#[must_use]
pub fn signature(secret: &str, message: &str, seconds: i64, body: &str) -> Option<String> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key(secret)?);
    let tag = hmac::sign(&key, format!("{message}.{seconds}.{body}").as_bytes());
    Some(format!("v1,{}", STANDARD.encode(tag.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification of Standard Webhooks.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let body = r#"{"test": 2432232314}"#;
        let signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn secrets_are_new_and_fit() {
        let (one, other) = (new_secret(), new_secret());
        assert_ne!(one, other);
        assert!(is_secret(&one) && is_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        assert!(
            !is_secret("whsec_eA==") && !is_secret("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") && !is_secret(&"x".repeat(999))
        );
        assert!(signature(&one, "m", 1, "").is_some() && signature(&one, "m", 1, "") != signature(&other, "m", 1, ""));
        assert_eq!((signature("x", "m", 1, ""), signature("whsec_!", "m", 1, "")), (None, None));
    }
}
