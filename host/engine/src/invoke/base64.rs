//! Base64 as in RFC 4648, section 4: how bytes are written in JSON.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What a letter stands for; 64 for what is none.
const VALUES: [u8; 256] = {
    let mut values = [64; 256];
    let mut value = 0;
    while value < 64 {
        values[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// Adds the text of bytes.
pub(crate) fn encode(bytes: impl Iterator<Item = u8>, text: &mut Vec<u8>) {
    let mut group = 0_u32;
    let mut held = 0;
    let letter = |group: u32, index: u32| ALPHABET[(group >> (18 - 6 * index) & 63) as usize];
    for byte in bytes {
        group = group << 8 | u32::from(byte);
        held += 1;
        if held == 3 {
            text.extend_from_slice(&[letter(group, 0), letter(group, 1), letter(group, 2), letter(group, 3)]);
            (group, held) = (0, 0);
        }
    }
    match held {
        1 => {
            group <<= 16;
            text.extend_from_slice(&[letter(group, 0), letter(group, 1), b'=', b'=']);
        }
        2 => {
            group <<= 8;
            text.extend_from_slice(&[letter(group, 0), letter(group, 1), letter(group, 2), b'=']);
        }
        _ => {}
    }
}

/// The bytes of a text, given one by one; or why it is none. Padding may be left out.
pub(crate) fn decode(text: &str, mut each: impl FnMut(u8)) -> Result<(), String> {
    let padded = text.as_bytes();
    let letters = padded.strip_suffix(b"==").or_else(|| padded.strip_suffix(b"=")).unwrap_or(padded);
    if letters.len() % 4 == 1 || (letters.len() < padded.len() && !padded.len().is_multiple_of(4)) {
        return Err(format!("a base64 text cannot have {} letters", padded.len()));
    }
    for (index, group) in letters.chunks(4).enumerate() {
        let mut bits = 0_u32;
        for (place, letter) in group.iter().enumerate() {
            let value = VALUES[usize::from(*letter)];
            if value == 64 {
                let at = index * 4 + place;
                let letter = text[text.floor_char_boundary(at)..].chars().next().unwrap_or_default();
                return Err(format!("{letter:?} at byte {at} is no letter of base64"));
            }
            bits |= u32::from(value) << (18 - 6 * place);
        }
        let [_, first, second, third] = bits.to_be_bytes();
        let count = group.len() - 1;
        let unused = if count == 1 { u32::from(second) } else { 0 } | if count < 3 { u32::from(third) } else { 0 };
        if unused != 0 {
            return Err("its last letter has bits that no byte has".into());
        }
        for byte in [first, second, third].into_iter().take(count) {
            each(byte);
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn encoded(bytes: &[u8]) -> String {
        let mut text = Vec::new();
        encode(bytes.iter().copied(), &mut text);
        String::from_utf8(text).expect("it is ASCII")
    }

    fn decoded(text: &str) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        decode(text, |byte| bytes.push(byte)).map(|()| bytes)
    }

    /// The examples of RFC 4648, section 10.
    #[test]
    fn it_is_that_of_the_standard() {
        let pairs =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (bytes, text) in pairs {
            assert_eq!(encoded(bytes.as_bytes()), text);
            assert_eq!(decoded(text).as_deref(), Ok(bytes.as_bytes()));
            assert_eq!(decoded(text.trim_end_matches('=')).as_deref(), Ok(bytes.as_bytes()));
        }
    }

    #[test]
    fn all_bytes_survive() {
        let bytes: Vec<u8> = (0..=255).rev().collect();
        for len in 0..256 {
            assert_eq!(decoded(&encoded(&bytes[..len])).as_deref(), Ok(&bytes[..len]));
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        assert_eq!(decoded("Zg=").unwrap_err(), "a base64 text cannot have 3 letters");
        assert_eq!(decoded("Z").unwrap_err(), "a base64 text cannot have 1 letters");
        assert_eq!(decoded("Zm9v====").unwrap_err(), "'=' at byte 4 is no letter of base64");
        assert_eq!(decoded("Zm-v").unwrap_err(), "'-' at byte 2 is no letter of base64");
        assert_eq!(decoded("Zmä=").unwrap_err(), "a base64 text cannot have 5 letters");
        assert_eq!(decoded("Zmäx").unwrap_err(), "a base64 text cannot have 5 letters");
        assert_eq!(decoded("Zmäxyz==").unwrap_err(), "a base64 text cannot have 9 letters");
        assert_eq!(decoded("Zmäx12").unwrap_err(), "'ä' at byte 2 is no letter of base64");
        assert_eq!(decoded("Zh==").unwrap_err(), "its last letter has bits that no byte has");
    }
}
