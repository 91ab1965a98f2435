//! The sections that say what a component exports and imports, as C and Zig sources and as bytes to append: made from
//! `wit/kernel.wit`, and compared with what the repository has.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use wit_component::{StringEncoding, metadata};
use wit_parser::Resolve;

/// Name of a set of types, and what is in the world that has it.
const WORLDS: [(&str, &str); 8] = [
    ("host", "import taskhost:kernel/types@VERSION; include taskhost:kernel/host@VERSION;"),
    ("mapper", "export taskhost:kernel/mapper@VERSION;"),
    ("flat_mapper", "export taskhost:kernel/flat-mapper@VERSION;"),
    ("packed_mapper", "export taskhost:kernel/packed-mapper@VERSION;"),
    ("image_filter", "export taskhost:kernel/image-filter@VERSION;"),
    ("describe", "export taskhost:kernel/describe@VERSION;"),
    ("lifecycle", "export taskhost:kernel/lifecycle@VERSION;"),
    ("reducer", "export taskhost:kernel/reducer@VERSION;"),
];

/// Makes the files instead of comparing them.
const UPDATE: &str = "TASKHOST_UPDATE";

/// Bytes in one line of source.
const BYTES_PER_LINE: usize = 32;

/// The contract, and the worlds of its own that a kernel may have.
fn resolve() -> Resolve {
    let mut resolve = Resolve::default();
    resolve.push_str("kernel.wit", include_str!("../../wit/kernel.wit")).unwrap();
    resolve.push_str("worlds.wit", include_str!("../../plugins/languages/wit/worlds.wit")).unwrap();
    resolve
}

/// The version of the contract.
fn version() -> String {
    let resolve = resolve();
    let names = resolve.package_names.keys();
    names.into_iter().find(|name| name.namespace == "taskhost").unwrap().version.as_ref().unwrap().to_string()
}

/// The section for one world, as bytes of assembly: the same for both languages, but for how a text is written.
fn directives(name: &str, world: &str) -> Vec<String> {
    let (mut resolve, kebab) = (resolve(), name.replace('_', "-"));
    let world = world.replace("VERSION", &version());
    let source = format!("package taskhost:bindings-{kebab}; world {kebab} {{ {world} }}");
    let package = resolve.push_str("bindings.wit", &source).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let bytes = metadata::encode(&resolve, world, StringEncoding::UTF8, None).unwrap();
    let mut lines = vec![format!(".section \\\".custom_section.component-type:taskhost-{kebab}\\\",\\\"\\\",@")];
    for chunk in bytes.chunks(BYTES_PER_LINE) {
        let numbers: Vec<String> = chunk.iter().map(u8::to_string).collect();
        lines.push(format!(".byte {}", numbers.join(",")));
    }
    // Leaves the assembler where code belongs.
    lines.push(".text".into());
    lines
}

/// The whole section for a world, to be appended to a module: for compilers that cannot make sections.
fn section(world: &str) -> Vec<u8> {
    let resolve = resolve();
    let (package, name) = world.split_once('/').unwrap();
    let mut packages = resolve.package_names.iter();
    let (_, package) = packages.find(|(known, _)| format!("{}:{}", known.namespace, known.name) == package).unwrap();
    let id = resolve.select_world(&[*package], Some(name)).unwrap();
    let content = metadata::encode(&resolve, id, StringEncoding::UTF8, None).unwrap();
    let title = format!("component-type:{name}");
    let mut body = length(title.len());
    body.extend_from_slice(title.as_bytes());
    body.extend_from_slice(&content);
    // 0 is a section of one's own.
    [vec![0], length(body.len()), body].concat()
}

/// A number as it stands in a module, LEB128.
fn length(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number % 128) as u8;
        number /= 128;
        bytes.push(if number == 0 { low } else { low | 128 });
        if number == 0 {
            return bytes;
        }
    }
}

fn header() -> String {
    let mut text = String::from(
        "/* The types of taskhost:kernel, for taskhost_component.h. Made from wit/kernel.wit by a command that stands in\n   \
         plugins/languages/README.md; do not change it by hand. */\n",
    );
    writeln!(text, "#define TASKHOST_KERNEL_VERSION \"{}\"", version()).unwrap();
    for (name, world) in WORLDS {
        writeln!(text, "#define TASKHOST__TYPES_OF_{} __asm__( \\", name.to_uppercase()).unwrap();
        for line in directives(name, world) {
            writeln!(text, "    \"{line}\\n\" \\").unwrap();
        }
        text.push_str("    );\n");
    }
    text
}

fn zig() -> String {
    let mut text = String::from(
        "//! The types of taskhost:kernel, for taskhost.zig. Made from wit/kernel.wit by a command that stands in\n\
         //! plugins/languages/README.md; do not change it by hand.\n\n",
    );
    writeln!(text, "pub const version = \"{}\";", version()).unwrap();
    for (name, world) in WORLDS {
        // Assembly must lie outside of functions; it is part of a program that refers to the type it lies in.
        writeln!(text, "\npub const {name} = struct {{\n    comptime {{\n        asm (").unwrap();
        for line in directives(name, world) {
            writeln!(text, "            \\\\{}", line.replace("\\\"", "\"")).unwrap();
        }
        text.push_str("        );\n    }\n};\n");
    }
    text
}

/// The files, relative to `plugins/languages`.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = vec![
        ("c/taskhost_types.h".to_owned(), header().into_bytes()),
        ("zig/types.zig".to_owned(), zig().into_bytes()),
    ];
    let worlds = super::worlds::all().into_iter();
    files.extend(worlds.map(|world| (format!("types/{}", world.section()), section(&world.full()))));
    files
}

#[test]
fn the_types_of_components_are_those_of_the_contract() {
    let languages = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/languages");
    for (path, bytes) in files() {
        let path = languages.join(path);
        if std::env::var_os(UPDATE).is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
        } else {
            let kept = fs::read(&path).unwrap_or_default();
            assert!(kept == bytes, "{} is out of date: run this test with {UPDATE}=1", path.display());
        }
    }
}
