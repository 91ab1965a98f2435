//! How a stage of a pipeline is to be.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use taskhost_protocol::message::Fresh;

use crate::library::flow::Flow;
use crate::library::source::KernelSource;
use crate::library::terms::Terms;

/// What a stage may have of the workers, and how much ahead of the next it may be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    weight: Option<NonZeroU32>,
    workers: Option<NonZeroUsize>,
    batch: Option<u64>,
    read_ahead: Option<u64>,
}

impl Share {
    pub(super) fn apply(self, flow: &mut Flow) {
        if let Some(weight) = self.weight {
            flow.set_weight(weight);
        }
        if let Some(workers) = self.workers {
            flow.set_most(workers);
        }
        if let Some(items) = self.batch {
            flow.set_batch(items);
        }
        if let Some(items) = self.read_ahead {
            flow.set_read_ahead(items);
        }
    }
}

/// A stage of a [`Pipeline`](crate::Pipeline): a kernel with settings, limits and a share of its own. What is not said here
/// is as the pool has it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Stage {
    pub(super) source: KernelSource,
    pub(super) function: Option<String>,
    pub(super) share: Share,
    settings: Vec<(String, String)>,
    memory: Option<u64>,
    max_output: Option<u64>,
    timeout: Option<Duration>,
    retries: Option<u32>,
    fresh: Option<Fresh>,
}

impl<T: Into<KernelSource>> From<T> for Stage {
    fn from(source: T) -> Self {
        Self::new(source)
    }
}

impl Stage {
    /// A stage that runs this kernel, from its file or its bytes.
    ///
    /// ```
    /// let stage = taskhost::Stage::new("transform.wasm");
    /// # drop(stage);
    /// ```
    pub fn new(source: impl Into<KernelSource>) -> Self {
        Self {
            source: source.into(),
            function: None,
            share: Share::default(),
            settings: Vec::new(),
            memory: None,
            max_output: None,
            timeout: None,
            retries: None,
            fresh: None,
        }
    }

    /// Calls this function of a component for each item, which is JSON then, as its result is: see
    /// [`Kernel::function`](crate::Kernel::function).
    ///
    /// ```
    /// let stage = taskhost::Stage::new("transform.wasm").invoke("convert");
    /// # drop(stage);
    /// ```
    pub fn invoke(mut self, function: impl Into<String>) -> Self {
        self.function = Some(function.into());
        self
    }

    /// A setting of the kernel. It wins over that of the pool.
    ///
    /// ```
    /// let stage = taskhost::Stage::new("transform.wasm").config("precision", "3");
    /// # drop(stage);
    /// ```
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Bytes that the linear memories of the kernel may have together in one worker.
    ///
    /// ```
    /// let stage = taskhost::Stage::new("transform.wasm").memory(64 << 20);
    /// # drop(stage);
    /// ```
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Bytes that the result of one item may have.
    ///
    /// ```
    /// let stage = taskhost::Stage::new("transform.wasm").max_output(1 << 20);
    /// # drop(stage);
    /// ```
    pub fn max_output(mut self, bytes: u64) -> Self {
        self.max_output = Some(bytes);
        self
    }

    /// How long one item may take here: CPU time, or four times as much by the clock.
    ///
    /// ```
    /// let stage = taskhost::Stage::new("transform.wasm").timeout(std::time::Duration::from_millis(200));
    /// # drop(stage);
    /// ```
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// How often an item is run again whose failure may be nobody's fault.
    ///
    /// ```
    /// let stage = taskhost::Stage::new("transform.wasm").retries(0);
    /// # drop(stage);
    /// ```
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// How long an instance of the kernel is kept.
    ///
    /// ```
    /// let stage = taskhost::Stage::new("transform.wasm").fresh(taskhost::Fresh::Item);
    /// # drop(stage);
    /// ```
    pub fn fresh(mut self, fresh: Fresh) -> Self {
        self.fresh = Some(fresh);
        self
    }

    /// Its share of the cores' time: twice as much for twice the weight. 1 without this.
    ///
    /// ```
    /// let stage = taskhost::Stage::new("transform.wasm").weight(std::num::NonZeroU32::new(3).expect("not 0"));
    /// # drop(stage);
    /// ```
    pub fn weight(mut self, weight: NonZeroU32) -> Self {
        self.share.weight = Some(weight);
        self
    }

    /// Most workers that are at work here at a time. Without this, all there are.
    ///
    /// ```
    /// let stage = taskhost::Stage::new("transform.wasm").workers(std::num::NonZeroUsize::MIN);
    /// # drop(stage);
    /// ```
    pub fn workers(mut self, most: NonZeroUsize) -> Self {
        self.share.workers = Some(most);
        self
    }

    /// How many items go to a worker at a time. Without this, as many as take about 10 ms.
    ///
    /// ```
    /// let stage = taskhost::Stage::new("transform.wasm").batch(1);
    /// # drop(stage);
    /// ```
    pub fn batch(mut self, items: u64) -> Self {
        self.share.batch = Some(items);
        self
    }

    /// How many items may be here, until the next stage takes their results. Without this, as many as it takes in a quarter
    /// of a second.
    ///
    /// ```
    /// let stage = taskhost::Stage::new("transform.wasm").read_ahead(100);
    /// # drop(stage);
    /// ```
    pub fn read_ahead(mut self, items: u64) -> Self {
        self.share.read_ahead = Some(items);
        self
    }

    /// What it is run on in a pool of these terms.
    pub(super) fn terms(&self, mut terms: Terms) -> Terms {
        for (name, value) in &self.settings {
            terms.set(name, value);
        }
        terms.limits.memory = self.memory.unwrap_or(terms.limits.memory);
        terms.limits.output = self.max_output.unwrap_or(terms.limits.output);
        terms.fresh = self.fresh.unwrap_or(terms.fresh);
        terms.policy.timeout = self.timeout.or(terms.policy.timeout);
        terms.policy.retries = self.retries.unwrap_or(terms.policy.retries);
        terms
    }
}
