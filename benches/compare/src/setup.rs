//! What all rows share: the programs, the sizes, the folder of inputs.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::arguments::Arguments;
use crate::contender::{Contender, OURS};

pub(crate) struct Setup {
    /// The sizes that targets are given for; otherwise sizes that take seconds.
    pub(crate) is_full: bool,
    /// Inputs and outputs.
    folder: PathBuf,
    /// The root of the repository.
    root: PathBuf,
    python: Result<PathBuf, String>,
    joblib: Result<PathBuf, String>,
    parallel: Result<PathBuf, String>,
    extism: Result<PathBuf, String>,
    /// `wasmtime serve`, and the component that it serves.
    wasmtime: Result<(PathBuf, PathBuf), String>,
}

/// What makes bytes that look random and are the same everywhere (SplitMix64).
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new() -> Self {
        Self(0)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Where programs are measured, in the folder of inputs.
const INSTALLED: &str = "installed";

/// The programs of this workspace that are measured.
const PROGRAMS: [&str; 5] = ["taskhost", "native", "library", "service", "in_process"];

/// Copies them, as `cargo install` does. What the linker has just written lies in memory in other pieces than a file that was
/// copied, and takes one to two milliseconds more to start.
fn install(root: &Path, folder: &Path) -> io::Result<()> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let to = folder.join(INSTALLED);
    fs::create_dir_all(&to)?;
    for name in PROGRAMS {
        let (from, to) = (target.join("release").join(name), to.join(name));
        if from.exists() {
            // Never into a program that somebody runs.
            let _ = fs::remove_file(&to);
            fs::copy(from, to)?;
        }
    }
    Ok(())
}

impl Setup {
    /// Looks for what is there, and makes the folder.
    pub(crate) fn new(arguments: &Arguments) -> io::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        let python = arguments.python.as_str();
        fs::create_dir_all(&arguments.folder)?;
        let folder = arguments.folder.canonicalize()?;
        let python_path = works(python, &["--version"], "Python 3 is not there: apt-get install python3");
        let joblib = python_path.clone().and_then(|_| {
            works(python, &["-c", "import joblib"], &format!("joblib is not there: {python} -m pip install joblib"))
        });
        let parallel = works("parallel", &["--version"], "GNU parallel is not there: apt-get install parallel");
        let extism = root.join("benches/compare/extism/target/release/compare-extism");
        let extism = if extism.exists() {
            Ok(extism)
        } else {
            let manifest = "cargo build --release --manifest-path benches/compare/extism/Cargo.toml";
            Err(format!("it is not built, as it brings a wasmtime of its own: {manifest}"))
        };
        let wasmtime = wasmtime(&folder, arguments.wasmtime.as_deref());
        install(&root, &folder)?;
        Ok(Self { is_full: arguments.full, folder, root, python: python_path, joblib, parallel, extism, wasmtime })
    }

    /// One of two sizes.
    pub(crate) fn size<T>(&self, full: T, quick: T) -> T {
        if self.is_full { full } else { quick }
    }

    /// A file for this run.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A file of the repository.
    pub(crate) fn source(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A program of this workspace, as it is installed.
    fn installed(&self, name: &str) -> PathBuf {
        self.folder.join(INSTALLED).join(name)
    }

    fn program(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.installed(name);
        if path.exists() { Ok(path) } else { Err(format!("{} was not built", path.display())) }
    }

    pub(crate) fn taskhost_path(&self) -> PathBuf {
        self.installed("taskhost")
    }

    /// The program that everything is about.
    pub(crate) fn taskhost(&self) -> Contender {
        Contender::new(OURS, self.program("taskhost"))
    }

    pub(crate) fn native(&self, name: &str) -> Contender {
        Contender::new(name, self.program("native"))
    }

    pub(crate) fn library(&self, name: &str) -> Contender {
        Contender::new(name, self.program("library"))
    }

    pub(crate) fn service(&self, name: &str) -> Contender {
        Contender::new(name, self.program("service"))
    }

    /// `wasmtime serve` of a component, asked by the program that asks the service.
    pub(crate) fn wasmtime_serve(&self, name: &str) -> Contender {
        match &self.wasmtime {
            Ok((wasmtime, component)) => {
                self.service(name).arguments("wasmtime").argument(wasmtime).argument(component)
            }
            Err(missing) => Contender::new(name, Err(missing.clone())),
        }
    }

    /// One of our Python programs, in one of the three ways.
    pub(crate) fn python(&self, kind: &'static str, script: &str) -> Contender {
        let (name, program) = match kind {
            "executor" => ("Python, ProcessPoolExecutor(2)", &self.python),
            "pool" => ("Python, multiprocessing.Pool(2)", &self.python),
            _ => ("Python, joblib, 2 processes", &self.joblib),
        };
        let script = self.source("benches/compare/python").join(script);
        Contender::new(name, program.clone()).argument(script).argument(kind)
    }

    /// The kernel in a process of its own on one thread, compiled beforehand. `profile` is `plain` or `epochs`.
    pub(crate) fn in_process(&self, name: &str, work: &str, kernel: &str, profile: &str) -> Contender {
        let code = self.file(&format!("{kernel}-{profile}.code"));
        let program = self.program("in_process").and_then(|program| {
            let kernel = self.source(&format!("plugins/dist/{kernel}.wasm"));
            let made = Command::new(&program).arg("compile").arg(kernel).arg(&code).arg(profile).status();
            if made.is_ok_and(|status| status.success()) {
                Ok(program)
            } else {
                Err("the kernel does not compile".into())
            }
        });
        Contender::new(name, program).argument(work).argument(code).argument(profile)
    }

    /// GNU parallel, two jobs at a time.
    pub(crate) fn parallel(&self, name: &str) -> Contender {
        Contender::new(name, self.parallel.clone()).arguments("--will-cite -j 2")
    }

    pub(crate) fn extism(&self) -> Contender {
        Contender::new("extism, called in a loop", self.extism.clone())
    }

    pub(crate) fn in_process_path(&self) -> PathBuf {
        self.installed("in_process")
    }

    /// A file that is made once: when it is there with this length, it stays.
    pub(crate) fn input(
        &self,
        name: &str,
        make: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> io::Result<PathBuf> {
        let path = self.file(name);
        if !path.exists() {
            let partial = self.file(&format!("{name}.part"));
            let mut file = BufWriter::with_capacity(1 << 20, File::create(&partial)?);
            make(&mut file)?;
            file.into_inner()?;
            fs::rename(partial, &path)?;
        }
        Ok(path)
    }

    /// So many bytes of noise.
    pub(crate) fn noise(&self, bytes: u64) -> io::Result<PathBuf> {
        self.input(&format!("noise-{bytes}"), |file| {
            let mut noise = Noise::new();
            (0..bytes / 8).try_for_each(|_| file.write_all(&noise.next().to_le_bytes()))?;
            file.write_all(&[7; 8][..(bytes % 8) as usize])
        })
    }
}

/// `wasmtime`, as it was named or as the script builds it, and the component that only the script builds.
fn wasmtime(folder: &Path, named: Option<&str>) -> Result<(PathBuf, PathBuf), String> {
    let missing = "wasmtime's command is not there: benches/compare/wasmtime-serve.sh builds it, and what it serves";
    let built = folder.join("bin/wasmtime");
    let program = named.map_or_else(|| built.to_string_lossy().into_owned(), str::to_owned);
    let component = folder.join("primes-http.wasm");
    let program = works(&program, &["--version"], missing)?;
    if component.exists() { Ok((program, component)) } else { Err(missing.to_owned()) }
}

/// The program, when it does what it is asked for.
fn works(program: &str, arguments: &[&str], missing: &str) -> Result<PathBuf, String> {
    let mut command = Command::new(program);
    let status = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if status.is_ok_and(|status| status.success()) { Ok(program.into()) } else { Err(missing.to_owned()) }
}
