//! Counts that are summed over all items and shown at the end.

use super::backend;

/// Adds to a count. What an item adds counts once, however often the item was tried, and not at all when it failed.
pub fn add(name: &str, amount: u64) {
    backend::counter::add(name, amount);
}
