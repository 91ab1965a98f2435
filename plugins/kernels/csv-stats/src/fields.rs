//! Fields of one line of CSV.

use std::borrow::Cow;

use taskhost_kernel::prelude::*;

/// What is wrong with a line.
pub(crate) type Problem = String;

/// Which field of the header is called `name`, from 0.
///
/// # Errors
///
/// When none is.
pub(crate) fn column(header: &[u8], name: &str) -> Result<usize> {
    // Spreadsheets put a byte order mark in front of the first name.
    let header = header.strip_prefix(b"\xef\xbb\xbf").unwrap_or(header);
    let header = header.strip_suffix(b"\r").unwrap_or(header);
    let mut index = 0;
    while let Ok(field) = quoted(header, index) {
        if *field == *name.as_bytes() {
            return Ok(index);
        }
        index += 1;
    }
    reject!("there is no column `{name}` in the header `{}` (--config column=…)", shown(header))
}

/// Field `index` of a line without quotes.
pub(crate) fn plain(line: &[u8], index: usize) -> Result<Cow<'_, [u8]>, Problem> {
    let mut rest = line;
    for found in 0..index {
        let comma = memchr::memchr(b',', rest).ok_or_else(|| too_few(found + 1, index))?;
        rest = &rest[comma + 1..];
    }
    let end = memchr::memchr(b',', rest).unwrap_or(rest.len());
    Ok(Cow::Borrowed(&rest[..end]))
}

/// Field `index` of a line, without the quotes around it.
pub(crate) fn quoted(line: &[u8], index: usize) -> Result<Cow<'_, [u8]>, Problem> {
    let mut fields = 0;
    let mut start = 0;
    let mut found = None;
    let mut inside = false;
    // A doubled quote leaves the quotes and enters them again, which is right.
    for (position, byte) in line.iter().chain(b",").enumerate() {
        match byte {
            b'"' => inside = !inside,
            b',' if !inside || position == line.len() => {
                if fields == index {
                    found = Some(&line[start..position]);
                }
                fields += 1;
                start = position + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err("it ends inside quotes".into());
    }
    let field = found.ok_or_else(|| too_few(fields, index))?;
    Ok(match field.strip_prefix(b"\"").and_then(|field| field.strip_suffix(b"\"")) {
        Some(bare) if memchr::memchr(b'"', bare).is_some() => Cow::Owned(single_quotes(bare)),
        Some(bare) => Cow::Borrowed(bare),
        None => Cow::Borrowed(field),
    })
}

/// The field as a number.
pub(crate) fn number(field: &[u8]) -> Result<f64, Problem> {
    let number = std::str::from_utf8(field).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("`{}` is not a number", shown(field)))
}

/// The beginning of a line for a message, readable whatever its bytes are.
pub(crate) fn shown(line: &[u8]) -> String {
    /// Enough to recognise a line by.
    const SHOWN: usize = 100;
    let more = if line.len() > SHOWN { "…" } else { "" };
    format!("{}{more}", String::from_utf8_lossy(&line[..line.len().min(SHOWN)]))
}

fn single_quotes(field: &[u8]) -> Vec<u8> {
    let mut bare = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        bare.push(*byte);
        rest = if *byte == b'"' { after.strip_prefix(b"\"").unwrap_or(after) } else { after };
    }
    bare
}

fn too_few(fields: usize, index: usize) -> Problem {
    format!("it has {fields} of the {} fields up to the column", index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_without_quotes() {
        for (index, field) in [(0, "a"), (1, ""), (2, "c")] {
            assert_eq!(plain(b"a,,c", index).as_deref(), Ok(field.as_bytes()));
            assert_eq!(quoted(b"a,,c", index).as_deref(), Ok(field.as_bytes()));
        }
        let problem = Err("it has 3 of the 4 fields up to the column".to_string());
        assert_eq!(plain(b"a,,c", 3), problem);
        assert_eq!(quoted(b"a,,c", 3), problem);
    }

    #[test]
    fn fields_in_quotes() {
        let line = br#""a,b","say ""hi""",,"",5"x"#;
        for (index, field) in [(0, "a,b"), (1, "say \"hi\""), (2, ""), (3, "")] {
            assert_eq!(
                quoted(line, index).map(Cow::into_owned),
                Err("it ends inside quotes".into()),
                "{index} {field}"
            );
            assert_eq!(quoted(&line[..line.len() - 2], index).as_deref(), Ok(field.as_bytes()));
        }
    }
}
