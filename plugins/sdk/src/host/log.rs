//! Messages for the user, on standard error with the item's name. Capped per item.

use super::backend;

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For the author of the kernel.
    Debug,
    /// Worth knowing.
    Info,
    /// Perhaps wrong.
    Warn,
    /// Wrong.
    Error,
}

/// Shows a message. The macros [`debug!`](crate::debug), [`info!`](crate::info), [`warn!`](crate::warn) and
/// [`error!`](crate::error) format one.
pub fn log(level: Level, message: &str) {
    let level = match level {
        Level::Debug => backend::log::Level::Debug,
        Level::Info => backend::log::Level::Info,
        Level::Warn => backend::log::Level::Warn,
        Level::Error => backend::log::Level::Error,
    };
    backend::log::log(level, message);
}

/// Shows a message for the author of the kernel; takes the arguments of `format!`.
#[macro_export]
macro_rules! debug {
    ($($text:tt)*) => { $crate::log::log($crate::log::Level::Debug, &::std::format!($($text)*)) };
}

/// Shows a message worth knowing; takes the arguments of `format!`.
#[macro_export]
macro_rules! info {
    ($($text:tt)*) => { $crate::log::log($crate::log::Level::Info, &::std::format!($($text)*)) };
}

/// Shows a warning; takes the arguments of `format!`.
#[macro_export]
macro_rules! warn {
    ($($text:tt)*) => { $crate::log::log($crate::log::Level::Warn, &::std::format!($($text)*)) };
}

/// Shows an error that is not the end of the item; takes the arguments of `format!`.
#[macro_export]
macro_rules! error {
    ($($text:tt)*) => { $crate::log::log($crate::log::Level::Error, &::std::format!($($text)*)) };
}
