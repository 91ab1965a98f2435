//! What a project in Rust needs beyond its source: the library for kernels, as a folder in the project.

/// The manifest of the project.
pub(super) const MANIFEST: &str = include_str!("templates/rust/manifest.toml");

/// The manifest of a program that knows nothing of taskhost.
pub(super) const PROGRAM: &str = include_str!("templates/rust/program.toml");

/// The releases that the first-party kernels are built with; cargo leaves out what the project does not need.
pub(super) const LOCK: &str = include_str!("../../../plugins/Cargo.lock");

macro_rules! library {
    ($($path:literal),* $(,)?) => {
        /// The library, by path in the folder `vendor`.
        pub(super) const LIBRARY: &[(&str, &str)] =
            &[$((concat!("vendor/sdk/", $path), include_str!(concat!("../../../plugins/sdk/", $path)))),*];
    };
}

library![
    "Cargo.toml",
    "macros/Cargo.toml",
    "macros/src/lib.rs",
    "src/bindings.rs",
    "src/description.rs",
    "src/error.rs",
    "src/export.rs",
    "src/glue.rs",
    "src/host/broadcast.rs",
    "src/host/config.rs",
    "src/host/counter.rs",
    "src/host/item.rs",
    "src/host/log.rs",
    "src/host/mod.rs",
    "src/kernel.rs",
    "src/lib.rs",
    "src/packed.rs",
    "src/picture.rs",
    "src/samples.rs",
    "src/setup.rs",
    "src/testing/mod.rs",
    "src/testing/pictures.rs",
    "src/typed.rs",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn plugins() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/plugins"))
    }

    #[test]
    fn all_of_the_library_is_there() {
        let mut found = BTreeSet::new();
        let mut folders = vec![plugins().join("sdk/src"), plugins().join("sdk/macros/src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("the library is there") {
                let path = entry.expect("it can be listed").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let path = path.strip_prefix(plugins()).expect("it lies there");
                    found.insert(format!("vendor/{}", path.display()));
                }
            }
        }
        let listed: BTreeSet<String> =
            LIBRARY.iter().map(|(path, _)| (*path).to_owned()).filter(|path| path.ends_with(".rs")).collect();
        assert_eq!(listed, found);
    }

    #[test]
    fn dependencies_are_those_of_the_kernels_here() {
        let ours = std::fs::read_to_string(plugins().join("Cargo.toml")).expect("it is there");
        let (_, after) = MANIFEST.split_once("[workspace.dependencies]").expect("it has that table");
        let (table, _) = after.split_once("\n[").expect("others follow");
        let lines = table.lines().filter(|line| line.contains("version = "));
        let missing: Vec<&str> = lines.filter(|line| !ours.lines().any(|other| other == *line)).collect();
        assert!(missing.is_empty(), "plugins/Cargo.toml has others than {missing:#?}");
    }
}
