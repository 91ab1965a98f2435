//! A stand-in for the host, so that a kernel is tested with plain `cargo test`. Each thread, so each test, has its own.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::item::Origin;

mod pictures;

pub use pictures::{in_strips, noise};

#[derive(Default)]
struct StandIn {
    settings: BTreeMap<String, String>,
    origin: Origin,
    header: Option<Vec<u8>>,
    broadcasts: BTreeMap<String, Vec<u8>>,
    counters: BTreeMap<String, u64>,
    messages: Vec<String>,
}

thread_local! {
    static STAND_IN: RefCell<StandIn> = RefCell::default();
}

/// Gives a setting, as `--config name=value` does. Defaults of a description are not filled in.
pub fn set_config(name: &str, value: &str) {
    STAND_IN.with_borrow_mut(|host| host.settings.insert(name.into(), value.into()));
}

/// Says where the items from now on come from.
pub fn set_origin(origin: Origin) {
    STAND_IN.with_borrow_mut(|host| host.origin = origin);
}

/// Gives the header line, as `--header` does.
pub fn set_header(line: Option<&[u8]>) {
    STAND_IN.with_borrow_mut(|host| host.header = line.map(<[u8]>::to_vec));
}

/// Gives broadcast data.
pub fn set_broadcast(name: &str, data: &[u8]) {
    STAND_IN.with_borrow_mut(|host| host.broadcasts.insert(name.into(), data.to_vec()));
}

/// What was counted under a name so far.
#[must_use]
pub fn counted(name: &str) -> u64 {
    STAND_IN.with_borrow(|host| host.counters.get(name).copied().unwrap_or(0))
}

/// The messages so far, as `level text`.
#[must_use]
pub fn messages() -> Vec<String> {
    STAND_IN.with_borrow(|host| host.messages.clone())
}

pub(crate) mod host {
    //! The functions of the contract, with the signatures that are generated from it.

    pub(crate) mod config {
        use super::super::STAND_IN;

        pub(crate) fn get(name: &str) -> Option<String> {
            STAND_IN.with_borrow(|host| host.settings.get(name).cloned())
        }

        pub(crate) fn all() -> Vec<(String, String)> {
            STAND_IN.with_borrow(|host| host.settings.clone().into_iter().collect())
        }
    }

    pub(crate) mod item {
        use super::super::STAND_IN;

        pub(crate) use crate::item::Origin;

        pub(crate) fn current() -> Origin {
            STAND_IN.with_borrow(|host| host.origin.clone())
        }

        pub(crate) fn header() -> Option<Vec<u8>> {
            STAND_IN.with_borrow(|host| host.header.clone())
        }
    }

    pub(crate) mod log {
        use super::super::STAND_IN;

        pub(crate) use crate::log::Level;

        pub(crate) fn log(level: Level, message: &str) {
            let level = format!("{level:?}").to_lowercase();
            STAND_IN.with_borrow_mut(|host| host.messages.push(format!("{level} {message}")));
        }
    }

    pub(crate) mod counter {
        use super::super::STAND_IN;

        pub(crate) fn add(name: &str, amount: u64) {
            STAND_IN.with_borrow_mut(|host| *host.counters.entry(name.into()).or_default() += amount);
        }
    }

    pub(crate) mod broadcast {
        use super::super::STAND_IN;

        pub(crate) fn size(name: &str) -> Option<u64> {
            STAND_IN.with_borrow(|host| host.broadcasts.get(name).map(|data| data.len() as u64))
        }

        pub(crate) fn read(name: &str, offset: u64, length: u32) -> Result<Vec<u8>, String> {
            STAND_IN.with_borrow(|host| {
                let data = host.broadcasts.get(name).ok_or("there is no broadcast of that name")?;
                let from = usize::try_from(offset).map_or(data.len(), |offset| offset.min(data.len()));
                let to = from.saturating_add(length as usize).min(data.len());
                Ok(data[from..to].to_vec())
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{broadcast, config, counter, item};

    #[test]
    fn the_stand_in_answers_like_the_host() {
        set_config("sigma", " 2.5 ");
        assert_eq!(config::parse::<f64>("sigma"), Ok(2.5));
        assert_eq!(config::parse::<u32>("sigma").map_err(|error| error.text().len() > 10), Err(true));
        assert!(config::require("other").is_err());
        set_header(Some(b"id,value"));
        assert_eq!(item::header().as_deref(), Some(b"id,value".as_slice()));
        assert_eq!(item::current(), Origin::default());
        counter::add("rows", 2);
        counter::add("rows", 3);
        assert_eq!(counted("rows"), 5);
        crate::warn!("odd {}", 1);
        assert_eq!(messages(), ["warn odd 1"]);
        set_broadcast("table", b"abcdef");
        assert_eq!(broadcast::size("table"), Some(6));
        assert_eq!(broadcast::read("table", 4, 10).as_deref(), Ok(b"ef".as_slice()));
        assert!(broadcast::read("none", 0, 1).is_err());
    }
}
