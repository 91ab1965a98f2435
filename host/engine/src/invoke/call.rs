//! Calling one function of a component: line in, line out.

use std::sync::Arc;

use taskhost_protocol::fault::{Fault, Refusal};
use taskhost_protocol::kernel::{Invoke, Notation};
use taskhost_protocol::limits::{ITEM_BYTES, WorkerLimits};
use wasmtime::component::types::Type;
use wasmtime::component::wasm_wave::untyped::UntypedFuncCall;
use wasmtime::component::{Component, ComponentExportIndex, Func, Instance, Val};
use wasmtime::{Engine, Store};

use super::direct::{Answer, Direct};
use super::problem::shown;
use super::shape::Function;
use super::write::Writer;
use super::{compiled, direct, names, read};
use crate::component::{bytes, trim};
use crate::exchange::{Input, Results};
use crate::fault::CallError;
use crate::host::HostState;

/// The function that is called.
pub(crate) struct Chosen {
    index: ComponentExportIndex,
    ty: Function,
    /// The same types for those who read WAVE.
    params: Vec<Type>,
    notation: Notation,
    /// Bytes that the arguments of one call may take in the host.
    room: u64,
}

impl Chosen {
    /// Finds the function that is meant.
    pub(crate) fn find(
        engine: &Engine,
        component: &Component,
        invoke: &Invoke,
        limits: WorkerLimits,
    ) -> Result<Self, Refusal> {
        let all = compiled::exported(engine, component);
        let listed: Vec<names::Name<'_>> =
            all.iter().map(|function| (function.interface.as_deref(), function.name.as_str())).collect();
        let found = &all[names::find(&invoke.function, &listed)?];
        let refused = |why: String| {
            let name = names::full(found.interface.as_deref(), &found.name);
            Refusal::WrongShape(format!("the function {name} cannot be called with JSON: {why}"))
        };
        let ty = compiled::function(&found.ty).map_err(refused)?;
        let lost = || refused("it is not where the component says".into());
        let interface = match &found.interface {
            Some(interface) => Some(component.get_export_index(None, interface).ok_or_else(lost)?),
            None => None,
        };
        let index = component.get_export_index(interface.as_ref(), &found.name).ok_or_else(lost)?;
        let params = found.ty.params().map(|(_, ty)| ty).collect();
        // What a worker is given for the copies of an item.
        let room = limits.memory.min(ITEM_BYTES);
        Ok(Self { index, ty, params, notation: invoke.notation, room })
    }

    /// The function of an instance.
    pub(crate) fn load(&self, store: &mut Store<HostState>, instance: &Instance) -> wasmtime::Result<Func> {
        instance.get_func(store, self.index).ok_or_else(|| wasmtime::format_err!("the function is gone"))
    }
}

/// The function of an instance, with what is kept from call to call for its allocations.
pub(crate) struct TypedCalls {
    chosen: Arc<Chosen>,
    function: Func,
    /// The same function, where bytes need not be values.
    direct: Option<Box<dyn Direct>>,
    line: Vec<u8>,
    arguments: Vec<Val>,
    /// Bytes that are an argument.
    bytes: Arc<Vec<u8>>,
    results: Vec<Val>,
    text: Vec<u8>,
}

impl TypedCalls {
    pub(crate) fn new(chosen: Arc<Chosen>, function: Func, store: &mut Store<HostState>) -> Self {
        let is_json = matches!(chosen.notation, Notation::Json);
        let direct = if is_json { direct::find(store, function, &chosen.ty) } else { None };
        let (line, arguments, bytes) = (Vec::new(), Vec::new(), Arc::default());
        Self { chosen, function, direct, line, arguments, bytes, results: Vec::new(), text: Vec::new() }
    }

    pub(crate) fn process(
        &mut self,
        store: &mut Store<HostState>,
        input: Input<'_>,
        mut results: Results<'_>,
    ) -> Result<(), CallError> {
        let Chosen { ty, params, notation, room, .. } = &*self.chosen;
        let line = bytes(store, input, &mut self.line)?;
        if let Some(direct) = &self.direct {
            let aside = Arc::make_mut(&mut self.bytes);
            read::arguments_with_bytes(ty, line, *room, &mut self.arguments, aside).map_err(Fault::from)?;
            let answer = direct.call(store, &mut self.arguments, &self.bytes)?;
            let mut writer = Writer::new(&mut self.text, results.limit);
            match answer {
                Answer::Bytes(bytes) => writer.plain_bytes(&bytes)?,
                Answer::Value(value) => writer.result(ty.result.as_ref(), value.as_ref())?,
            }
            trim(Arc::make_mut(&mut self.bytes));
        } else {
            match notation {
                Notation::Json => read::arguments(ty, line, *room, &mut self.arguments).map_err(Fault::from)?,
                Notation::Wave => self.arguments = wave(line, ty, params)?,
            }
            self.results.clear();
            self.results.resize(usize::from(ty.result.is_some()), Val::Bool(false));
            self.function.call(&mut *store, &self.arguments, &mut self.results)?;
            Writer::new(&mut self.text, results.limit).result(ty.result.as_ref(), self.results.first())?;
        }
        results.give(&self.text)?;
        trim(&mut self.line);
        trim(&mut self.text);
        Ok(())
    }
}

/// The arguments of a call as it was typed: `f(1, "x")`. Its name was looked up before, and may be no name in WAVE.
fn wave(call: &[u8], ty: &Function, types: &[Type]) -> Result<Vec<Val>, Fault> {
    let invalid = |why: String| {
        let params: Vec<String> = ty.params.iter().map(|(name, shape)| format!("{name}: {shape}")).collect();
        let params = params.join(", ");
        Fault::InvalidInput(format!("the call is not understood: {why}; the function takes ({params})"))
    };
    let call = std::str::from_utf8(call).map_err(|error| invalid(error.to_string()))?;
    let Some((name, arguments)) = call.split_once('(') else {
        return Err(invalid(format!("{} has no arguments in parentheses", shown(call))));
    };
    // As long as it was, so that places in messages are those in the call.
    let call = format!("{}({arguments}", "f".repeat(name.len().max(1)));
    let parsed = UntypedFuncCall::parse(&call).map_err(|error| invalid(error.to_string()))?;
    parsed.to_wasm_params(types).map_err(|error| invalid(error.to_string()))
}
