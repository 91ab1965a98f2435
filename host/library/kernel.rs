//! A kernel of a pool, and all that can be done with it.

use std::sync::{Arc, Weak};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use taskhost_protocol::kernel::{Description, Exports, Kind};

use super::desk::Desk;
use super::error::Error;
use super::flow::Flow;
use super::form::{Bytes, Form, Values};
use super::function::Function;
use super::map::{Map, MapUnordered};
use super::pool::Inner;
use super::reactor::Reactor;
use super::task::Task;

/// A kernel of a [`Pool`](crate::Pool), ready to be used. Clones are the same kernel; when the pool is gone, each of its
/// methods says so.
#[derive(Clone)]
pub struct Kernel {
    desk: Arc<Desk>,
    /// Where all items together are handed in; why not, when the kernel has no reduction.
    reducing: Result<Arc<Desk>, Arc<str>>,
    description: Option<Arc<Description>>,
    kind: Kind,
    name: Arc<str>,
    workers: usize,
    /// Where functions are asked for, and of what.
    pool: Weak<Inner>,
    bytes: Arc<[u8]>,
}

/// Why a kernel cannot be used here that does not give one result for each item.
fn no_mapper(name: &str, exports: Exports) -> String {
    let what = match exports {
        Exports { flat_mapper: true, .. } => {
            "is a flat-mapper: it gives any number of results for an item, and not one"
        }
        Exports { image_filter: true, .. } => "filters pictures, not items",
        _ => "has no `mapper`, which gives one result for each item",
    };
    format!("{name} {what}; `taskhost run` takes it")
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kernel").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Kernel {
    pub(crate) fn new(reactor: &Reactor, pool: &Arc<Inner>, name: &str, bytes: &[u8]) -> Self {
        let exports = reactor.info.exports;
        let desk = match reactor.info.kind {
            Kind::Component if !exports.mapper => Arc::new(Desk::unmanned(no_mapper(name, exports))),
            _ => Arc::clone(&reactor.desk),
        };
        let reducing = if exports.reducer {
            Ok(Arc::clone(&reactor.desk))
        } else {
            Err("it exports no `reducer`, which joins results".into())
        };
        Self {
            desk,
            reducing,
            description: reactor.description.clone().map(Arc::new),
            kind: reactor.info.kind,
            name: name.into(),
            workers: pool.workers(),
            pool: Arc::downgrade(pool),
            bytes: bytes.into(),
        }
    }

    /// A component that is no kernel, but has functions that can be called.
    pub(crate) fn of_functions(pool: &Arc<Inner>, name: &str, bytes: &[u8]) -> Self {
        Self {
            desk: Arc::new(Desk::unmanned(format!("{name} is no kernel; `Kernel::invoke` calls its functions"))),
            reducing: Err("it is no kernel; `Kernel::invoke` calls its functions".into()),
            description: None,
            kind: Kind::Typed,
            name: name.into(),
            workers: pool.workers(),
            pool: Arc::downgrade(pool),
            bytes: bytes.into(),
        }
    }

    /// A function that it exports, by the name that `taskhost inspect` shows, or what of it tells it from all others. The
    /// component needs to know nothing of taskhost.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let library = pool.kernel("library.wasm")?;
    /// let divide = library.function("divide")?;
    /// assert_eq!(divide.call(&[7, 2])?, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no such function, or it cannot be called; otherwise as
    /// [`Pool::kernel`](crate::Pool::kernel).
    pub fn function(&self, name: &str) -> Result<Function, Error> {
        let pool = self.pool.upgrade().ok_or(Error::Closed)?;
        let reactor = pool.reactor(&self.name, &self.bytes, Some(name))?;
        Ok(Function::new(Self::new(&reactor, &pool, &self.name, &self.bytes)))
    }

    /// Calls a function that it exports, and waits for the result:
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let library = pool.kernel("library.wasm")?;
    /// assert_eq!(library.invoke("is-prime", &7)?, true);
    /// assert_eq!(library.invoke("divide", &[7, 2])?, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// An array is the list of the arguments, an object has
    /// them by name, and anything else is the only one.
    ///
    /// # Errors
    /// As [`Kernel::function`] and [`Function::call`].
    pub fn invoke<T: Serialize + ?Sized>(&self, name: &str, arguments: &T) -> Result<Value, Error> {
        self.function(name)?.call(arguments)
    }

    /// Its name, as the pool was given it.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let primes = pool.kernel("primes.wasm")?;
    /// assert_eq!(primes.name(), "primes.wasm");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says of itself, if it says anything.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let words = pool.kernel("wordcount.wasm")?;
    /// if let Some(description) = words.description() {
    ///     println!("{}", description.split);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn description(&self) -> Option<&Description> {
        self.description.as_deref()
    }

    /// The results of all items, in order: `Pool.map`, and `imap` as well, since it is lazy. Items are taken from the
    /// iterator as they are needed, no more than a bounded number ahead of the results, so it may be endless; dropping the
    /// map cancels what was begun. Items and results are Rust values, which the kernel reads and writes by postcard.
    ///
    /// `.collect::<Result<Vec<_>, _>>()` ends with the first item that fails; without that, a failed item is an `Err` in its
    /// place, and the others go on.
    ///
    /// ```standalone_crate
    /// # fn main() -> Result<(), taskhost::Error> {
    /// taskhost::worker::run_if_worker();
    /// let pool = taskhost::Pool::builder().workers(2).build()?;
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/embed")).expect("it is there");
    /// let primes = pool.kernel("primes.wasm")?;
    /// let counts: Vec<u64> = primes.map([(0u64, 10u64), (10, 20), (20, 30)]).collect::<Result<_, _>>()?;
    /// assert_eq!(counts, [4, 4, 2]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn map<I, R>(&self, items: I) -> Map<I::IntoIter, Values<R>>
    where
        I: IntoIterator,
        I::Item: Serialize,
        R: DeserializeOwned,
    {
        self.map_as(items)
    }

    /// The same with bytes as they are, for kernels that read no postcard.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let words = pool.kernel("wordcount.wasm")?;
    /// for counted in words.map_bytes(["to be or not", "to be"]) {
    ///     println!("{}", String::from_utf8_lossy(&counted?));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn map_bytes<I>(&self, items: I) -> Map<I::IntoIter, Bytes>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        self.map_as(items)
    }

    /// The results of all items as they come, each with the number of its item, from 0 (`imap_unordered`).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// # let primes = pool.kernel("primes.wasm")?;
    /// for (item, count) in primes.map_unordered::<_, u64>((0..100u64).map(|n| (n * n, n * n + n))) {
    ///     match count {
    ///         Ok(count) => println!("{item}: {count}"),
    ///         Err(error) => eprintln!("{error}"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn map_unordered<I, R>(&self, items: I) -> MapUnordered<I::IntoIter, Values<R>>
    where
        I: IntoIterator,
        I::Item: Serialize,
        R: DeserializeOwned,
    {
        MapUnordered::new(Flow::new(Arc::clone(&self.desk), self.workers, false), items.into_iter())
    }

    pub(crate) fn map_as<I, F>(&self, items: I) -> Map<I::IntoIter, F>
    where
        I: IntoIterator,
        F: Form<I::Item>,
    {
        Map::new(Flow::new(Arc::clone(&self.desk), self.workers, true), items.into_iter())
    }

    /// Has one item run (`apply_async`, `submit`).
    ///
    /// ```standalone_crate
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # use std::time::Duration;
    /// taskhost::worker::run_if_worker();
    /// let pool = taskhost::Pool::builder().workers(1).build()?;
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/embed")).expect("it is there");
    /// let primes = pool.kernel("primes.wasm")?;
    /// let mut large = primes.submit::<_, u64>(&(0u64, 10_000_000u64))?;
    /// if large.wait_timeout(Duration::from_millis(1)).is_none() {
    ///     large.cancel();
    /// }
    /// let small = primes.submit::<_, u64>(&(0u64, 100u64))?;
    /// assert_eq!(small.wait()?, 25);
    /// # Ok(())
    /// # }
    /// ```
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
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let echo = pool.kernel("echo.wasm")?;
    /// assert_eq!(echo.submit_bytes(b"hello")?.wait()?, b"hello");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the item is larger than an item may be, or the pool is closed.
    pub fn submit_bytes(&self, item: &[u8]) -> Result<Task<Vec<u8>>, Error> {
        self.submit_as::<[u8], Bytes>(item)
    }

    pub(crate) fn submit_as<T: ?Sized, F: Form<T>>(&self, item: &T) -> Result<Task<F::Result>, Error> {
        Task::submit(&self.desk, |bytes| F::write(item, bytes), F::read)
    }

    /// Where all items of a reduction are handed in.
    pub(crate) fn reducing(&self) -> Result<&Arc<Desk>, Error> {
        let refused = |reason: &Arc<str>| Error::Refused { name: self.name.to_string(), reason: reason.to_string() };
        self.reducing.as_ref().map_err(refused)
    }

    /// Where its items are handed in.
    pub(crate) fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// Whether it gives one result for each item, as everything here but [`Kernel::function`] needs.
    ///
    /// # Errors
    /// [`Error::Refused`] when it does not.
    pub fn check_items(&self) -> Result<(), Error> {
        match self.desk.why_over() {
            Some(reason) => Err(Error::Refused { name: self.name.as_ref().to_owned(), reason }),
            None => Ok(()),
        }
    }

    /// A way for items to it, and for their results.
    pub(crate) fn flow(&self, ordered: bool) -> Flow {
        Flow::new(Arc::clone(&self.desk), self.workers, ordered)
    }

    /// How the kernel is called.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let primes = pool.kernel("primes.wasm")?;
    /// println!("{:?}", primes.kind());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }
}
