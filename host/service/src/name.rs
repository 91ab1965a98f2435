//! Names that people give: of tenants and of aliases. User text never becomes a path; this is what it may be at all.

/// Longest name, in bytes.
pub const NAME_BYTES: usize = 64;

/// Says what is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has at most 64 of the letters a-z, digits, '.', '_' and '-', and begins with a letter or a digit")]
pub struct NameError;

/// Whether this is a name: `[a-z0-9][a-z0-9._-]{0,63}`.
///
/// # Errors
/// When it is none.
pub fn check(name: &str) -> Result<(), NameError> {
    let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_fitting = |byte: &u8| is_plain(byte) || b"._-".contains(byte);
    let bytes = name.as_bytes();
    let is_name = bytes.len() <= NAME_BYTES && bytes.first().is_some_and(is_plain) && bytes.iter().all(is_fitting);
    if is_name { Ok(()) } else { Err(NameError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for name in ["a", "0", "team-1", "a.b_c-d", &"x".repeat(64)] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for name in ["", ".", "..", "-a", "_a", "A", "ä", "a/b", "a b", "a\n", "a\0", "../a", &"x".repeat(65)] {
            assert_eq!(check(name), Err(NameError), "{name:?}");
        }
    }
}
