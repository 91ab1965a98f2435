//! The kernel of a worker: the instance in use, when it is replaced, and what outlives it.

use std::collections::BTreeMap;

use taskhost_engine::{HostContext, Instance, LoadedKernel};
use taskhost_protocol::fault::Fault;
use taskhost_protocol::kernel::Kind;
use taskhost_protocol::limits::COUNTERS;
use taskhost_protocol::message::{Fresh, Level, StartExecute};

/// A loaded kernel and the instance that is in use, if any: one that trapped is never called again.
pub(crate) struct Kernel {
    loaded: LoadedKernel,
    context: HostContext,
    fresh: Fresh,
    packs: bool,
    instance: Option<Instance>,
    /// Whether the instance was given to anybody since it was started.
    used: bool,
    /// Instances made so far.
    made: u64,
    /// What instances that are gone had counted.
    counted: BTreeMap<String, u64>,
}

impl Kernel {
    /// `instance` was started with `context`.
    pub(crate) fn new(loaded: LoadedKernel, context: HostContext, instance: Instance, start: &StartExecute) -> Self {
        // Each item has its own fuel, and with a fresh instance for each there is nothing to pack.
        let packs = start.exports.packed_mapper && start.limits.fuel.is_none() && start.fresh != Fresh::Item;
        // A program has a fresh instance for each item, in this one.
        let fresh = if start.kind == Kind::Command { Fresh::Worker } else { start.fresh };
        Self { loaded, context, fresh, packs, instance: Some(instance), used: false, made: 1, counted: BTreeMap::new() }
    }

    /// A batch begins.
    pub(crate) fn begin_batch(&mut self) {
        if self.used && self.fresh != Fresh::Worker {
            self.retire();
        }
    }

    /// The instance for the next item or join. The error is that of starting another one, when that was needed.
    #[inline]
    pub(crate) fn for_call(&mut self) -> Result<&mut Instance, Fault> {
        if self.used && self.fresh == Fresh::Item {
            self.retire();
        }
        self.instance()
    }

    /// The instance in use; another one when it cannot be used any more.
    #[inline]
    pub(crate) fn instance(&mut self) -> Result<&mut Instance, Fault> {
        if self.instance.as_ref().is_none_or(Instance::is_poisoned) {
            self.renew()?;
        }
        self.used = true;
        self.instance.as_mut().ok_or_else(|| Fault::Failed("the kernel could not be started again".into()))
    }

    /// Which instance is in use, counted from 1.
    pub(crate) fn made(&self) -> u64 {
        self.made
    }

    /// Gives the instance up: the next call gets another one.
    pub(crate) fn retire(&mut self) {
        if let Some(mut instance) = self.instance.take() {
            add(&mut self.counted, instance.take_counters());
        }
    }

    #[cold]
    fn renew(&mut self) -> Result<(), Fault> {
        // The old one goes first: there is room for one.
        self.retire();
        let mut instance = self.loaded.instantiate(self.context.clone()).map_err(when_started_again)?;
        instance.start().map_err(when_started_again)?;
        // How often a kernel starts depends on the number of workers: what it counts there cannot be part of a sum.
        instance.drop_counters();
        self.instance = Some(instance);
        self.used = false;
        self.made += 1;
        Ok(())
    }

    /// What the kernel logged since the last time.
    pub(crate) fn take_logs(&mut self) -> Vec<(Level, String)> {
        self.instance.as_mut().map(Instance::take_logs).unwrap_or_default()
    }

    /// What all instances counted since the last time.
    pub(crate) fn take_counters(&mut self) -> Vec<(String, u64)> {
        let last = self.instance.as_mut().map(Instance::take_counters).unwrap_or_default();
        if self.counted.is_empty() {
            return last;
        }
        add(&mut self.counted, last);
        std::mem::take(&mut self.counted).into_iter().collect()
    }

    /// Bytes that the instance in use has taken.
    pub(crate) fn memory(&self) -> u64 {
        self.instance.as_ref().map_or(0, Instance::memory)
    }

    /// Whether it takes many items in one call.
    pub(crate) fn packs(&self) -> bool {
        self.packs
    }
}

/// Adds to sums, of as many names as a run may have.
fn add(sums: &mut BTreeMap<String, u64>, counters: Vec<(String, u64)>) {
    for (name, amount) in counters {
        if let Some(sum) = sums.get_mut(&name) {
            *sum = sum.saturating_add(amount);
        } else if sums.len() < COUNTERS {
            sums.insert(name, amount);
        }
    }
}

/// Says that it was not the item itself that failed, but the kernel before it got the item.
fn when_started_again(fault: Fault) -> Fault {
    let fault = match fault {
        // It is no item's input that was found invalid.
        Fault::InvalidInput(text) => Fault::Failed(text),
        fault => fault,
    };
    fault.map_text(|text| format!("when the kernel was started again: {text}"))
}

#[cfg(test)]
impl Kernel {
    /// Instances made from now on have no settings.
    pub(crate) fn forget_settings(&mut self) {
        self.context.settings = std::sync::Arc::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_have_no_more_names_than_a_run_may_have() {
        let mut sums = BTreeMap::new();
        add(&mut sums, (0..COUNTERS).map(|number| (format!("{number:03}"), 1)).collect());
        add(&mut sums, vec![("one more".into(), 1), ("000".into(), 2)]);
        assert_eq!((sums.len(), sums["000"]), (COUNTERS, 3));
    }
}
