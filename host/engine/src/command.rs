//! Commands: WASI programs that read standard input and write standard output. Each item gets a fresh instance, since a
//! program runs once; what can be prepared for all of them is prepared when the kernel is loaded.

mod files;
mod folder;
mod guest;
mod preview1;
mod preview2;
mod stdio;

use std::sync::Arc;

use taskhost_protocol::fault::Fault;
use taskhost_protocol::limits::{TEXT_BYTES, WorkerLimits};
use wasmtime::{ModuleExport, Store};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::sync::CommandIndices;

use crate::component::trim;
use crate::exchange::{Input, Results};
use crate::fault::{CallError, HANDOVER_SLACK};
use crate::folders::Folders;
use crate::fuel;
use crate::host::{HostContext, HostState};
use crate::sampler::SampleLog;
use crate::wasi::Wasi;

pub(crate) use files::Files;
pub(crate) use folder::link_files;
pub(crate) use preview1::{link, link_exit};
pub(crate) use preview2::give;
pub(crate) use stdio::{Gathered, Stdio};

/// A program that can be instantiated.
#[derive(Clone)]
pub(crate) enum Code {
    /// A core module, and where its `_start` is.
    Preview1 { pre: wasmtime::InstancePre<HostState>, start: ModuleExport, folders: Option<Arc<Folders>> },
    /// A component that exports `wasi:cli/run`.
    Preview2 {
        pre: wasmtime::component::InstancePre<HostState>,
        indices: Arc<CommandIndices>,
        folders: Option<Arc<Folders>>,
    },
}

impl Code {
    /// The start of a core module.
    pub(crate) fn preview1(
        pre: wasmtime::InstancePre<HostState>,
        folders: Option<Arc<Folders>>,
    ) -> wasmtime::Result<Self> {
        let start = pre.module().get_export_index("_start");
        let start = start.ok_or_else(|| wasmtime::format_err!("it exports no _start"))?;
        Ok(Self::Preview1 { pre, start, folders })
    }

    /// The start of a component.
    pub(crate) fn preview2(
        pre: wasmtime::component::InstancePre<HostState>,
        folders: Option<Arc<Folders>>,
    ) -> wasmtime::Result<Self> {
        let indices = Arc::new(CommandIndices::new(&pre)?);
        Ok(Self::Preview2 { pre, indices, folders })
    }

    pub(crate) fn engine(&self) -> &wasmtime::Engine {
        match self {
            Self::Preview1 { pre, .. } => pre.module().engine(),
            Self::Preview2 { pre, .. } => pre.engine(),
        }
    }
}

/// Runs a program for each item.
pub(crate) struct CommandCalls {
    code: Code,
    host: HostContext,
    limits: WorkerLimits,
    /// `argv`, the same for all items.
    arguments: Arc<[String]>,
    samples: Option<SampleLog>,
    /// Standard input, between items.
    input: Vec<u8>,
    /// Standard output, between items.
    output: Vec<u8>,
}

impl CommandCalls {
    pub(crate) fn new(code: Code, host: HostContext, limits: WorkerLimits, samples: Option<SampleLog>) -> Self {
        let program = &host.given.program;
        let arguments = std::iter::once(&program.name).chain(&program.arguments).cloned().collect();
        Self { code, host, limits, arguments, samples, input: Vec::new(), output: Vec::new() }
    }

    /// Runs the program with an item. Nothing of one that ran before is left, whatever became of it.
    pub(crate) fn process(
        &mut self,
        store: &mut Store<HostState>,
        input: Input<'_>,
        mut results: Results<'_>,
    ) -> Result<(), CallError> {
        self.fill_input(store.data(), input)?;
        self.renew(store, results.limit);
        let result = self.run(store);
        self.take_back(store);
        let outcome = self.settle(result, store, &mut results);
        // Whatever came of it: the next item is likely small.
        trim(&mut self.output);
        trim(&mut self.input);
        outcome
    }

    /// What became of the item.
    fn settle(
        &self,
        result: wasmtime::Result<()>,
        store: &mut Store<HostState>,
        results: &mut Results<'_>,
    ) -> Result<(), CallError> {
        let code = match result {
            Ok(()) => 0,
            Err(error) => match error.downcast_ref::<I32Exit>() {
                Some(exit) => exit.0,
                None => return Err(error.into()),
            },
        };
        if code != 0 {
            return Err(exited(code, store.data_mut()).into());
        }
        results.give(&self.output)?;
        Ok(())
    }

    /// The header and the item, as they come in standard input.
    fn fill_input(&mut self, state: &HostState, input: Input<'_>) -> Result<(), Fault> {
        let len = input.checked_len()?;
        // It could read it bit by bit, but the host holds all of it, and has as much room as the kernel.
        state.allowance.cannot_hold(u64::from(len))?;
        let len = len as usize;
        self.input.clear();
        if let Some(header) = state.item.as_ref().and_then(|item| item.header.as_deref()) {
            self.input.extend_from_slice(header);
            self.input.push(b'\n');
        }
        let start = self.input.len();
        self.input.reserve_exact(len);
        self.input.resize(start + len, 0);
        input.put(&mut self.input[start..])
    }

    /// Puts a store for a new instance in the place of the old one, which goes with its instance.
    fn renew(&mut self, store: &mut Store<HostState>, output: u64) {
        let old = store.data_mut();
        let item = old.item.take();
        let position = item.as_ref().map_or(u64::MAX, |item| item.position);
        let stdio = Stdio {
            arguments: Arc::clone(&self.arguments),
            environment: self.environment(item.as_ref()),
            input: std::mem::take(&mut self.input),
            read: 0,
            output: Gathered::new(std::mem::take(&mut self.output), output),
            files: Files::new(Arc::clone(&self.host.broadcast)),
        };
        let wasi = match &self.code {
            Code::Preview1 { folders: None, .. } => Wasi::program(&self.host, stdio),
            Code::Preview1 { folders, .. } => Wasi::preview1(&self.host, folders.as_deref(), Some(stdio)),
            Code::Preview2 { folders, .. } => Wasi::preview2(&self.host, folders.as_deref(), Some(stdio)),
        };
        wasi.next_item(position);
        let mut state = HostState::new(&self.host, self.limits, Some(wasi));
        state.item = item;
        state.logs = std::mem::take(&mut old.logs);
        state.counters = std::mem::take(&mut old.counters);
        *store = Store::new(self.code.engine(), state);
        store.limiter(|state| &mut state.allowance);
        if let Some(amount) = self.limits.fuel {
            fuel::fill(store, amount);
        }
        if let Some(samples) = &self.samples {
            samples.watch(store);
        }
        let handover = output.saturating_add(HANDOVER_SLACK);
        store.set_hostcall_fuel(usize::try_from(handover).unwrap_or(usize::MAX));
    }

    /// What `--env` says, and which item it is.
    fn environment(&self, item: Option<&crate::host::ItemContext>) -> Vec<(String, String)> {
        let mut environment = Vec::with_capacity(self.host.given.program.environment.len() + 2);
        if let Some(item) = item {
            environment.push(("TASKHOST_ITEM".into(), item.position.to_string()));
            environment.push(("TASKHOST_SOURCE".into(), item.source.as_ref().into()));
        }
        environment.extend(self.host.given.program.environment.iter().cloned());
        environment
    }

    fn run(&self, store: &mut Store<HostState>) -> wasmtime::Result<()> {
        match &self.code {
            Code::Preview1 { pre, start, .. } => {
                let instance = pre.instantiate(&mut *store)?;
                let start = instance.get_module_export(&mut *store, start).and_then(wasmtime::Extern::into_func);
                let start = start.ok_or_else(|| wasmtime::format_err!("its _start is no function"))?;
                start.typed::<(), ()>(&*store)?.call(&mut *store, ())
            }
            Code::Preview2 { pre, indices, .. } => {
                let instance = pre.instantiate(&mut *store)?;
                let command = indices.load(&mut *store, &instance)?;
                // All that such a program can say of its failure is that there was one.
                command.wasi_cli_run().call_run(&mut *store)?.map_err(|()| I32Exit(1).into())
            }
        }
    }

    /// The buffers, for the next item.
    fn take_back(&mut self, store: &mut Store<HostState>) {
        if let Some(wasi) = &mut store.data_mut().wasi {
            (self.input, self.output) = wasi.take_buffers();
        }
    }
}

/// Bytes of standard error in the text of a failed item: what leaves room for the words around it.
const SHOWN: usize = TEXT_BYTES - 128;

/// The program ended with an exit code. What it printed to standard error is part of that, and so no log line as well.
#[cold]
fn exited(code: i32, state: &mut HostState) -> Fault {
    let printed = state.wasi.as_ref().map(|wasi| {
        wasi.output.forget_errors();
        wasi.output.last_words()
    });
    let printed = printed.unwrap_or_default();
    let printed = printed.trim();
    if printed.is_empty() {
        return Fault::Failed(format!("the program ended with exit code {code}"));
    }
    let from = printed.ceil_char_boundary(printed.len().saturating_sub(SHOWN));
    let cut = if from > 0 { "…" } else { "" };
    Fault::Failed(format!("the program ended with exit code {code}: {cut}{}", &printed[from..]))
}
