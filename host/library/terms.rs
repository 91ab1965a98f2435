//! On which terms a kernel is run: its settings, and what it may use.

use taskhost_pool::runner::Policy;
use taskhost_protocol::limits::WorkerLimits;
use taskhost_protocol::message::Fresh;

use super::builder::Builder;

/// The terms. Kernels that are run on other terms have other workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) limits: WorkerLimits,
    pub(crate) fresh: Fresh,
    pub(crate) policy: Policy,
}

impl Terms {
    /// Those of a pool.
    pub(crate) fn of(builder: &Builder) -> Self {
        let Builder { settings, limits, fresh, policy, .. } = builder;
        Self { settings: settings.clone(), limits: *limits, fresh: *fresh, policy: *policy }
    }

    /// Gives a setting a value, whatever it had before.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }
}
