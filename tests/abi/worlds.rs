//! Which world each kernel is built for, and that every language has a kernel of every world, or says why not.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::build::{Row, rows};

/// A kernel, and the world it is of.
const KERNELS: [(&str, World); 10] = [
    ("minimal", World("taskhost:kernel", "minimal")),
    ("invert", World("taskhost:kernel", "map-kernel")),
    ("broken", World("taskhost:kernel", "map-kernel")),
    ("dice", World("taskhost:kernel", "map-kernel")),
    ("words", World("taskhost:kernel", "filter-kernel")),
    ("primes", World("taskhost:kernel", "reduce-kernel")),
    ("wordcount", World("taskhost:kernel", "reduce-kernel")),
    ("edges", World("taskhost:kernel", "image-kernel")),
    ("lengths", World("kernels:worlds", "packed")),
    ("prefix", World("kernels:worlds", "started")),
];

/// A world: the package and its name there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct World(pub(super) &'static str, pub(super) &'static str);

impl World {
    /// As tools for components take it.
    pub(super) fn full(self) -> String {
        format!("{}/{}", self.0, self.1)
    }

    /// Its section, for compilers that make none.
    pub(super) fn section(self) -> String {
        format!("{}.section", self.1)
    }
}

/// The world of a kernel.
pub(super) fn of(kernel: &str) -> World {
    KERNELS.iter().find(|(name, _)| *name == kernel).unwrap_or_else(|| panic!("{kernel} has no world")).1
}

/// All worlds.
pub(super) fn all() -> Vec<World> {
    let mut worlds: Vec<World> = KERNELS.iter().map(|(_, world)| *world).collect();
    worlds.sort();
    worlds.dedup();
    worlds
}

/// The second table of `plugins/languages/README.md`: by language and world, the kernel, or why there is none.
fn promised() -> BTreeMap<(String, String), String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/languages/README.md")).unwrap();
    let table = page.lines().skip_while(|line| !line.starts_with("| world |")).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> = table.filter(|line| !line.contains("---")).map(cells).collect();
    let (languages, rows) = rows.split_first().expect("the page has no table of worlds");
    let of_world = |row: &Vec<String>| {
        let world = row[0].split('`').nth(1).expect("a world").to_owned();
        let entry = |(language, cell): (&String, &String)| ((language.clone(), world.clone()), cell.clone());
        languages[1..].iter().zip(&row[1..]).map(entry).collect::<Vec<_>>()
    };
    rows.iter().flat_map(of_world).collect()
}

#[test]
fn every_language_has_every_world_or_says_why_not() {
    let (rows, promised) = (rows(), promised());
    let mut languages: Vec<&str> = rows.iter().map(|row| row.language.as_str()).collect();
    languages.dedup();
    for language in &languages {
        for world in all() {
            let has = |row: &&Row| row.language == *language && row.way == "component";
            let kernels: Vec<&str> = KERNELS
                .iter()
                .filter(|(kernel, of)| *of == world && rows.iter().filter(has).any(|row| row.has(kernel)))
                .map(|(kernel, _)| *kernel)
                .collect();
            let name = format!("{language}, {}", world.1);
            let cell = promised.get(&((*language).to_owned(), world.1.to_owned())).expect("the page has such a cell");
            if kernels.is_empty() {
                assert!(cell.len() > 20, "{name}: there is no kernel, and no reason on the page");
            } else {
                let listed: Vec<&str> = cell.split(", ").map(|kernel| kernel.trim_matches('`')).collect();
                assert!(listed.iter().all(|kernel| kernels.contains(kernel)), "{name}: {cell} instead of {kernels:?}");
            }
        }
    }
    assert_eq!(promised.len(), languages.len() * all().len(), "the page has other languages or worlds");
}

/// The worlds of the contract, as a parser sees them, each have a kernel here.
#[test]
fn every_world_of_the_contract_is_built() {
    let contract = include_str!("../../wit/kernel.wit");
    let names = contract.lines().filter_map(|line| line.strip_prefix("world ")?.split(' ').next());
    for name in names.filter(|name| *name != "host") {
        assert!(all().contains(&World("taskhost:kernel", name)), "{name}");
    }
}
