//! Why an item failed.

use std::fmt;

/// Why an item failed. The text goes to the user as it is: say what is wrong and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The item is at fault. It will not be tried again.
    InvalidInput(String),
    /// The kernel could not do it. It will not be tried again.
    Failed(String),
    /// Something granted to the kernel (a file, a clock) was not ready: try again (`--retries`).
    Temporary(String),
}

/// What everything here returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The item is at fault.
    pub fn invalid_input(text: impl Into<String>) -> Self {
        Self::InvalidInput(text.into())
    }

    /// The kernel could not do it.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// The text for the user.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::InvalidInput(text) | Self::Failed(text) | Self::Temporary(text) => text,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Error {}

/// Returns early with [`Error::InvalidInput`]; takes the arguments of `format!`.
#[macro_export]
macro_rules! reject {
    ($($text:tt)*) => {
        return Err($crate::Error::InvalidInput(::std::format!($($text)*)))
    };
}
