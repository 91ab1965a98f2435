//! What projects are made of: files of this repository, so that a new project has what the tests of it ran with.

/// The tables that say how kernels are built, and with which releases of compilers.
pub(super) const COMMANDS: &str = include_str!("../../../plugins/languages/README.md");
pub(super) const SETUP: &str = include_str!("../../../plugins/languages/setup.sh");

/// For every project.
pub(super) const WIT: [(&str, &str); 2] = [
    ("wit/kernel.wit", include_str!("../../../wit/kernel.wit")),
    ("wit/README.md", include_str!("../../../wit/README.md")),
];

/// For tools that take a folder of WIT: a world of the project's own, which may export more than one of the contract.
pub(super) const WORLD: [(&str, &str); 2] = [
    ("wit/world.wit", include_str!("templates/world.wit")),
    ("wit/deps/kernel.wit", include_str!("../../../wit/kernel.wit")),
];

/// For compilers that make no sections: what says of which world a component is.
pub(super) const SECTIONS: [(&str, &[u8]); 5] = [
    ("types/minimal.section", include_bytes!("../../../plugins/languages/types/minimal.section")),
    ("types/map-kernel.section", include_bytes!("../../../plugins/languages/types/map-kernel.section")),
    ("types/filter-kernel.section", include_bytes!("../../../plugins/languages/types/filter-kernel.section")),
    ("types/reduce-kernel.section", include_bytes!("../../../plugins/languages/types/reduce-kernel.section")),
    ("types/image-kernel.section", include_bytes!("../../../plugins/languages/types/image-kernel.section")),
];
pub(super) const ABI: &str = include_str!("../../../docs/abi.md");
pub(super) const README: &str = include_str!("templates/README.md");
pub(super) const IGNORED: &str = include_str!("templates/gitignore");
pub(super) const INPUT: &str = include_str!("templates/input.txt");

/// The first lines of a build script, and what finds or installs the compiler.
pub(super) const BUILD: &str = include_str!("templates/tools/head.sh");
pub(super) const ZIG: &str = include_str!("templates/tools/zig.sh");
pub(super) const GO: &str = include_str!("templates/tools/go.sh");
pub(super) const PYTHON: &str = include_str!("templates/tools/python.sh");
pub(super) const ASSEMBLYSCRIPT: &str = include_str!("templates/tools/assemblyscript.sh");
pub(super) const JAVASCRIPT: &str = include_str!("templates/tools/javascript.sh");
pub(super) const RUST: &str = include_str!("templates/tools/rust.sh");
pub(super) const RUST_COMMAND: &str = include_str!("templates/tools/rust-command.sh");
pub(super) const WASI_LIBC: (&str, &str) = ("wasi-libc.sh", include_str!("../../../plugins/languages/wasi-libc.sh"));

/// Kernels, and programs that know nothing of taskhost.
pub(super) const KERNEL_C: &str = include_str!("templates/kernel.c");
pub(super) const COMMAND_C: &str = include_str!("templates/command.c");
pub(super) const KERNEL_CPP: &str = include_str!("templates/kernel.cpp");
pub(super) const COMMAND_CPP: &str = include_str!("templates/command.cpp");
pub(super) const KERNEL_ZIG: &str = include_str!("templates/kernel.zig");
pub(super) const COMMAND_ZIG: &str = include_str!("templates/command.zig");
pub(super) const KERNEL_GO: &str = include_str!("templates/kernel.go");
pub(super) const COMMAND_GO: &str = include_str!("templates/command.go");
pub(super) const KERNEL_TS: &str = include_str!("templates/kernel.ts");
pub(super) const COMPONENT_TS: &str = include_str!("templates/component.ts");
pub(super) const KERNEL_JS: &str = include_str!("templates/kernel.js");
pub(super) const KERNEL_PY: &str = include_str!("templates/kernel.py");
pub(super) const KERNEL_RS: &str = include_str!("templates/rust/lib.rs");
pub(super) const COMMAND_RS: &str = include_str!("templates/rust/main.rs");

/// What kernels are written with.
pub(super) const LIBRARY_C: [(&str, &str); 5] = [
    ("taskhost.h", include_str!("../../../plugins/languages/c/taskhost.h")),
    ("taskhost_component.h", include_str!("../../../plugins/languages/c/taskhost_component.h")),
    ("taskhost_packed.h", include_str!("../../../plugins/languages/c/taskhost_packed.h")),
    ("taskhost_image.h", include_str!("../../../plugins/languages/c/taskhost_image.h")),
    ("taskhost_types.h", include_str!("../../../plugins/languages/c/taskhost_types.h")),
];
pub(super) const LIBRARY_CPP: (&str, &str) =
    ("taskhost.hpp", include_str!("../../../plugins/languages/cpp/taskhost.hpp"));
pub(super) const LIBRARY_ZIG: [(&str, &str); 3] = [
    ("taskhost.zig", include_str!("../../../plugins/languages/zig/taskhost.zig")),
    ("component.zig", include_str!("../../../plugins/languages/zig/component.zig")),
    ("types.zig", include_str!("../../../plugins/languages/zig/types.zig")),
];
pub(super) const GO_MODULE: (&str, &str) = ("go.mod", include_str!("../../../plugins/languages/go/go.mod"));
pub(super) const LIBRARY_GO: [(&str, &str); 7] = [
    ("taskhost/taskhost.go", include_str!("../../../plugins/languages/go/taskhost/taskhost.go")),
    ("taskhost/raw.go", include_str!("../../../plugins/languages/go/taskhost/raw.go")),
    ("taskhost/component.go", include_str!("../../../plugins/languages/go/taskhost/component.go")),
    ("taskhost/imports.go", include_str!("../../../plugins/languages/go/taskhost/imports.go")),
    ("taskhost/image.go", include_str!("../../../plugins/languages/go/taskhost/image.go")),
    ("taskhost/reduce/raw.go", include_str!("../../../plugins/languages/go/taskhost/reduce/raw.go")),
    ("taskhost/reduce/reduce.go", include_str!("../../../plugins/languages/go/taskhost/reduce/reduce.go")),
];
pub(super) const LIBRARY_TS: (&str, &str) =
    ("taskhost.ts", include_str!("../../../plugins/languages/assemblyscript/taskhost.ts"));
pub(super) const LIBRARY_TS_COMPONENT: [(&str, &str); 2] = [
    ("component.ts", include_str!("../../../plugins/languages/assemblyscript/component/component.ts")),
    ("exports.mjs", include_str!("../../../plugins/languages/assemblyscript/component/exports.mjs")),
];
pub(super) const LIBRARY_JS: (&str, &str) =
    ("taskhost.js", include_str!("../../../plugins/languages/javascript/taskhost.js"));
pub(super) const LIBRARY_PY: (&str, &str) =
    ("taskhost.py", include_str!("../../../plugins/languages/python/taskhost.py"));
