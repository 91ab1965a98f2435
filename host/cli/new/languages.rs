//! What is special about each language: what its kernels can be, their source, their tools.

use crate::args::{KindName, Language};

use super::templates as template;

/// What is special about a language.
pub(super) struct Facts {
    /// As the table of commands calls it.
    pub(super) name: &'static str,
    /// The kernel's source: its path and its text.
    pub(super) source: (&'static str, &'static str),
    /// What it is written with.
    pub(super) library: Vec<(&'static str, &'static str)>,
    /// What finds the compiler, and the line of `setup.sh` with its release.
    pub(super) tools: (&'static str, &'static str),
    /// What a build needs, as a sentence.
    pub(super) needs: &'static str,
    /// What the first build takes.
    pub(super) first: &'static str,
    /// Whether its tools take a folder of WIT with a world of the project's own.
    pub(super) has_world: bool,
    /// Whether its compiler makes no sections.
    pub(super) needs_section: bool,
}

/// What kernels in a language can be, the usual first.
pub(super) fn kinds(language: Language) -> &'static [KindName] {
    match language {
        Language::C | Language::Cpp | Language::Zig => &[KindName::Component, KindName::Raw, KindName::Command],
        Language::Go => &[KindName::Raw, KindName::Component, KindName::Command],
        Language::AssemblyScript => &[KindName::Raw, KindName::Component],
        Language::Rust => &[KindName::Component, KindName::Command],
        Language::JavaScript | Language::Python => &[KindName::Component],
    }
}

/// All that is special about a language, for one kind of kernel.
pub(super) fn facts(language: Language, kind: KindName) -> Facts {
    let is_command = kind == KindName::Command;
    // The kernel, or the program that knows nothing of taskhost.
    let either = |kernel, command| if is_command { command } else { kernel };
    // A program needs none of it.
    let of_kernels = |library: Vec<(&'static str, &'static str)>| if is_command { Vec::new() } else { library };
    let component_ts: Vec<_> = template::LIBRARY_TS_COMPONENT.into_iter().chain([template::LIBRARY_TS]).collect();
    let zig = (template::ZIG, "zig_version");
    let needs_zig = "Takes zig from PATH; without one, a pinned release is installed here from the Python registry.";
    let half_a_minute = "the first time takes half a minute";
    match language {
        Language::C => Facts {
            name: "C",
            source: ("kernel.c", either(template::KERNEL_C, template::COMMAND_C)),
            library: of_kernels(template::LIBRARY_C.to_vec()),
            tools: zig,
            needs: needs_zig,
            first: half_a_minute,
            has_world: false,
            needs_section: false,
        },
        Language::Cpp => Facts {
            name: "C++",
            source: ("kernel.cpp", either(template::KERNEL_CPP, template::COMMAND_CPP)),
            library: of_kernels(std::iter::once(template::LIBRARY_CPP).chain(template::LIBRARY_C).collect()),
            tools: zig,
            needs: needs_zig,
            first: half_a_minute,
            has_world: false,
            needs_section: false,
        },
        Language::Zig => Facts {
            name: "Zig",
            source: ("kernel.zig", either(template::KERNEL_ZIG, template::COMMAND_ZIG)),
            library: of_kernels(template::LIBRARY_ZIG.to_vec()),
            tools: zig,
            needs: needs_zig,
            first: "some seconds",
            has_world: false,
            needs_section: false,
        },
        Language::Go => Facts {
            name: "Go",
            source: ("main.go", either(template::KERNEL_GO, template::COMMAND_GO)),
            library: of_kernels(template::LIBRARY_GO.to_vec()),
            tools: (template::GO, "go_version"),
            needs: "Takes go from PATH; without one, a pinned release is installed here from the Python registry.",
            first: half_a_minute,
            has_world: false,
            needs_section: true,
        },
        Language::AssemblyScript => Facts {
            name: "AssemblyScript",
            source: ("kernel.ts", if kind == KindName::Raw { template::KERNEL_TS } else { template::COMPONENT_TS }),
            library: if kind == KindName::Raw { vec![template::LIBRARY_TS] } else { component_ts },
            tools: (template::ASSEMBLYSCRIPT, "assemblyscript_version"),
            needs: "Takes asc from PATH; without one, a pinned release is installed here with npm.",
            first: "some seconds",
            has_world: false,
            needs_section: true,
        },
        Language::JavaScript => Facts {
            name: "JavaScript",
            source: ("kernel.js", template::KERNEL_JS),
            library: vec![template::LIBRARY_JS],
            tools: (template::JAVASCRIPT, "componentize_qjs_version"),
            needs: "Takes componentize-qjs from PATH; without one, a pinned release is installed here with npm.",
            first: "some seconds",
            has_world: true,
            needs_section: false,
        },
        Language::Python => Facts {
            name: "Python",
            source: ("kernel.py", template::KERNEL_PY),
            library: vec![template::LIBRARY_PY],
            tools: (template::PYTHON, "componentize_py_version"),
            needs: "Takes componentize-py from PATH; without one, a pinned release is installed here from the Python registry.",
            first: "some seconds",
            has_world: true,
            needs_section: false,
        },
        Language::Rust if is_command => Facts {
            name: "Rust",
            source: ("src/main.rs", template::COMMAND_RS),
            library: Vec::new(),
            tools: (template::RUST_COMMAND, "zig_version"),
            needs: "Takes cargo, with the target wasm32-wasip1: rustup target add wasm32-wasip1",
            first: half_a_minute,
            has_world: false,
            needs_section: false,
        },
        Language::Rust => Facts {
            name: "Rust",
            source: ("src/lib.rs", template::KERNEL_RS),
            library: Vec::new(),
            tools: (template::RUST, ""),
            needs: "Takes cargo, with the target wasm32-unknown-unknown: rustup target add wasm32-unknown-unknown",
            first: half_a_minute,
            has_world: false,
            needs_section: false,
        },
    }
}
