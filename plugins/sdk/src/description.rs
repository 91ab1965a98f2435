//! What a kernel says of itself, so that its users need no flags.

/// How long results are. When it is known beforehand, workers write results straight to their place in the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResultLength {
    /// Only known afterwards.
    #[default]
    Unknown,
    /// As long as the item.
    Same,
    /// This many bytes.
    Exactly(u32),
}

/// A setting that users give as `--config name=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value when the user gives none; `None` when the user must.
    pub default: Option<String>,
    /// One line for `taskhost inspect`.
    pub help: String,
}

/// What a kernel says of itself. The same every time; it must not depend on settings.
///
/// ```
/// use taskhost_kernel::Description;
/// let description = Description::new("Counts words.").split("blocks:1MiB").merge("reduce");
/// assert_eq!(description.split, "blocks:1MiB");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// One line: what the kernel does.
    pub summary: String,
    /// As in `--split`: `whole`, `lines`, `blocks:1MiB`, `records:16`, `chunks:64KiB`. Ignored for pictures.
    pub split: String,
    /// As in `--merge`: `concat`, `lines`, `reduce`. Ignored for pictures.
    pub merge: String,
    /// How long results are.
    pub result_length: ResultLength,
    /// All settings; any other name is refused before the run begins.
    pub settings: Vec<Setting>,
}

impl Description {
    /// A kernel that takes whole files, whose results are laid end to end.
    pub fn new(summary: impl Into<String>) -> Self {
        Self {
            summary: summary.into(),
            split: "whole".into(),
            merge: "concat".into(),
            result_length: ResultLength::Unknown,
            settings: Vec::new(),
        }
    }

    /// How the input splits into items, as in `--split`.
    #[must_use]
    pub fn split(mut self, split: impl Into<String>) -> Self {
        self.split = split.into();
        self
    }

    /// How results are joined, as in `--merge`.
    #[must_use]
    pub fn merge(mut self, merge: impl Into<String>) -> Self {
        self.merge = merge.into();
        self
    }

    /// How long results are.
    #[must_use]
    pub fn result_length(mut self, length: ResultLength) -> Self {
        self.result_length = length;
        self
    }

    /// Adds a setting that has a default.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, default: impl Into<String>, help: impl Into<String>) -> Self {
        self.settings.push(Setting { name: name.into(), default: Some(default.into()), help: help.into() });
        self
    }

    /// Adds a setting that the user must give.
    #[must_use]
    pub fn required(mut self, name: impl Into<String>, help: impl Into<String>) -> Self {
        self.settings.push(Setting { name: name.into(), default: None, help: help.into() });
        self
    }
}
