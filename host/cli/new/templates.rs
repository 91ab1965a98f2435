//! What projects are made of: files of this repository, so that a new project has what the tests of it ran with.

/// The tables that say how kernels are built, and with which releases of compilers.
pub(super) const COMMANDS: &str = include_str!("../../../plugins/languages/README.md");
pub(super) const SETUP: &str = include_str!("../../../plugins/languages/setup.sh");

/// For every project.
pub(super) const WIT: [(&str, &str); 2] = [
    ("wit/kernel.wit", include_str!("../../../wit/kernel.wit")),
    ("wit/README.md", include_str!("../../../wit/README.md")),
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
pub(super) const KERNEL_JS: &str = include_str!("templates/kernel.js");
pub(super) const KERNEL_PY: &str = include_str!("templates/kernel.py");
pub(super) const KERNEL_RS: &str = include_str!("templates/rust/lib.rs");

/// What kernels are written with.
pub(super) const LIBRARY_C: [(&str, &str); 3] = [
    ("taskhost.h", include_str!("../../../plugins/languages/c/taskhost.h")),
    ("taskhost_component.h", include_str!("../../../plugins/languages/c/taskhost_component.h")),
    ("taskhost_types.h", include_str!("../../../plugins/languages/c/taskhost_types.h")),
];
pub(super) const LIBRARY_CPP: (&str, &str) =
    ("taskhost.hpp", include_str!("../../../plugins/languages/cpp/taskhost.hpp"));
pub(super) const LIBRARY_ZIG: [(&str, &str); 2] = [
    ("taskhost.zig", include_str!("../../../plugins/languages/zig/taskhost.zig")),
    ("types.zig", include_str!("../../../plugins/languages/zig/types.zig")),
];
pub(super) const GO_MODULE: (&str, &str) = ("go.mod", include_str!("../../../plugins/languages/go/go.mod"));
pub(super) const LIBRARY_GO: [(&str, &str); 2] = [
    ("taskhost/taskhost.go", include_str!("../../../plugins/languages/go/taskhost/taskhost.go")),
    ("taskhost/reduce/reduce.go", include_str!("../../../plugins/languages/go/taskhost/reduce/reduce.go")),
];
pub(super) const LIBRARY_TS: (&str, &str) =
    ("taskhost.ts", include_str!("../../../plugins/languages/assemblyscript/taskhost.ts"));
pub(super) const LIBRARY_JS: (&str, &str) =
    ("taskhost.js", include_str!("../../../plugins/languages/javascript/taskhost.js"));
pub(super) const LIBRARY_PY: (&str, &str) =
    ("taskhost.py", include_str!("../../../plugins/languages/python/taskhost.py"));
