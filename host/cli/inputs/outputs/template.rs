//! Names with placeholders: `out/{dir}/{stem}.png`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What stands for a part of the input's path within its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placeholder {
    /// All of it: `sub/a.tar.gz`.
    Path,
    /// Its folder: `sub`, or `.` at the top.
    Dir,
    /// Its last part: `a.tar.gz`.
    Name,
    /// Its last part without the extension: `a.tar`.
    Stem,
    /// The extension without its dot: `gz`, or nothing.
    Ext,
}

/// All placeholders with their names.
const PLACEHOLDERS: [(&str, Placeholder); 5] = [
    ("path", Placeholder::Path),
    ("dir", Placeholder::Dir),
    ("name", Placeholder::Name),
    ("stem", Placeholder::Stem),
    ("ext", Placeholder::Ext),
];

/// Why a text is no template (exit code 2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    /// Braces around something else.
    #[error(
        "-o '{template}': {{{name}}} is no placeholder; there are {{path}} {{dir}} {{name}} {{stem}} {{ext}}; for braces in a name write {{{{ and }}}}"
    )]
    Unknown {
        /// The whole text.
        template: String,
        /// What stands between the braces.
        name: String,
    },
    /// A brace without its counterpart.
    #[error("-o '{0}': a brace stands alone; for a brace in a name write {{{{ or }}}}")]
    Brace(String),
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Placeholder(Placeholder),
}

/// A name with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// Reads a template. `{{` and `}}` stand for braces.
    ///
    /// # Errors
    /// When braces hold no placeholder or stand alone.
    pub(crate) fn parse(text: &OsStr) -> Result<Self, TemplateError> {
        let shown = || text.to_string_lossy().into_owned();
        let mut parts = Vec::new();
        let mut plain = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match (byte, after.first()) {
                (b'{' | b'}', Some(&next)) if next == byte => {
                    plain.push(byte);
                    rest = &after[1..];
                }
                (b'{', _) => {
                    let Some(end) = after.iter().position(|byte| *byte == b'}') else {
                        return Err(TemplateError::Brace(shown()));
                    };
                    let name = String::from_utf8_lossy(&after[..end]).into_owned();
                    let Some((_, placeholder)) = PLACEHOLDERS.iter().find(|(known, _)| *known == name) else {
                        return Err(TemplateError::Unknown { template: shown(), name });
                    };
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                    parts.push(Part::Placeholder(*placeholder));
                    rest = &after[end + 1..];
                }
                (b'}', _) => return Err(TemplateError::Brace(shown())),
                _ => plain.push(byte),
            }
        }
        parts.push(Part::Text(plain));
        Ok(Self { parts })
    }

    /// Whether there is no placeholder in it.
    pub(super) fn is_literal(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// Its text, when there is no placeholder in it.
    pub(super) fn literal(&self) -> PathBuf {
        self.fill(Path::new(""))
    }

    /// The name for an input at that path within its folder.
    pub(super) fn fill(&self, relative: &Path) -> PathBuf {
        let mut name = Vec::new();
        for part in &self.parts {
            let of_path = |part: Option<&OsStr>| part.unwrap_or_default().as_bytes().to_vec();
            match part {
                Part::Text(text) => name.extend(text),
                Part::Placeholder(Placeholder::Path) => name.extend(relative.as_os_str().as_bytes()),
                Part::Placeholder(Placeholder::Dir) => match relative.parent() {
                    // With nothing here `{dir}/{name}` would be in the root folder.
                    None => name.push(b'.'),
                    Some(dir) if dir.as_os_str().is_empty() => name.push(b'.'),
                    Some(dir) => name.extend(dir.as_os_str().as_bytes()),
                },
                Part::Placeholder(Placeholder::Name) => name.extend(of_path(relative.file_name())),
                Part::Placeholder(Placeholder::Stem) => name.extend(of_path(relative.file_stem())),
                Part::Placeholder(Placeholder::Ext) => name.extend(of_path(relative.extension())),
            }
        }
        OsString::from_vec(name).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a template makes of a path.
    fn fill(template: &str, relative: &str) -> String {
        let template = Template::parse(OsStr::new(template)).expect("a template");
        template.fill(Path::new(relative)).display().to_string()
    }

    #[test]
    fn placeholders() {
        assert_eq!(fill("out/{path}", "sub/a.tar.gz"), "out/sub/a.tar.gz");
        assert_eq!(fill("out/{dir}/{stem}.png", "sub/a.tar.gz"), "out/sub/a.tar.png");
        assert_eq!(fill("{dir}/{name}", "a.gz"), "./a.gz");
        assert_eq!(fill("{stem}-{ext}", "noext"), "noext-");
        assert_eq!(fill("{name}", ".hidden"), ".hidden");
        assert_eq!(fill("{{{stem}}}", "a.b"), "{a}");
        assert_eq!(fill("{{stem}}", "a.b"), "{stem}");
    }

    #[test]
    fn what_is_no_template_is_refused() {
        let refusal = |text: &str| Template::parse(OsStr::new(text)).expect_err(text);
        assert!(matches!(refusal("a{base}.png"), TemplateError::Unknown { name, .. } if name == "base"));
        assert!(matches!(refusal("a{}.png"), TemplateError::Unknown { .. }));
        assert!(matches!(refusal("a{stem"), TemplateError::Brace(_)));
        assert!(matches!(refusal("a}b"), TemplateError::Brace(_)));
        let message = refusal("a{base}").to_string();
        assert!(message.contains("{base} is no placeholder") && message.contains("{{ and }}"), "{message}");
    }
}
