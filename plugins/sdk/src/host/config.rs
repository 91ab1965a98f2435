//! The settings of the run: `--config name=value`, the same for every worker.

use std::fmt::Display;
use std::str::FromStr;

use super::backend;
use crate::{Error, Result};

/// The value of a setting; the default of the kernel's description when the user gave none.
#[must_use]
pub fn get(name: &str) -> Option<String> {
    backend::config::get(name)
}

/// All settings.
#[must_use]
pub fn all() -> Vec<(String, String)> {
    backend::config::all()
}

/// The value of a setting that must be there.
///
/// # Errors
///
/// [`Error::Failed`] with the flag to type when it is not.
pub fn require(name: &str) -> Result<String> {
    get(name).ok_or_else(|| Error::failed(format!("the setting `{name}` is missing: give --config {name}=…")))
}

/// The value of a setting that must be there, as a number or another type that is read from text.
///
/// # Errors
///
/// [`Error::Failed`] naming the setting, its value and why it cannot be read.
pub fn parse<T>(name: &str) -> Result<T>
where
    T: FromStr,
    T::Err: Display,
{
    let value = require(name)?;
    value.trim().parse().map_err(|error| Error::failed(format!("--config {name}={value}: {error}")))
}
