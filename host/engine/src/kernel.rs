//! A loaded kernel: mapped, linked and ready to be instantiated. Loading runs none of its code.

use std::path::Path;
use std::sync::Arc;

use taskhost_protocol::fault::{Fault, Refusal};
use taskhost_protocol::kernel::{Exports, Invoke, Kind, Needs, Profile};
use taskhost_protocol::limits::WorkerLimits;
use tokio::runtime::Runtime;
use wasmtime::component::HasSelf;
use wasmtime::{Precompiled, Store};

use crate::bindings::Kernel;
use crate::command::{self, CommandCalls};
use crate::component::Indices;
use crate::fault::{self, HANDOVER_SLACK};
use crate::folders::{FolderGrant, Folders};
use crate::host::{HostContext, HostState};
use crate::instance::{Calls, Instance};
use crate::invoke::{Chosen, TypedCalls};
use crate::raw::RawCalls;
use crate::sampler::SampleLog;
use crate::wasi::Wasi;
use crate::{artifact, fuel, raw_imports, runtime, wasi};

/// What to load.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions<'a> {
    /// From [`taskhost_protocol::kernel::KernelInfo`].
    pub kind: Kind,
    /// From the same.
    pub exports: Exports,
    /// Which function is called, for [`Kind::Typed`]. Without it the kernel can be instantiated and no more.
    pub invoke: Option<&'a Invoke>,
    /// From the same.
    pub needs: Needs,
    /// Whether it is written down where the kernel spends its time. The code has to be of [`Profile::Sampled`].
    pub sampled: bool,
    /// Folders that the kernel may use, if it imports WASI.
    pub folders: &'a [FolderGrant],
    /// What an instance may use. With fuel, the code has to be of [`Profile::Fuel`]; without, of [`Profile::Plain`].
    pub limits: WorkerLimits,
    /// A file that holds the code and nothing else. It is executed: it must come from [`crate::compile`], and nobody
    /// may be able to write to it any more.
    pub code_path: &'a Path,
}

/// A kernel that can be instantiated.
pub struct LoadedKernel {
    code: Code,
    limits: WorkerLimits,
    /// Only for a kernel that imports WASI.
    runtime: Option<Arc<Runtime>>,
    folders: Option<Arc<Folders>>,
    samples: Option<SampleLog>,
    describes: bool,
}

enum Code {
    Component { pre: wasmtime::component::InstancePre<HostState>, indices: Indices },
    Typed { pre: wasmtime::component::InstancePre<HostState>, chosen: Option<Arc<Chosen>> },
    Raw { pre: wasmtime::InstancePre<HostState>, exports: Exports },
    Command(command::Code),
}

impl LoadedKernel {
    /// Maps the code and links it. No instruction of the kernel is executed, no thread is made, and no file is needed
    /// afterwards.
    ///
    /// # Errors
    /// [`Refusal::Start`] when the code does not fit this engine, [`Refusal::ImportNotOffered`] when an import has
    /// another type than what is offered, [`Refusal::WrongShape`] when the function to be called is not there or takes
    /// what cannot be written, [`Refusal::TooLarge`] when its memory is over the limit from the start.
    pub fn load(options: LoadOptions<'_>) -> Result<Self, Refusal> {
        Self::load_file(options).map_err(fault::capped)
    }

    fn load_file(options: LoadOptions<'_>) -> Result<Self, Refusal> {
        let profile = match (options.sampled, options.limits.fuel) {
            (true, _) => Profile::Sampled,
            (false, Some(_)) => Profile::Fuel,
            (false, None) => Profile::Plain,
        };
        let engine = runtime::engine(profile, options.needs, options.kind)?;
        let folders = Folders::open(options.folders)?.map(Arc::new);
        let samples = options.sampled.then(|| SampleLog::new(&engine));
        let (code, imports_wasi) = match options.kind {
            Kind::Component | Kind::Typed => load_component(&engine, options)?,
            Kind::RawModule => load_raw(&engine, options)?,
            Kind::Command => load_command(&engine, options, folders.clone())?,
        };
        let runtime = if imports_wasi { Some(Arc::new(inline_runtime()?)) } else { None };
        Ok(Self { code, limits: options.limits, runtime, folders, samples, describes: options.exports.describe })
    }

    /// Makes an instance: runs its start functions, and `_initialize` of a raw module.
    ///
    /// # Errors
    /// Whatever goes wrong in that code; [`Fault::Failed`] when the limit on memory does not suffice.
    pub fn instantiate(&self, host: HostContext) -> Result<Instance, Fault> {
        let _entered = self.runtime.as_ref().map(|runtime| runtime.enter());
        let output = self.limits.output;
        // Values take more room in the host than their text.
        let mut handover = output.saturating_add(HANDOVER_SLACK);
        let (mut store, calls) = match &self.code {
            Code::Component { pre, indices } => {
                let wasi = self.runtime.as_ref().map(|_| Wasi::preview2(&host, self.folders.as_deref(), None));
                let mut store = Store::new(pre.engine(), HostState::new(&host, self.limits, wasi));
                store.limiter(|state| &mut state.allowance);
                self.fill(&mut store);
                let calls = pre.instantiate(&mut store).and_then(|instance| indices.load(&mut store, &instance));
                (store, calls.map(|calls| Calls::Component(Box::new(calls))))
            }
            Code::Typed { pre, chosen } => {
                handover = handover.saturating_add(output);
                let wasi = self.runtime.as_ref().map(|_| Wasi::preview2(&host, self.folders.as_deref(), None));
                let mut store = Store::new(pre.engine(), HostState::new(&host, self.limits, wasi));
                store.limiter(|state| &mut state.allowance);
                self.fill(&mut store);
                let calls = pre.instantiate(&mut store).and_then(|instance| match chosen {
                    Some(chosen) => {
                        let function = chosen.load(&mut store, &instance)?;
                        Ok(Some(Box::new(TypedCalls::new(Arc::clone(chosen), function, &mut store))))
                    }
                    None => Ok(None),
                });
                (store, calls.map(Calls::Typed))
            }
            Code::Raw { pre, exports } => {
                let wasi = self.runtime.as_ref().map(|_| Wasi::preview1(&host, self.folders.as_deref(), None));
                let mut store = Store::new(pre.module().engine(), HostState::new(&host, self.limits, wasi));
                store.limiter(|state| &mut state.allowance);
                self.fill(&mut store);
                let calls =
                    pre.instantiate(&mut store).and_then(|instance| RawCalls::load(&mut store, &instance, *exports));
                (store, calls.map(|calls| Calls::Raw(Box::new(calls))))
            }
            Code::Command(code) => {
                // Its instances come with the items.
                let store = Store::new(code.engine(), HostState::new(&host, self.limits, None));
                let calls = CommandCalls::new(code.clone(), host, self.limits, self.samples.clone());
                (store, Ok(Calls::Command(Box::new(calls))))
            }
        };
        let calls = calls.map_err(|error| {
            let too_large = store.data().allowance.too_large().filter(|_| !error.is::<wasmtime::Trap>());
            let fault = || store.data().explain(fault::of_error(&error, output));
            too_large.unwrap_or_else(fault).capped()
        })?;
        store.set_hostcall_fuel(usize::try_from(handover).unwrap_or(usize::MAX));
        let mut instance = Instance::new(store, calls, self.limits, self.runtime.clone());
        if self.runtime.is_some() && self.describes {
            // Runtimes of languages draw random numbers when they are called for the first time. They do it now, so that
            // an item has the same ones whether its instance is fresh or not.
            instance.describe()?;
        }
        Ok(instance)
    }

    /// Where the kernel spent its time, as far as that was written down and not yet taken.
    #[must_use]
    pub fn samples(&self) -> Option<&SampleLog> {
        self.samples.as_ref()
    }

    /// Enough fuel for what runs before the first item, and somebody who looks.
    fn fill(&self, store: &mut Store<HostState>) {
        if let Some(samples) = &self.samples {
            samples.watch(store);
        }
        if self.limits.fuel.is_some() {
            fuel::fill(store, fuel::PLENTY);
        }
    }
}

fn load_component(engine: &wasmtime::Engine, options: LoadOptions<'_>) -> Result<(Code, bool), Refusal> {
    let component = artifact::component(engine, options.code_path)?;
    let pages = component.resources_required().and_then(|required| required.max_initial_memory_size);
    check_memory(pages, options.limits)?;
    let imports_wasi = component.component_type().imports(engine).any(|(name, _)| name.starts_with("wasi:"));
    let mut linker = wasmtime::component::Linker::new(engine);
    Kernel::add_to_linker::<_, HasSelf<HostState>>(&mut linker, |state| state).map_err(|error| not_linked(&error))?;
    if imports_wasi {
        wasi::link_component(&mut linker).map_err(|error| not_linked(&error))?;
    }
    let pre = linker.instantiate_pre(&component).map_err(|error| not_linked(&error))?;
    if options.kind == Kind::Typed {
        let chosen = options.invoke.map(|invoke| Chosen::find(engine, &component, invoke, options.limits));
        return Ok((Code::Typed { pre, chosen: chosen.transpose()?.map(Arc::new) }, imports_wasi));
    }
    let indices = Indices::new(&pre, options.exports).map_err(|error| not_linked(&error))?;
    Ok((Code::Component { pre, indices }, imports_wasi))
}

fn load_raw(engine: &wasmtime::Engine, options: LoadOptions<'_>) -> Result<(Code, bool), Refusal> {
    let module = artifact::module(engine, options.code_path)?;
    check_memory(module.resources_required().max_initial_memory_size, options.limits)?;
    let imports_wasi = module.imports().any(|import| import.module() == wasi::PREVIEW1);
    let mut linker = wasmtime::Linker::new(engine);
    raw_imports::link(&mut linker).map_err(|error| not_linked(&error))?;
    if imports_wasi {
        wasi::link_module(&mut linker).map_err(|error| not_linked(&error))?;
    }
    let pre = linker.instantiate_pre(&module).map_err(|error| not_linked(&error))?;
    Ok((Code::Raw { pre, exports: options.exports }, imports_wasi))
}

/// Either kind of program. Which one it is the code says.
fn load_command(
    engine: &wasmtime::Engine,
    options: LoadOptions<'_>,
    folders: Option<Arc<Folders>>,
) -> Result<(Code, bool), Refusal> {
    let precompiled = wasmtime::Engine::detect_precompiled_file(options.code_path)
        .map_err(|error| Refusal::Start(format!("the compiled kernel could not be read: {error:#}")))?;
    if precompiled == Some(Precompiled::Component) {
        let component = artifact::component(engine, options.code_path)?;
        let pages = component.resources_required().and_then(|required| required.max_initial_memory_size);
        check_memory(pages, options.limits)?;
        let mut linker = wasmtime::component::Linker::new(engine);
        Kernel::add_to_linker::<_, HasSelf<HostState>>(&mut linker, |state| state)
            .map_err(|error| not_linked(&error))?;
        wasi::link_component(&mut linker)
            .and_then(|()| command::link_files(&mut linker))
            .map_err(|error| not_linked(&error))?;
        let pre = linker.instantiate_pre(&component).and_then(|pre| command::Code::preview2(pre, folders));
        return Ok((Code::Command(pre.map_err(|error| not_linked(&error))?), true));
    }
    let module = artifact::module(engine, options.code_path)?;
    check_memory(module.resources_required().max_initial_memory_size, options.limits)?;
    let mut linker = wasmtime::Linker::new(engine);
    raw_imports::link(&mut linker).map_err(|error| not_linked(&error))?;
    // Without folders its WASI has no futures, and so needs no runtime.
    let has_folders = folders.is_some();
    if has_folders {
        wasi::link_module(&mut linker).and_then(|()| command::link_exit(&mut linker))
    } else {
        command::link(&mut linker)
    }
    .map_err(|error| not_linked(&error))?;
    let pre = linker.instantiate_pre(&module).and_then(|pre| command::Code::preview1(pre, folders));
    Ok((Code::Command(pre.map_err(|error| not_linked(&error))?), has_folders))
}

fn not_linked(error: &wasmtime::Error) -> Refusal {
    Refusal::ImportNotOffered(format!("the kernel does not fit what is offered to it: {error:#}"))
}

/// Bytes of a page of linear memory.
const PAGE: u64 = 64 * 1024;

fn check_memory(pages: Option<u64>, limits: WorkerLimits) -> Result<(), Refusal> {
    let bytes = pages.unwrap_or(0).saturating_mul(PAGE);
    if bytes > limits.memory {
        return Err(Refusal::TooLarge(format!(
            "the kernel starts with {bytes} bytes of memory, more than the {} that --memory allows",
            limits.memory
        )));
    }
    Ok(())
}

/// wasmtime-wasi polls its futures on the runtime of the calling thread, and makes one with a thread for each core
/// when there is none. With the clocks of `wasi_clock` and nothing granted, every future is ready at once, so one that
/// has no thread and drives nothing is enough.
fn inline_runtime() -> Result<Runtime, Refusal> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| Refusal::Start(format!("WASI could not be set up: {error}")))
}
