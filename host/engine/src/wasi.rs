//! WASI for kernels that import it: all of it is defined, nothing is granted, and nothing of it makes two runs differ.
//! No files, no network, no arguments or environment; standard input is closed, output becomes log lines; clocks and
//! random numbers are in `wasi_clock` and `wasi_random`. What a command has beyond that is in `command`.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::command::{self, Gathered, Stdio};
use crate::folders::Folders;
use crate::host::{HostContext, HostState};
use crate::wasi_clock::{self, Clock};
use crate::wasi_random::{Random, Seed};
use crate::wasi_stdio::Output;

/// The module that preview 1 is imported from.
pub(crate) const PREVIEW1: &str = "wasi_snapshot_preview1";

/// The packages of preview 2 that are defined, with the version that all 0.2 kernels link with.
const PREVIEW2: [&str; 6] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// Whether an interface of this name is defined. One that is newer than what is here is refused when it is loaded.
pub(crate) fn offers_interface(name: &str) -> bool {
    PREVIEW2.iter().any(|package| name.starts_with(package)) && name.contains("@0.2.")
}

/// Whether this function (`module.name`) of preview 1 is defined.
pub(crate) fn offers_function(name: &str) -> bool {
    name.strip_prefix(PREVIEW1).and_then(|name| name.strip_prefix('.')).is_some_and(|name| FUNCTIONS.contains(&name))
}

/// All of preview 1.
const FUNCTIONS: [&str; 46] = [
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// The WASI of one instance.
pub(crate) struct Wasi {
    pub(crate) clock: Arc<Clock>,
    seed: Arc<Seed>,
    pub(crate) output: Output,
    /// Standard output of a program that does not hold it itself.
    gathered: Option<Gathered>,
    face: Face,
}

enum Face {
    Preview1(Box<WasiP1Ctx>),
    Preview2 {
        context: Box<WasiCtx>,
        table: ResourceTable,
    },
    /// A program that is a core module.
    Program(Box<Stdio>),
}

/// What the WASI of a program needs besides what it is given for an item.
pub(crate) struct Common<'a> {
    pub(crate) clock: &'a Clock,
    pub(crate) output: &'a Output,
    seed: &'a Arc<Seed>,
}

impl Common<'_> {
    /// Fills `bytes` with random numbers.
    pub(crate) fn random(&self, bytes: &mut [u8]) {
        Random::new(Arc::clone(self.seed), 0).fill(bytes);
    }
}

impl Wasi {
    /// For a core module; with `stdio` it is a program that was granted folders.
    pub(crate) fn preview1(host: &HostContext, folders: Option<&Folders>, stdio: Option<Stdio>) -> Self {
        let (mut builder, clock, seed, output) = builder(host);
        let gathered = stdio.map(|stdio| command::give(&mut builder, stdio));
        let mut context = Box::new(builder.build_p1());
        if let Some(folders) = folders {
            folders.give(&mut *context);
        }
        Self { clock, seed, output, gathered, face: Face::Preview1(context) }
    }

    /// For a component; with `stdio` it is a program.
    pub(crate) fn preview2(host: &HostContext, folders: Option<&Folders>, stdio: Option<Stdio>) -> Self {
        let (mut builder, clock, seed, output) = builder(host);
        let gathered = stdio.map(|stdio| command::give(&mut builder, stdio));
        let mut held = Held { context: Box::new(builder.build()), table: ResourceTable::new() };
        if let Some(folders) = folders {
            folders.give(&mut held);
        }
        let face = Face::Preview2 { context: held.context, table: held.table };
        Self { clock, seed, output, gathered, face }
    }

    /// For a program that is a core module without folders, and one item.
    pub(crate) fn program(host: &HostContext, stdio: Stdio) -> Self {
        let clock = Arc::new(Clock::new(host.clock, host.given.allow.clock));
        let seed = Arc::new(Seed::new(host.seed, host.given.allow.random));
        Self { clock, seed, output: Output::default(), gathered: None, face: Face::Program(Box::new(stdio)) }
    }

    /// The parts of a program that is a core module.
    pub(crate) fn program_parts(&mut self) -> Option<(Common<'_>, &mut Stdio)> {
        let common = Common { clock: &self.clock, output: &self.output, seed: &self.seed };
        match &mut self.face {
            Face::Program(stdio) => Some((common, stdio)),
            Face::Preview1(_) | Face::Preview2 { .. } => None,
        }
    }

    /// Standard input, when it can be had for the next item, and standard output of a program.
    pub(crate) fn take_buffers(&mut self) -> (Vec<u8>, Vec<u8>) {
        match &mut self.face {
            Face::Program(stdio) => (std::mem::take(&mut stdio.input), stdio.output.take()),
            Face::Preview1(_) | Face::Preview2 { .. } => {
                (Vec::new(), self.gathered.as_ref().map(Gathered::take).unwrap_or_default())
            }
        }
    }

    /// Whether the kernel drew random numbers of the item in hand.
    pub(crate) fn drew(&self) -> bool {
        self.seed.was_drawn()
    }

    /// Random numbers depend on the item, not on what this worker did before; nor do last words.
    pub(crate) fn next_item(&self, position: u64) {
        self.seed.reset(position);
        self.output.forget_last_words();
    }
}

fn builder(host: &HostContext) -> (WasiCtxBuilder, Arc<Clock>, Arc<Seed>, Output) {
    let clock = Arc::new(Clock::new(host.clock, host.given.allow.clock));
    let seed = Arc::new(Seed::new(host.seed, host.given.allow.random));
    let output = Output::default();
    let mut builder = WasiCtxBuilder::new();
    builder
        .secure_random(Random::new(Arc::clone(&seed), 0))
        .insecure_random(Random::new(Arc::clone(&seed), 1))
        .insecure_random_seed(seed.start())
        .wall_clock(wasi_clock::Wall(Arc::clone(&clock)))
        .monotonic_clock(wasi_clock::Monotonic(Arc::clone(&clock)))
        .stdout(output.clone())
        .stderr(output.errors())
        .allow_tcp(false)
        .allow_udp(false);
    (builder, clock, seed, output)
}

/// A context that no store holds yet.
struct Held {
    context: Box<WasiCtx>,
    table: ResourceTable,
}

impl WasiView for Held {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.context, table: &mut self.table }
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        match self.wasi.as_mut().map(|wasi| &mut wasi.face) {
            Some(Face::Preview2 { context, table }) => WasiCtxView { ctx: context, table },
            _ => unreachable!("preview 2 is linked only for components that import WASI, and those have it"),
        }
    }
}

fn preview1(state: &mut HostState) -> &mut WasiP1Ctx {
    match state.wasi.as_mut().map(|wasi| &mut wasi.face) {
        Some(Face::Preview1(context)) => context,
        _ => unreachable!("preview 1 is linked only for modules that import WASI, and those have it"),
    }
}

/// Defines preview 2.
pub(crate) fn link_component(linker: &mut wasmtime::component::Linker<HostState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    wasi_clock::link_component(linker)
}

/// Defines preview 1.
pub(crate) fn link_module(linker: &mut wasmtime::Linker<HostState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p1::add_to_linker_sync(linker, preview1)?;
    linker.allow_shadowing(true);
    wasi_clock::link_module(linker)
}
