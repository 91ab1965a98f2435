//! `docs/performance.md`: what is written by hand stays, and so do the rows that were not measured this time.

use std::collections::BTreeMap;

use crate::page::HEAD;

/// What stands in front of the part that is written by the program, and behind it.
const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";

/// What stands in front of a row.
const ROW: &str = "### ";

/// A row on the page.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Entry {
    /// Its lines in the table of targets.
    pub(crate) targets: String,
    /// Its own part, from its title on.
    pub(crate) section: String,
}

/// The page with these rows in place of what was known of them; `order` has the names of all rows.
pub(crate) fn update(page: &str, machine: &str, new: BTreeMap<&str, Entry>, order: &[&str]) -> String {
    let (before, old, after) = match page.split_once(BEGIN).and_then(|(before, rest)| {
        let (old, after) = rest.split_once(END)?;
        Some((before, old, after))
    }) {
        Some(parts) => parts,
        None => (page, "", ""),
    };
    let mut entries = read(old, order);
    entries.extend(new);
    let known = || order.iter().filter_map(|name| entries.get(name));
    let targets: String = known().map(|entry| entry.targets.as_str()).collect();
    let sections: String = known().map(|entry| format!("{}\n\n", entry.section.trim())).collect();
    let measured = format!("{machine}\n## Targets\n\n{HEAD}{targets}\n## Rows\n\n{}", sections.trim());
    format!("{before}{BEGIN}\n\n{measured}\n\n{END}{after}")
}

/// The rows of an earlier page.
fn read<'a>(old: &str, order: &[&'a str]) -> BTreeMap<&'a str, Entry> {
    let mut entries = BTreeMap::new();
    for section in old.split(&format!("\n{ROW}")).skip(1) {
        let title = section.lines().next().unwrap_or_default();
        let Some(name) = order.iter().find(|name| **name == title) else { continue };
        let start = format!("| {name} |");
        let targets = old.lines().filter(|line| line.starts_with(&start)).map(|line| format!("{line}\n")).collect();
        entries.insert(*name, Entry { targets, section: format!("{ROW}{section}") });
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: [&str; 2] = ["start", "sobel"];

    fn entry(name: &str, figure: u32) -> Entry {
        Entry { targets: format!("| {name} | {figure} |\n"), section: format!("### {name}\n\nmeasured {figure}") }
    }

    #[test]
    fn what_is_written_by_hand_and_other_rows_stay() {
        let page = format!("before\n{BEGIN}\n\nNot measured yet.\n\n{END}\nafter\n");
        let one = update(&page, "machine\n", BTreeMap::from([("sobel", entry("sobel", 1))]), &ORDER);
        let two = update(&one, "machine\n", BTreeMap::from([("start", entry("start", 2))]), &ORDER);
        assert!(two.starts_with("before\n") && two.ends_with("\nafter\n"), "{two}");
        let places = ["| start | 2 |", "| sobel | 1 |", "### start\n\nmeasured 2", "### sobel\n\nmeasured 1"];
        assert!(places.map(|text| two.find(text)).is_sorted(), "{two}");
        assert!(places.iter().all(|text| two.matches(text).count() == 1), "{two}");
        let again = update(&two, "machine\n", BTreeMap::from([("start", entry("start", 3))]), &ORDER);
        assert!(
            !again.contains("measured 2") && again.contains("measured 3") && again.contains("measured 1"),
            "{again}"
        );
    }
}
