//! Values on the command line: their notations, and what to say of a wrong one.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use taskhost_data::duration::parse_duration;
use taskhost_data::geometry::{parse_picture_size, parse_sample};
use taskhost_data::merge::parse_merge;
use taskhost_data::size::parse_size;
use taskhost_data::split::parse_split;
use taskhost_os::cores::Workers;
use taskhost_protocol::limits::{NAME_BYTES, SOURCE_NAME_BYTES};
use taskhost_protocol::picture::Sample;
use taskhost_protocol::work::{Merge, Split};

/// `--workers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WorkerCount(pub(crate) Workers);

/// `--batch`; `None` is `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchSize(pub(crate) Option<u64>);

/// More workers than this are a typing error: each costs a process.
const MOST_WORKERS: usize = 1024;

/// Least memory that a kernel can do anything with: one page of WebAssembly.
const LEAST_MEMORY: u64 = 64 << 10;

/// A 32-bit memory has no more.
const MOST_MEMORY: u64 = 4 << 30;

pub(super) fn split(text: &str) -> Result<Split, String> {
    parse_split(text).map_err(|error| error.to_string())
}

pub(super) fn merge(text: &str) -> Result<Merge, String> {
    parse_merge(text).map_err(|error| error.to_string())
}

pub(super) fn picture_size(text: &str) -> Result<(u32, u32), String> {
    parse_picture_size(text).map_err(|error| error.to_string())
}

pub(super) fn sample(text: &str) -> Result<Sample, String> {
    parse_sample(text).map_err(|error| error.to_string())
}

pub(super) fn memory(text: &str) -> Result<u64, String> {
    let bytes = parse_size(text).map_err(|error| error.to_string())?;
    if (LEAST_MEMORY..=MOST_MEMORY).contains(&bytes) {
        return Ok(bytes);
    }
    Err("a kernel can have from 64KiB to 4GiB of memory".into())
}

pub(super) fn max_output(text: &str) -> Result<u64, String> {
    let bytes = parse_size(text).map_err(|error| error.to_string())?;
    if (1..=MOST_MEMORY).contains(&bytes) {
        return Ok(bytes);
    }
    Err("a result can have from 1 byte to 4GiB".into())
}

pub(super) fn size(text: &str) -> Result<u64, String> {
    parse_size(text).map_err(|error| error.to_string())
}

pub(super) fn one_or_more(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "it is a whole number from 1 on".to_owned())
}

pub(super) fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// A time for which a service keeps something: whoever repeats a request within a day hears of what was answered.
#[cfg(feature = "serve")]
pub(super) fn days(text: &str) -> Result<Duration, String> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    match time(text)? {
        short if short < DAY => Err("it is a day at least: 24h".into()),
        time => Ok(time),
    }
}

pub(super) fn time_limit(text: &str) -> Result<Duration, String> {
    match time(text)? {
        Duration::ZERO => Err("no time at all is no limit that anything can keep; for none, leave the flag out".into()),
        limit => Ok(limit),
    }
}

pub(super) fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    if name.is_empty() || name.len() > NAME_BYTES {
        return Err(format!("the name in front of `=` must have from 1 to {NAME_BYTES} bytes"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) fn workers(text: &str) -> Result<WorkerCount, String> {
    Ok(WorkerCount(match text {
        "physical" => Workers::Physical,
        "logical" => Workers::Logical,
        number => match number.parse() {
            Ok(count @ 1..=MOST_WORKERS) => Workers::Exactly(count),
            _ => return Err(format!("write a number from 1 to {MOST_WORKERS}, `physical` or `logical`")),
        },
    }))
}

pub(super) fn batch(text: &str) -> Result<BatchSize, String> {
    match text {
        "auto" => Ok(BatchSize(None)),
        number => match number.parse() {
            Ok(items @ 1..) => Ok(BatchSize(Some(items))),
            _ => Err("write a number of items, or `auto`".into()),
        },
    }
}

/// `--dir`, as typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FolderName {
    pub(crate) host: PathBuf,
    pub(crate) guest: String,
    pub(crate) writable: bool,
}

/// `--dir`.
pub(super) fn folder(text: &str) -> Result<FolderName, String> {
    let (names, writable) = match text.strip_suffix(":rw") {
        Some(names) => (names, true),
        None => (text, false),
    };
    let (host, guest) = names.split_once("::").unwrap_or((names, names));
    if host.is_empty() || guest.is_empty() || guest.len() > SOURCE_NAME_BYTES {
        return Err(format!(
            "write HOST, HOST::GUEST, or either with :rw behind it; a name has {SOURCE_NAME_BYTES} bytes at most"
        ));
    }
    Ok(FolderName { host: host.into(), guest: guest.to_owned(), writable })
}

/// `--broadcast`. The name becomes that of a file, too.
pub(super) fn broadcast(text: &str) -> Result<(String, PathBuf), String> {
    let Some((name, path)) = text.split_once('=').filter(|(_, path)| !path.is_empty()) else {
        return Err("write NAME=PATH".into());
    };
    if name.is_empty() || name.len() > NAME_BYTES || name.contains(['/', '\0']) || matches!(name, "." | "..") {
        return Err(format!("its name must be one of a file, of at most {NAME_BYTES} bytes"));
    }
    Ok((name.to_owned(), path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_a_number_or_a_word() {
        assert_eq!(workers("3"), Ok(WorkerCount(Workers::Exactly(3))));
        assert_eq!(workers("logical"), Ok(WorkerCount(Workers::Logical)));
        assert!(workers("0").is_err() && workers("many").is_err());
    }

    #[test]
    fn a_setting_is_split_at_the_first_equals_sign() {
        assert_eq!(setting("pattern=a=b"), Ok(("pattern".into(), "a=b".into())));
        assert_eq!(setting("name="), Ok(("name".into(), String::new())));
        assert!(setting("=x").is_err() && setting("x").is_err());
    }

    #[test]
    fn the_name_of_broadcast_data_is_one_of_a_file() {
        assert_eq!(broadcast("words=a=b"), Ok(("words".into(), "a=b".into())));
        for wrong in ["words", "words=", "=x", "a/b=x", "..=x"] {
            assert!(broadcast(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_folder_has_two_names_and_is_read_only_unless_that_is_said() {
        let named =
            |host: &str, guest: &str, writable| Ok(FolderName { host: host.into(), guest: guest.into(), writable });
        assert_eq!(folder("a/b"), named("a/b", "a/b", false));
        assert_eq!(folder("a::/data:rw"), named("a", "/data", true));
        assert_eq!(folder("a:b::c:d"), named("a:b", "c:d", false));
        for wrong in ["", ":rw", "::x", "x::"] {
            assert!(folder(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_limit_of_time_is_more_than_nothing() {
        assert_eq!(time_limit("1m30s"), Ok(Duration::from_secs(90)));
        assert!(time_limit("0s").is_err() && time_limit("5").is_err());
        assert_eq!(time("0"), Ok(Duration::ZERO));
    }

    #[test]
    fn memory_has_bounds() {
        assert_eq!(memory("1GiB"), Ok(1 << 30));
        assert!(memory("5GiB").is_err() && memory("1").is_err());
    }
}
