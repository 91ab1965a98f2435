//! A kernel of a pool, and all that can be done with it.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use taskhost_protocol::kernel::{Description, Kind};

use super::error::Error;
use super::flow::Flow;
use super::form::{Bytes, Form, Values};
use super::map::{Map, MapUnordered};
use super::reactor::Reactor;
use super::task::Task;

/// A kernel of a [`Pool`](crate::Pool), ready to be used. Clones are the same kernel; when the pool is gone, each of its
/// methods says so.
#[derive(Clone)]
pub struct Kernel {
    reactor: Arc<Reactor>,
    name: Arc<str>,
    workers: usize,
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kernel").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Kernel {
    pub(crate) fn new(reactor: Arc<Reactor>, name: String, workers: usize) -> Self {
        Self { reactor, name: name.into(), workers }
    }

    /// Its name, as the pool was given it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says of itself, if it says anything.
    #[must_use]
    pub fn description(&self) -> Option<&Description> {
        self.reactor.description.as_ref()
    }

    /// The results of all items, in order: `Pool.map`, and `imap` as well, since it is lazy. Items are taken from the
    /// iterator as they are needed, no more than a bounded number ahead of the results, so it may be endless; dropping the
    /// map cancels what was begun. Items and results are Rust values, which the kernel reads and writes by postcard.
    ///
    /// `.collect::<Result<Vec<_>, _>>()` ends with the first item that fails; without that, a failed item is an `Err` in its
    /// place, and the others go on.
    pub fn map<I, R>(&self, items: I) -> Map<I::IntoIter, Values<R>>
    where
        I: IntoIterator,
        I::Item: Serialize,
        R: DeserializeOwned,
    {
        self.map_as(items)
    }

    /// The same with bytes as they are, for kernels that read no postcard.
    pub fn map_bytes<I>(&self, items: I) -> Map<I::IntoIter, Bytes>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        self.map_as(items)
    }

    /// The results of all items as they come, each with the number of its item, from 0 (`imap_unordered`).
    pub fn map_unordered<I, R>(&self, items: I) -> MapUnordered<I::IntoIter, Values<R>>
    where
        I: IntoIterator,
        I::Item: Serialize,
        R: DeserializeOwned,
    {
        MapUnordered::new(Flow::new(Arc::clone(&self.reactor.desk), self.workers, false), items.into_iter())
    }

    pub(crate) fn map_as<I, F>(&self, items: I) -> Map<I::IntoIter, F>
    where
        I: IntoIterator,
        F: Form<I::Item>,
    {
        Map::new(Flow::new(Arc::clone(&self.reactor.desk), self.workers, true), items.into_iter())
    }

    /// Has one item run (`apply_async`, `submit`).
    ///
    /// # Errors
    /// When the item cannot be written, or the pool is closed.
    pub fn submit<T, R>(&self, item: &T) -> Result<Task<R>, Error>
    where
        T: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        self.submit_as::<T, Values<R>>(item)
    }

    /// The same with bytes as they are.
    ///
    /// # Errors
    /// When the item is larger than an item may be, or the pool is closed.
    pub fn submit_bytes(&self, item: &[u8]) -> Result<Task<Vec<u8>>, Error> {
        self.submit_as::<[u8], Bytes>(item)
    }

    pub(crate) fn submit_as<T: ?Sized, F: Form<T>>(&self, item: &T) -> Result<Task<F::Result>, Error> {
        Task::submit(&self.reactor.desk, |bytes| F::write(item, bytes), F::read)
    }

    /// How the kernel is called.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.reactor.info.kind
    }
}
