//! The sections that say what a component exports and imports, as C and Zig sources: made from `wit/kernel.wit`, and
//! compared with what the repository has.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use wit_component::{StringEncoding, metadata};
use wit_parser::Resolve;

/// Name of a set of types, and the world that has it.
const WORLDS: [(&str, &str); 5] = [
    ("host", "import taskhost:kernel/types@0.1.0; include taskhost:kernel/host@0.1.0;"),
    ("mapper", "export taskhost:kernel/mapper@0.1.0;"),
    ("describe", "export taskhost:kernel/describe@0.1.0;"),
    ("lifecycle", "export taskhost:kernel/lifecycle@0.1.0;"),
    ("reducer", "export taskhost:kernel/reducer@0.1.0;"),
];

/// The version of the contract.
const VERSION: &str = "0.1.0";

/// Makes the files instead of comparing them.
const UPDATE: &str = "TASKHOST_UPDATE";

/// Bytes in one line of source.
const BYTES_PER_LINE: usize = 32;

/// The section for one world, as bytes of assembly: the same for both languages, but for how a text is written.
fn directives(name: &str, world: &str) -> Vec<String> {
    let mut resolve = Resolve::default();
    resolve.push_str("kernel.wit", include_str!("../../wit/kernel.wit")).unwrap();
    let source = format!("package taskhost:bindings-{name}; world {name} {{ {world} }}");
    let package = resolve.push_str("bindings.wit", &source).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let bytes = metadata::encode(&resolve, world, StringEncoding::UTF8, None).unwrap();
    let mut lines = vec![format!(".section \\\".custom_section.component-type:taskhost-{name}\\\",\\\"\\\",@")];
    for chunk in bytes.chunks(BYTES_PER_LINE) {
        let numbers: Vec<String> = chunk.iter().map(u8::to_string).collect();
        lines.push(format!(".byte {}", numbers.join(",")));
    }
    // Leaves the assembler where code belongs.
    lines.push(".text".into());
    lines
}

fn header() -> String {
    let mut text = String::from(
        "/* The types of taskhost:kernel, for taskhost_component.h. Made from wit/kernel.wit by a command that stands in\n   \
         plugins/languages/README.md; do not change it by hand. */\n",
    );
    writeln!(text, "#define TASKHOST_KERNEL_VERSION \"{VERSION}\"").unwrap();
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
    writeln!(text, "pub const version = \"{VERSION}\";").unwrap();
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

#[test]
fn the_types_for_c_and_zig_are_those_of_the_contract() {
    let languages = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/languages");
    for (path, text) in [("c/taskhost_types.h", header()), ("zig/types.zig", zig())] {
        let path = languages.join(path);
        if std::env::var_os(UPDATE).is_some() {
            fs::write(&path, text).unwrap();
        } else {
            let kept = fs::read_to_string(&path).unwrap_or_default();
            assert!(kept == text, "{} is out of date: run this test with {UPDATE}=1", path.display());
        }
    }
}
