//! The text that a raw module's `taskhost_describe` gives: one `key=value` to a line.

use taskhost_protocol::fault::Fault;
use taskhost_protocol::kernel::{Description, ResultLength, Setting};

/// Reads it. Empty lines are skipped; a key that is not known is an error, so that a typing mistake is found.
pub(crate) fn parse(text: &[u8]) -> Result<Description, Fault> {
    let broken = |what: &str| Fault::Contract(format!("the text of taskhost_describe: {what}"));
    let text = std::str::from_utf8(text).map_err(|_| broken("it is not UTF-8"))?;
    let mut description = Description::default();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let Some((key, value)) = line.split_once('=') else {
            return Err(broken(&format!("`{line}` is not key=value")));
        };
        match key.trim() {
            "summary" => description.summary = value.into(),
            "split" => description.split = value.into(),
            "merge" => description.merge = value.into(),
            "result-length" => {
                description.result_length = match value {
                    "unknown" => ResultLength::Unknown,
                    "same" => ResultLength::Same,
                    bytes => ResultLength::Exactly(bytes.parse().map_err(|_| {
                        broken(&format!("result-length is unknown, same or a number of bytes, not `{bytes}`"))
                    })?),
                };
            }
            "setting" => {
                description.settings.push(Setting { name: value.into(), default: None, help: String::new() });
            }
            key @ ("default" | "help") => {
                let Some(setting) = description.settings.last_mut() else {
                    return Err(broken(&format!("`{key}` stands before the first `setting`")));
                };
                if key == "help" { setting.help = value.into() } else { setting.default = Some(value.into()) }
            }
            key => return Err(broken(&format!("`{key}` is no key of it"))),
        }
    }
    Ok(description)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn every_key() {
        let text = b"summary=adds\nsplit=lines\nmerge=concat\nresult-length=8\n\nsetting=by\ndefault=a=b\nhelp=how\nsetting=to\n";
        let description = parse(text).unwrap();
        assert_eq!(description.summary, "adds");
        assert_eq!(description.split, "lines");
        assert_eq!(description.merge, "concat");
        assert_eq!(description.result_length, ResultLength::Exactly(8));
        let [by, to] = &description.settings[..] else { panic!("two settings") };
        assert_eq!((by.name.as_str(), by.default.as_deref(), by.help.as_str()), ("by", Some("a=b"), "how"));
        assert_eq!((to.name.as_str(), to.default.as_deref(), to.help.as_str()), ("to", None, ""));
    }

    #[test]
    fn mistakes_are_named() {
        for text in ["sumary=x", "summary", "help=x", "result-length=long"] {
            assert!(matches!(parse(text.as_bytes()), Err(Fault::Contract(_))), "{text}");
        }
        assert!(parse(b"summary=\xff").is_err());
    }
}
