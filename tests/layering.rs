//! Which package may depend on which, held against what cargo knows.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// The packages of this workspace, and those of them that each may depend on.
const ALLOWED: [(&str, &[&str]); 11] = [
    // The binary and the library façade.
    (
        "taskhost",
        &["taskhost-data", "taskhost-os", "taskhost-pool", "taskhost-protocol", "taskhost-service", "taskhost-worker"],
    ),
    // It starts no worker by itself: what it has done is done by processes of their own, or by whoever embeds it.
    ("taskhost-service", &["taskhost-os"]),
    ("taskhost-pool", &["taskhost-data", "taskhost-os", "taskhost-protocol"]),
    ("taskhost-worker", &["taskhost-codec", "taskhost-data", "taskhost-engine", "taskhost-os", "taskhost-protocol"]),
    ("taskhost-engine", &["taskhost-protocol"]),
    ("taskhost-codec", &["taskhost-protocol"]),
    ("taskhost-data", &["taskhost-protocol"]),
    ("taskhost-protocol", &[]),
    ("taskhost-os", &[]),
    // In place of a package of that name, which the reader of Parquet in `taskhost-codec` uses.
    ("zstd", &[]),
    // What everything is measured with is nobody's part.
    ("taskhost-compare", &["taskhost", "taskhost-engine", "taskhost-protocol"]),
];

/// Packages that one of ours alone may name, since everything about them has to be in one place.
const OWNED: [(&str, &str); 8] = [
    ("wasmtime", "taskhost-engine"),
    ("wasmtime-wasi", "taskhost-engine"),
    ("wit-component", "taskhost-engine"),
    ("image", "taskhost-codec"),
    ("flate2", "taskhost-codec"),
    ("parquet", "taskhost-codec"),
    ("ruzstd", "taskhost-codec"),
    ("clap", "taskhost"),
];

/// For each package of the workspace what it depends on, but not what its tests need.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"]);
    let output = cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let of_package = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        let needed = all.filter(|dependency| dependency["kind"] != "dev").map(|dependency| text(&dependency["name"]));
        (text(&package["name"]), needed.collect())
    };
    packages.map(of_package).collect()
}

#[test]
fn packages_depend_one_way() {
    let found = dependencies();
    assert_eq!(found.keys().collect::<Vec<_>>(), BTreeMap::from(ALLOWED).keys().collect::<Vec<_>>());
    for (package, allowed) in ALLOWED {
        for dependency in found[package].iter().filter(|name| name.starts_with("taskhost")) {
            assert!(allowed.contains(&dependency.as_str()), "{package} must not depend on {dependency}");
        }
    }
}

#[test]
fn some_packages_are_named_in_one_place_only() {
    for (package, dependencies) in dependencies() {
        for (owned, owner) in OWNED {
            // What stands in for a library in C is nothing but what it is made of.
            let is_owner = package == owner || (package == "zstd" && owned == "ruzstd");
            assert!(is_owner || !dependencies.contains(owned), "{package} must not depend on {owned}");
        }
    }
}
