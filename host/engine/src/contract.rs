//! The contract as a table: every function of `taskhost:kernel` with its type, written as `render` writes it. A test
//! compares the table with `wit/kernel.wit`.

/// What the names of the contract's interfaces begin with.
pub(crate) const PACKAGE: &str = "taskhost:kernel/";

/// Versions that kernels may be built for begin with this: from 1.0 on, whatever is added later only adds.
pub(crate) const VERSIONS: &str = "1.";

/// One function: interface, name, type.
pub(crate) type Function = (&'static str, &'static str, &'static str);

macro_rules! error {
    () => {
        "variant { invalid-input(string), failed(string), temporary(string) }"
    };
}

macro_rules! bytes_or_error {
    () => {
        concat!("result<list<u8>, ", error!(), ">")
    };
}

macro_rules! packed {
    () => {
        "record { bytes: list<u8>, ends: list<u32> }"
    };
}

macro_rules! picture {
    () => {
        concat!(
            "record { width: u32, height: u32, channels: u32, sample: enum { unsigned8, unsigned16, signed16, ",
            "unsigned32, signed32, float32, float64 } }"
        )
    };
}

/// What kernels may export.
pub(crate) const EXPORTS: [Function; 9] = [
    ("mapper", "process", concat!("func(item: list<u8>) -> ", bytes_or_error!())),
    ("flat-mapper", "process", concat!("func(item: list<u8>) -> result<list<list<u8>>, ", error!(), ">")),
    (
        "packed-mapper",
        "process",
        concat!(
            "func(items: ",
            packed!(),
            ") -> record { results: ",
            packed!(),
            ", counts: list<u32>, failures: list<tuple<u32, ",
            error!(),
            ">> }"
        ),
    ),
    ("reducer", "combine", concat!("func(parts: list<list<u8>>) -> ", bytes_or_error!())),
    ("reducer", "finish", concat!("func(total: list<u8>) -> ", bytes_or_error!())),
    (
        "image-filter",
        "prepare",
        concat!(
            "func(input: ",
            picture!(),
            ") -> result<record { cut: variant { strips(u32), whole }, output: ",
            picture!(),
            " }, ",
            error!(),
            ">"
        ),
    ),
    (
        "image-filter",
        "filter",
        concat!(
            "func(tile: record { image: ",
            picture!(),
            ", first-row: u32, rows: u32, above: u32, below: u32, samples: list<u8> }) -> ",
            bytes_or_error!()
        ),
    ),
    (
        "describe",
        "describe",
        concat!(
            "func() -> record { summary: string, split: string, merge: string, ",
            "result-length: variant { unknown, same, exactly(u32) }, ",
            "settings: list<record { name: string, default: option<string>, help: string }> }"
        ),
    ),
    ("lifecycle", "start", concat!("func() -> result<_, ", error!(), ">")),
];

/// What the host offers.
pub(crate) const IMPORTS: [Function; 8] = [
    ("config", "get", "func(name: string) -> option<string>"),
    ("config", "all", "func() -> list<tuple<string, string>>"),
    ("item", "current", "func() -> record { position: u64, source: string, offset: u64 }"),
    ("item", "header", "func() -> option<list<u8>>"),
    ("log", "log", "func(level: enum { debug, info, warn, error }, message: string)"),
    ("broadcast", "size", "func(name: string) -> option<u64>"),
    ("broadcast", "read", "func(name: string, offset: u64, length: u32) -> result<list<u8>, string>"),
    ("counter", "add", "func(name: string, amount: u64)"),
];

/// The interface that only holds types: it may be imported and has no functions.
pub(crate) const TYPES: &str = "types";

/// The interface of the contract that `name` names, when it is of a version that is offered.
pub(crate) fn interface(name: &str) -> Option<&str> {
    let (interface, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
    version.starts_with(VERSIONS).then_some(interface)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
    use wit_parser::Resolve;

    use super::*;
    use crate::survey::{Entry, Survey};

    const WORLD: &str = "package taskhost:test; world whole { include taskhost:kernel/host@1.0.0; \
        export taskhost:kernel/mapper@1.0.0; export taskhost:kernel/flat-mapper@1.0.0; \
        export taskhost:kernel/packed-mapper@1.0.0; export taskhost:kernel/reducer@1.0.0; \
        export taskhost:kernel/image-filter@1.0.0; export taskhost:kernel/describe@1.0.0; \
        export taskhost:kernel/lifecycle@1.0.0; }";

    /// The functions of the contract as a core module has them: with so many 32-bit parameters.
    const CORE_EXPORTS: [(&str, &str, usize); 9] = [
        ("mapper", "process", 2),
        ("flat-mapper", "process", 2),
        ("packed-mapper", "process", 4),
        ("reducer", "combine", 2),
        ("reducer", "finish", 2),
        ("image-filter", "prepare", 4),
        ("image-filter", "filter", 10),
        ("describe", "describe", 0),
        ("lifecycle", "start", 0),
    ];

    const CORE_IMPORTS: [(&str, &str, &str); 8] = [
        ("config", "get", "i32 i32 i32"),
        ("config", "all", "i32"),
        ("item", "current", "i32"),
        ("item", "header", "i32"),
        ("log", "log", "i32 i32 i32"),
        ("broadcast", "size", "i32 i32 i32"),
        ("broadcast", "read", "i32 i32 i64 i32 i32"),
        ("counter", "add", "i32 i32 i64"),
    ];

    /// A component with every import and export of the contract, as the WIT has them.
    fn whole_contract() -> Survey {
        let mut text = String::from("(module ");
        for (interface, name, params) in CORE_IMPORTS {
            text += &format!("(import \"{PACKAGE}{interface}@1.0.0\" \"{name}\" (func (param {params})))");
        }
        text += "(memory (export \"memory\") 1)\
            (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) unreachable)";
        for (interface, name, params) in CORE_EXPORTS {
            let params = "i32 ".repeat(params);
            text += &format!(
                "(func (export \"{PACKAGE}{interface}@1.0.0#{name}\") (param {params}) (result i32) unreachable)"
            );
        }
        let mut module = wat::parse_str(text + ")").expect("the text parses");
        let mut resolve = Resolve::default();
        resolve.push_str("kernel.wit", include_str!("../../../wit/kernel.wit")).expect("the contract parses");
        let package = resolve.push_str("whole.wit", WORLD).expect("the world parses");
        let world = resolve.select_world(&[package], None).expect("there is one world");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("it embeds");
        let mut encoder = ComponentEncoder::default().module(&module).expect("it is a module");
        Survey::of(&encoder.encode().expect("it encodes")).expect("it is valid")
    }

    fn functions(entries: &[Entry]) -> BTreeSet<(String, String, String)> {
        let of = |entry: &Entry| {
            let interface = interface(&entry.name).expect("all names are of the contract").to_owned();
            let row = move |(name, ty): &(String, String)| (interface.clone(), name.clone(), ty.clone());
            entry.functions.iter().map(row).collect::<Vec<_>>()
        };
        entries.iter().flat_map(of).collect()
    }

    fn table(functions: &[Function]) -> BTreeSet<(String, String, String)> {
        functions.iter().map(|(interface, name, ty)| ((*interface).into(), (*name).into(), (*ty).into())).collect()
    }

    #[test]
    fn the_table_is_the_contract() {
        let contract = whole_contract();
        assert_eq!(functions(&contract.exports), table(&EXPORTS));
        assert_eq!(functions(&contract.imports), table(&IMPORTS));
    }
}
