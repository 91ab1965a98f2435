//! A live instance of a kernel, and every call into it.

use std::sync::Arc;

use taskhost_protocol::fault::Fault;
use taskhost_protocol::kernel::Description;
use taskhost_protocol::limits::WorkerLimits;
use taskhost_protocol::message::Level;
use taskhost_protocol::picture::{Format, PicturePlan};
use tokio::runtime::Runtime;
use wasmtime::Store;

use crate::command::CommandCalls;
use crate::component::ComponentCalls;
use crate::exchange::{Input, Results};
use crate::fault::{self, CallError};
use crate::fuel::{self, Budget};
use crate::host::{HostState, ItemContext};
use crate::invoke::TypedCalls;
use crate::packed::PackedResults;
use crate::raw::RawCalls;

/// Position that seeds random numbers outside of items: no item has it.
const NO_ITEM: u64 = u64::MAX;

/// Which rows of a picture are to be filtered; the samples come beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// The whole picture.
    pub image: Format,
    /// Row at which the own rows begin.
    pub first_row: u32,
    /// Own rows: those to be made.
    pub rows: u32,
    /// Context rows before the own rows.
    pub above: u32,
    /// Context rows after the own rows.
    pub below: u32,
}

/// The ways to call.
pub(crate) enum Calls {
    Component(Box<ComponentCalls>),
    /// None: nothing is called.
    Typed(Option<Box<TypedCalls>>),
    Raw(Box<RawCalls>),
    Command(Box<CommandCalls>),
}

/// A kernel at work.
pub struct Instance {
    store: Store<HostState>,
    calls: Calls,
    limits: WorkerLimits,
    runtime: Option<Arc<Runtime>>,
    poisoned: bool,
    /// Whether a packed call gave the kernel what is of one item alone: it will again.
    needs_single_calls: bool,
}

impl Instance {
    pub(crate) fn new(
        store: Store<HostState>,
        calls: Calls,
        limits: WorkerLimits,
        runtime: Option<Arc<Runtime>>,
    ) -> Self {
        Self { store, calls, limits, runtime, poisoned: false, needs_single_calls: false }
    }

    /// What the kernel says of itself; `None` when it says nothing. Not yet understood, and not capped beyond the
    /// limit on results.
    ///
    /// # Errors
    /// [`Fault::Trap`] and [`Fault::Contract`].
    pub fn describe(&mut self) -> Result<Option<Description>, Fault> {
        self.call(Budget::Plenty, |calls, store, output| match calls {
            Calls::Component(calls) => calls.describe(store),
            Calls::Typed(_) | Calls::Command(_) => Ok(None),
            Calls::Raw(calls) => calls.describe(store, output),
        })
    }

    /// Calls `lifecycle.start` when it is exported.
    ///
    /// # Errors
    /// What the kernel answers, [`Fault::Trap`] and [`Fault::Contract`].
    pub fn start(&mut self) -> Result<(), Fault> {
        self.call(Budget::Plenty, |calls, store, output| match calls {
            Calls::Component(calls) => calls.start(store),
            Calls::Typed(_) | Calls::Command(_) => Ok(()),
            Calls::Raw(calls) => calls.start(store, output),
        })
    }

    /// Says which item the next calls are for; `None` outside of items. What the kernel asks of its item, its log
    /// lines and random numbers follow it.
    pub fn set_item(&mut self, item: Option<ItemContext>) {
        let state = self.store.data_mut();
        state.logs.next_item();
        state.allowance.forget_refusals();
        if let Some(wasi) = &state.wasi {
            wasi.next_item(item.as_ref().map_or(NO_ITEM, |item| item.position));
        }
        state.item = item;
        state.asked_item = false;
    }

    /// Runs one item, with the fuel of one. A mapper's sink is called once, a flat-mapper's once for each result; with a raw module the
    /// slice is its linear memory, so take what you need before the next call.
    ///
    /// # Errors
    /// Every kind of [`Fault`]; of those from `sink` and from reading the input the instance is not the worse.
    pub fn process(&mut self, input: Input<'_>, sink: &mut dyn FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        self.call(Budget::Item, |calls, store, limit| {
            let results = Results { limit, sink };
            match calls {
                Calls::Component(calls) => calls.process(store, input, results),
                Calls::Typed(Some(calls)) => calls.process(store, input, results),
                Calls::Typed(None) => Err(not_exported("a function that was chosen")),
                Calls::Raw(calls) => calls.process(store, input, results),
                Calls::Command(calls) => calls.process(store, input, results),
            }
        })
    }

    /// Runs many items in one call: item `i` is `bytes[ends[i-1]..ends[i]]`. The answer is validated.
    ///
    /// # Errors
    /// [`Fault::Contract`] when the kernel exports no packed-mapper or its answer does not add up, [`Fault::Trap`],
    /// [`Fault::OutputLimit`] when all results together are over the limit. In all cases run the items one by one. With
    /// fuel it is never offered, since each item has its own; and it fails when the kernel asked for what each item has of its
    /// own: its place, random numbers, log lines.
    pub fn process_packed(&mut self, bytes: &[u8], ends: &[u32]) -> Result<PackedResults, Fault> {
        let of_one_item = || Fault::Failed("the kernel asks for what is of one item".into());
        if self.needs_single_calls {
            return Err(of_one_item());
        }
        let has_fuel = self.limits.fuel.is_some();
        let answer = self.call(Budget::Item, |calls, store, output| match calls {
            Calls::Component(calls) if !has_fuel => calls.process_packed(store, bytes, ends, output),
            Calls::Component(_) | Calls::Typed(_) | Calls::Raw(_) | Calls::Command(_) => {
                Err(not_exported("packed-mapper"))
            }
        });
        let state = self.store.data();
        self.needs_single_calls = state.gave_of_item();
        if self.needs_single_calls || state.logs.has_lines() { Err(of_one_item()) } else { answer }
    }

    /// Asks an image filter what it makes of a format.
    ///
    /// # Errors
    /// What the kernel answers, [`Fault::Trap`] and [`Fault::Contract`].
    pub fn prepare(&mut self, format: Format) -> Result<PicturePlan, Fault> {
        self.call(Budget::Plenty, |calls, store, _| match calls {
            Calls::Component(calls) => calls.prepare(store, format),
            Calls::Typed(_) | Calls::Raw(_) | Calls::Command(_) => Err(not_exported("image-filter")),
        })
    }

    /// Filters rows of a picture. `expect` is the number of bytes that the plan promises for them.
    ///
    /// # Errors
    /// As [`Instance::process`]; [`Fault::Contract`] when the result does not have `expect` bytes.
    pub fn filter(
        &mut self,
        tile: Tile,
        samples: Input<'_>,
        expect: u64,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.call(Budget::Item, |calls, store, _| match calls {
            Calls::Component(calls) => calls.filter(store, tile, samples, expect, sink),
            Calls::Typed(_) | Calls::Raw(_) | Calls::Command(_) => Err(not_exported("image-filter")),
        })
    }

    /// Joins consecutive partial results; no parts give the result of nothing.
    ///
    /// # Errors
    /// What the kernel answers, [`Fault::Trap`], [`Fault::Contract`] and [`Fault::OutputLimit`].
    pub fn combine(&mut self, parts: &[&[u8]]) -> Result<Vec<u8>, Fault> {
        self.call(Budget::Plenty, |calls, store, output| match calls {
            Calls::Component(calls) => calls.combine(store, parts, output),
            Calls::Typed(_) | Calls::Command(_) => Err(not_exported("reducer")),
            Calls::Raw(calls) => calls.combine(store, parts, output),
        })
    }

    /// Turns the last partial result into the result.
    ///
    /// # Errors
    /// As [`Instance::combine`].
    pub fn finish(&mut self, total: &[u8]) -> Result<Vec<u8>, Fault> {
        self.call(Budget::Plenty, |calls, store, output| match calls {
            Calls::Component(calls) => calls.finish(store, total, output),
            Calls::Typed(_) | Calls::Command(_) => Err(not_exported("reducer")),
            Calls::Raw(calls) => calls.finish(store, total, output),
        })
    }

    /// The log lines since the last time, with what the kernel printed. Their number and length are capped for each
    /// item; a last line counts what was dropped.
    pub fn take_logs(&mut self) -> Vec<(Level, String)> {
        let state = self.store.data_mut();
        if let Some(wasi) = &state.wasi {
            for line in wasi.output.take() {
                state.logs.push(Level::Info, line);
            }
        }
        state.logs.take()
    }

    /// The item succeeded: what it counted counts.
    pub fn commit_counters(&mut self) {
        self.store.data_mut().counters.commit();
    }

    /// The item failed: what it counted does not count.
    pub fn drop_counters(&mut self) {
        self.store.data_mut().counters.drop_pending();
    }

    /// Counters of all items since the last time, in the order of their names.
    pub fn take_counters(&mut self) -> Vec<(String, u64)> {
        self.store.data_mut().counters.take()
    }

    /// Bytes of all its memories and tables. A program has others for each item, which are gone.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.store.data().allowance.used()
    }

    /// Whether the instance must be replaced: it trapped, or broke its contract. A kernel that answers with an error
    /// is still good.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    fn call<R>(
        &mut self,
        budget: Budget,
        run: impl FnOnce(&mut Calls, &mut Store<HostState>, u64) -> Result<R, CallError>,
    ) -> Result<R, Fault> {
        if self.poisoned {
            return Err(Fault::Failed("this instance trapped before and was not replaced".into()));
        }
        let _entered = self.runtime.as_ref().map(|runtime| runtime.enter());
        if budget == Budget::Plenty {
            // These may follow an item without another one being set.
            self.store.data_mut().allowance.forget_refusals();
        }
        if let Some(item) = self.limits.fuel {
            fuel::fill(&mut self.store, if budget == Budget::Item { item } else { fuel::PLENTY });
        }
        run(&mut self.calls, &mut self.store, self.limits.output).map_err(|error| {
            let fault = match error {
                CallError::Fault(fault) => fault,
                CallError::Torn(error) => {
                    // A program has an instance for each item anyway.
                    self.poisoned = !matches!(self.calls, Calls::Command(_));
                    fuel::used_up(&error, budget, self.limits.fuel)
                        .unwrap_or_else(|| self.store.data().explain(fault::of_error(&error, self.limits.output)))
                }
            };
            self.poisoned |= matches!(fault, Fault::Contract(_)) && !matches!(self.calls, Calls::Command(_));
            fault.capped()
        })
    }
}

/// A call that the kernel does not offer: the caller did not look at its exports.
pub(crate) fn not_exported(interface: &str) -> CallError {
    Fault::Failed(format!("the kernel does not export {interface}")).into()
}
