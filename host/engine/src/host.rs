//! What the host keeps for an instance, and what it answers when the kernel asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use taskhost_protocol::fault::Fault;
use taskhost_protocol::given::Given;
use taskhost_protocol::limits::{COUNTERS, LOG_LINES_PER_ITEM, NAME_BYTES, WorkerLimits, cap_text};
use taskhost_protocol::message::Level;

use crate::allowance::Allowance;
use crate::broadcast::BroadcastData;
use crate::last_words;
use crate::wasi::Wasi;

/// What an instance knows of its run.
#[derive(Clone, Debug, Default)]
pub struct HostContext {
    /// All settings, defaults included.
    pub settings: Arc<Vec<(String, String)>>,
    /// Nanoseconds since 1970 at the run's start: where the kernel's wall clock stands.
    pub clock: u64,
    /// Seeds the kernel's random numbers, together with the position of the item.
    pub seed: [u8; 16],
    /// What else the user gives it.
    pub given: Arc<Given>,
    /// Data for all workers.
    pub broadcast: Arc<BroadcastData>,
}

/// What a kernel may know of the item in hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemContext {
    /// Name of its input.
    pub source: Arc<str>,
    /// Place in the run.
    pub position: u64,
    /// Offset of its first byte in the input; for a tile its first row.
    pub offset: u64,
    /// With `--header`: the first line of the input.
    pub header: Option<Arc<[u8]>>,
}

/// The data of a store.
pub(crate) struct HostState {
    pub(crate) allowance: Allowance,
    pub(crate) settings: Arc<Vec<(String, String)>>,
    pub(crate) broadcast: Arc<BroadcastData>,
    pub(crate) item: Option<ItemContext>,
    /// Whether the kernel asked for its item since it was set.
    pub(crate) asked_item: bool,
    pub(crate) logs: Logs,
    pub(crate) counters: Counters,
    /// Only for a kernel that imports WASI.
    pub(crate) wasi: Option<Wasi>,
}

impl HostState {
    pub(crate) fn new(host: &HostContext, limits: WorkerLimits, wasi: Option<Wasi>) -> Self {
        Self {
            allowance: Allowance::new(limits.memory),
            settings: Arc::clone(&host.settings),
            broadcast: Arc::clone(&host.broadcast),
            item: None,
            asked_item: false,
            logs: Logs::default(),
            counters: Counters::default(),
            wasi,
        }
    }

    /// What a failure really is: for want of memory, or with what the kernel said of it.
    pub(crate) fn explain(&self, fault: Fault) -> Fault {
        let printed = self.wasi.as_ref().map(|wasi| wasi.output.last_words()).unwrap_or_default();
        last_words::added(self.allowance.explain(fault), self.logs.last_error.as_deref(), &printed)
    }

    /// The value of a setting.
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|setting| setting.0 == name).map(|setting| setting.1.as_str())
    }

    /// Whether the kernel was given something that is of one item alone: its place, or its random numbers.
    pub(crate) fn gave_of_item(&self) -> bool {
        self.asked_item || self.wasi.as_ref().is_some_and(Wasi::drew)
    }

    /// Counts, for the item in hand.
    pub(crate) fn count(&mut self, name: &str, amount: u64) {
        if !self.counters.add(name, amount) {
            let text = format!("counter `{name}` is not counted: a run has at most {COUNTERS}");
            self.logs.push(Level::Warn, text);
        }
    }
}

/// Log lines that were not yet taken.
#[derive(Default)]
pub(crate) struct Logs {
    lines: Vec<(Level, String)>,
    /// Lines of the item in hand, taken or not.
    of_item: u32,
    dropped: u64,
    /// The last line of the item in hand that was an error.
    last_error: Option<String>,
}

impl Logs {
    /// Adds a line, or counts it when the item has written too many.
    pub(crate) fn push(&mut self, level: Level, text: String) {
        let text = cap_text(text);
        if level == Level::Error {
            self.last_error = Some(text.clone());
        }
        if self.of_item < LOG_LINES_PER_ITEM {
            self.of_item += 1;
            self.lines.push((level, text));
        } else {
            self.dropped += 1;
        }
    }

    /// Whether the item in hand has written lines.
    pub(crate) fn has_lines(&self) -> bool {
        self.of_item != 0
    }

    /// A new item may write as many again.
    pub(crate) fn next_item(&mut self) {
        if self.of_item != 0 {
            self.of_item = 0;
            self.last_error = None;
            self.close();
        }
    }

    /// All lines since the last time.
    pub(crate) fn take(&mut self) -> Vec<(Level, String)> {
        self.close();
        std::mem::take(&mut self.lines)
    }

    /// Says how many lines were dropped.
    fn close(&mut self) {
        if self.dropped > 0 {
            let dropped = std::mem::take(&mut self.dropped);
            self.lines.push((Level::Warn, format!("{dropped} more log lines were dropped")));
        }
    }
}

/// Counters: what the item in hand counted, and the sum of all items that succeeded since the last time.
#[derive(Default)]
pub(crate) struct Counters {
    pending: BTreeMap<String, u64>,
    sums: BTreeMap<String, u64>,
}

impl Counters {
    /// False when there are too many names.
    fn add(&mut self, name: &str, amount: u64) -> bool {
        let name = &name[..name.floor_char_boundary(NAME_BYTES)];
        if let Some(sum) = self.pending.get_mut(name) {
            *sum = sum.saturating_add(amount);
            return true;
        }
        if self.pending.len() >= COUNTERS || (self.sums.len() >= COUNTERS && !self.sums.contains_key(name)) {
            return false;
        }
        self.pending.insert(name.to_owned(), amount);
        true
    }

    pub(crate) fn commit(&mut self) {
        while let Some((name, amount)) = self.pending.pop_first() {
            if let Some(sum) = self.sums.get_mut(&name) {
                *sum = sum.saturating_add(amount);
            } else if self.sums.len() < COUNTERS {
                self.sums.insert(name, amount);
            }
        }
    }

    pub(crate) fn drop_pending(&mut self) {
        self.pending.clear();
    }

    pub(crate) fn take(&mut self) -> Vec<(String, u64)> {
        std::mem::take(&mut self.sums).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_a_failed_item_vanish() {
        let mut counters = Counters::default();
        counters.add("rows", 2);
        counters.commit();
        counters.add("rows", 40);
        counters.drop_pending();
        counters.add("rows", 3);
        counters.commit();
        assert_eq!(counters.take(), [("rows".into(), 5)]);
        assert_eq!(counters.take(), []);
    }

    #[test]
    fn names_are_capped() {
        let mut counters = Counters::default();
        for number in 0..COUNTERS {
            assert!(counters.add(&number.to_string(), 1));
        }
        assert!(!counters.add("one more", 1));
        assert!(counters.add("0", 1));
        counters.commit();
        assert_eq!(counters.take().len(), COUNTERS);
    }

    #[test]
    fn an_item_writes_so_many_lines_and_the_rest_are_counted() {
        let mut logs = Logs::default();
        for _ in 0..LOG_LINES_PER_ITEM + 5 {
            logs.push(Level::Info, "x".into());
        }
        let lines = logs.take();
        assert_eq!(lines.len(), LOG_LINES_PER_ITEM as usize + 1);
        assert_eq!(lines.last().map(|line| line.1.as_str()), Some("5 more log lines were dropped"));
        logs.next_item();
        logs.push(Level::Info, "y".into());
        assert_eq!(logs.take().len(), 1);
    }
}
