//! The table of `plugins/languages/README.md`: its rows, and kernels built by what stands in them.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::worlds;

/// Where compilers are, when not in the target folder; `setup.sh` takes the same.
const TOOLCHAINS: &str = "TASKHOST_TOOLCHAINS";

/// With the value `full`, a compiler that is missing is a failure.
const REQUIRE: &str = "TASKHOST_REQUIRE";

/// One way of building kernels.
pub(super) struct Row {
    pub(super) language: String,
    /// As it is a kernel: raw, component or command.
    pub(super) way: String,
    /// Name of what `setup.sh` installs for it.
    pub(super) tools: String,
    /// Relative to `plugins/languages`.
    folder: String,
    pub(super) command: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn languages() -> PathBuf {
    root().join("plugins/languages")
}

/// All rows of the table.
pub(super) fn rows() -> Vec<Row> {
    let text = fs::read_to_string(languages().join("README.md")).unwrap();
    let table = text.lines().skip_while(|line| !line.starts_with("| language |")).skip(1);
    let table = table.take_while(|line| line.starts_with('|')).filter(|line| !line.contains("| ---"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [language, way, tools, folder, command] = cells[..] else { panic!("not five cells: {line}") };
        let owned = |text: &str| text.trim_matches('`').to_owned();
        Row {
            language: owned(language),
            way: owned(way),
            tools: owned(tools),
            folder: owned(folder),
            command: owned(command),
        }
    };
    let rows: Vec<Row> = table.map(row).collect();
    assert!(rows.len() >= 15, "the table has only {} rows", rows.len());
    rows
}

impl Row {
    pub(super) fn is_command(&self) -> bool {
        self.way == "command"
    }

    /// Whether there is such a kernel: not each is written in every language, and a command reads one item and knows of no
    /// others. A raw module gives one result for an item.
    pub(super) fn has(&self, kernel: &str) -> bool {
        if self.way == "raw" && ["words", "edges"].contains(&kernel) {
            return false;
        }
        let folder = if self.is_command() { self.path().join("command") } else { self.path() };
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        names.into_iter().any(|path| path.file_stem().unwrap() == kernel)
    }

    fn path(&self) -> PathBuf {
        languages().join(&self.folder)
    }
}

/// The compilers that `setup.sh` installed.
pub(super) struct Tools {
    folder: PathBuf,
}

impl Tools {
    pub(super) fn find() -> Self {
        let default = || Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("toolchains");
        Self { folder: std::env::var_os(TOOLCHAINS).map_or_else(default, PathBuf::from) }
    }

    /// Whether they were installed; with what to do when not.
    pub(super) fn have(&self, name: &str) -> Result<(), String> {
        if self.folder.join("installed").join(name).exists() {
            return Ok(());
        }
        let reason = format!("{name} is not installed; `plugins/languages/setup.sh {name}` does it");
        assert!(std::env::var_os(REQUIRE).is_none_or(|value| value != "full"), "{reason}");
        Err(reason)
    }

    /// Where compiled kernels are kept from one test run to the next: Python takes ten seconds.
    pub(super) fn cache(&self) -> PathBuf {
        self.folder.join("compiled")
    }

    /// Builds a kernel, unless it was built from the same sources by the same compiler.
    #[track_caller]
    pub(super) fn build(&self, row: &Row, kernel: &str) -> PathBuf {
        let world = worlds::of(kernel);
        let command = row.command.replace("WORLD", &world.full()).replace("SECTION", &world.section());
        let built = self.folder.join("built");
        let name = format!("{}-{}-{kernel}", row.language.to_lowercase(), row.way);
        let file = built.join(format!("{name}-{}.wasm", self.digest(row, &command)));
        if file.exists() {
            return file;
        }
        fs::create_dir_all(&built).unwrap();
        let new = built.join(format!("{name}-{}.wasm", std::process::id()));
        let command = command.replace("KERNEL.wasm", new.to_str().unwrap()).replace("KERNEL", kernel);
        let path = std::env::join_paths(
            [self.folder.join("bin")].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        let began = Instant::now();
        let mut bash = Command::new("bash");
        bash.args(["-euc", &command]).current_dir(row.path()).env("PATH", path.unwrap()).stdin(Stdio::null());
        let output = bash.env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}\nin {}:\n{said}", row.path().display());
        let _ = writeln!(std::io::stderr(), "built {name} in {:.1} s", began.elapsed().as_secs_f64());
        fs::rename(new, &file).unwrap();
        file
    }

    /// All that a build depends on, as text.
    fn digest(&self, row: &Row, command: &str) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(command.as_bytes());
        hasher.update(&fs::read(self.folder.join("installed").join(&row.tools)).unwrap());
        let mut folders = vec![root().join("wit"), languages().join("wit"), languages().join("types"), row.path()];
        match row.tools.as_str() {
            // C++ takes the header of C.
            "zig" => folders.push(languages().join("c")),
            "assemblyscript" => folders.push(languages().join("assemblyscript")),
            "rust" => folders.push(root().join("plugins/sdk")),
            _ => {}
        }
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                let name = path.file_name().unwrap().to_str().unwrap();
                if path.is_dir() && !["target", "__pycache__", ".zig-cache"].contains(&name) {
                    folders.push(path);
                } else if path.is_file() && !name.ends_with(".wasm") {
                    files.push(path);
                }
            }
        }
        files.sort();
        for file in files {
            hasher.update(file.to_str().unwrap().as_bytes());
            hasher.update(&fs::read(file).unwrap());
        }
        hasher.finalize().to_hex()[..16].to_owned()
    }
}
