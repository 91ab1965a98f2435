//! The contract as a page: `docs/wit.md` is written from `wit/kernel.wit`, and compared.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use wit_parser::Resolve;

/// Writes the page instead of comparing it.
const UPDATE: &str = "TASKHOST_UPDATE";

const CONTRACT: &str = include_str!("../wit/kernel.wit");

/// An interface or a world: what it is, its documentation, its text without that.
struct Part {
    kind: &'static str,
    name: String,
    documentation: String,
    text: String,
}

/// The package's documentation, and its parts as they stand in the file.
fn parts() -> (String, Vec<Part>) {
    let (mut package, mut parts) = (String::new(), Vec::new());
    let mut documentation = String::new();
    let mut lines = CONTRACT.lines();
    while let Some(line) = lines.next() {
        if let Some(text) = line.strip_prefix("///") {
            documentation.push_str(text.strip_prefix(' ').unwrap_or(text));
            documentation.push('\n');
        } else if line.starts_with("package ") {
            package = std::mem::take(&mut documentation);
        } else if let Some(kind) = ["interface", "world"].into_iter().find(|kind| line.starts_with(&format!("{kind} ")))
        {
            let name = line.split(' ').nth(1).unwrap().to_owned();
            let mut text = format!("{line}\n");
            for line in lines.by_ref() {
                writeln!(text, "{line}").unwrap();
                if line == "}" {
                    break;
                }
            }
            parts.push(Part { kind, name, documentation: std::mem::take(&mut documentation), text });
        }
    }
    (package, parts)
}

fn page() -> String {
    let (package, parts) = parts();
    let mut page = String::from(
        "# The contract\n\nWritten from `wit/kernel.wit` by a test, which compares; see `wit/README.md`.\n\n",
    );
    writeln!(page, "{package}\n| | |\n| --- | --- |").unwrap();
    for Part { kind, name, documentation, .. } in &parts {
        let first = documentation.split("\n\n").next().unwrap().replace('\n', " ");
        let first = first.split_inclusive(". ").next().unwrap().trim();
        writeln!(page, "| [{kind} `{name}`](#{kind}-{name}) | {first} |").unwrap();
    }
    for Part { kind, name, documentation, text } in &parts {
        write!(page, "\n## {kind} `{name}`\n\n{documentation}\n```wit\n{text}```\n").unwrap();
    }
    page
}

#[test]
fn the_page_is_the_contract() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/wit.md");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, page()).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page(), "docs/wit.md is out of date: run this test with {UPDATE}=1");
}

/// What a parser knows of, compared with what the page found.
#[test]
fn the_page_has_every_interface_and_world() {
    let mut resolve = Resolve::default();
    resolve.push_str("kernel.wit", CONTRACT).unwrap();
    let interfaces = resolve.interfaces.iter().filter_map(|(_, interface)| interface.name.clone());
    let mut known: Vec<String> = interfaces.chain(resolve.worlds.iter().map(|(_, world)| world.name.clone())).collect();
    let mut found: Vec<String> = parts().1.into_iter().map(|part| part.name).collect();
    known.sort();
    found.sort();
    assert_eq!(found, known);
}

#[test]
fn everything_in_the_contract_is_documented() {
    let mut resolve = Resolve::default();
    resolve.push_str("kernel.wit", CONTRACT).unwrap();
    let mut silent = Vec::new();
    for (_, interface) in &resolve.interfaces {
        let name = interface.name.clone().unwrap();
        let functions = interface.functions.values().filter(|function| function.docs.contents.is_none());
        silent.extend(functions.map(|function| format!("{name}.{}", function.name)));
        let types = interface.types.iter().filter(|(_, id)| {
            let ty = &resolve.types[**id];
            // What is taken over from another interface is documented there.
            ty.docs.contents.is_none() && !matches!(ty.kind, wit_parser::TypeDefKind::Type(_))
        });
        silent.extend(types.map(|(ty, _)| format!("{name}.{ty}")));
        silent.extend(interface.docs.contents.is_none().then_some(name));
    }
    let worlds = resolve.worlds.iter().filter(|(_, world)| world.docs.contents.is_none());
    silent.extend(worlds.map(|(_, world)| world.name.clone()));
    assert_eq!(silent, Vec::<String>::new());
}
