//! The kernel of `docs/abi.md` that is written in a hex editor, byte for byte as it stands there.

use std::fs;
use std::path::Path;

use crate::harness::Place;

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/abi.md")).unwrap()
}

/// The bytes of the page's block of hexadecimal numbers, without what stands behind `;`.
fn bytes(page: &str) -> Vec<u8> {
    let (_, rest) = page.split_once("```hex\n").unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    let code = |line: &'_ str| line.split(';').next().unwrap_or_default().to_owned();
    let words: Vec<String> = block.lines().map(code).collect();
    words.join(" ").split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

#[test]
fn the_kernel_of_the_hex_editor_runs() {
    let page = page();
    let bytes = bytes(&page);
    assert!(page.contains(&format!("in {} bytes", bytes.len())), "it has {} bytes", bytes.len());
    let place = Place::new();
    place.write("first.wasm", bytes);
    let inspected = place.taskhost("inspect first.wasm").run().success();
    assert!(inspected.text().starts_with("raw module: "), "{}", inspected.text());
    let run =
        place.taskhost("run first.wasm --split lines --merge lines").input("one\nlonger than eight\n\n12345678\n");
    assert_eq!(run.run().success().text(), "one\nlonger t\n\n12345678\n");
}

/// The commands of the page that make the file and run it.
#[test]
fn its_commands_are_those_of_the_page() {
    let page = page();
    for command in ["xxd -r -p", "taskhost run first.wasm --split lines --merge lines"] {
        assert!(page.contains(command), "{command}");
    }
}

#[test]
fn the_page_names_all_of_the_interface() {
    let page = page();
    let exports = "memory taskhost_alloc taskhost_process taskhost_error taskhost_describe taskhost_start taskhost_combine \
        taskhost_finish _initialize";
    let imports = "config_get log item_position item_offset counter_add";
    for name in exports.split_whitespace().chain(imports.split_whitespace()) {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}
