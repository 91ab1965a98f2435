//! Iterators over the results of many items.

use std::marker::PhantomData;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::{Duration, Instant};

use super::error::TaskError;
use super::flow::{Flow, Seen};
use super::form::Form;

/// How long items are taken until it is looked what the others came to: an iterator may take its time.
pub(super) const TURN: Duration = Duration::from_millis(1);

/// The results of many items, in order: made by [`Kernel::map`](crate::Kernel::map). Nothing is begun before the first
/// result is asked for.
pub struct Map<I, F>(Both<I, F>);

/// The results of many items as they come, each with the number of its item: made by
/// [`Kernel::map_unordered`](crate::Kernel::map_unordered).
pub struct MapUnordered<I, F>(Both<I, F>);

struct Both<I, F> {
    flow: Flow,
    /// `None` when it has ended.
    items: Option<I>,
    form: PhantomData<fn() -> F>,
}

impl<I: Iterator, F: Form<I::Item>> Both<I, F> {
    /// Takes as many items as may be read ahead, unless that takes long: then it says that there is room for more.
    fn fill(&mut self) -> bool {
        let began = Instant::now();
        let mut is_long = false;
        while !is_long && self.flow.has_room() {
            let Some(items) = &mut self.items else { break };
            match items.next() {
                Some(item) => self.flow.push(|bytes| F::write(&item, bytes)),
                None => {
                    self.items = None;
                    self.flow.end();
                }
            }
            is_long = began.elapsed() >= TURN;
        }
        self.flow.flush();
        is_long && self.items.is_some() && self.flow.has_room()
    }

    fn next(&mut self) -> Option<(u64, Result<F::Result, TaskError>)> {
        // Whether something has come that was not yet looked at.
        let mut has_come = false;
        loop {
            let is_short = !has_come && self.items.is_some() && self.flow.wants() && self.fill();
            if let Some(result) = self.flow.take(F::read) {
                return Some(result);
            }
            has_come = false;
            let end = if is_short {
                match self.flow.look() {
                    Seen::Nothing => continue,
                    Seen::Something => {
                        has_come = true;
                        continue;
                    }
                    Seen::End(end) => Some(end),
                }
            } else {
                self.flow.wait()
            };
            if let Some(end) = end {
                self.items = None;
                let (item, error) = end?;
                return Some((item, Err(error)));
            }
        }
    }
}

macro_rules! settings {
    () => {
        /// How many items may be taken before their results are read. Without this, as many as are run in a quarter of a
        /// second, and 32 MiB.
        ///
        /// ```no_run
        /// # fn main() -> Result<(), taskhost::Error> {
        /// # let pool = taskhost::Pool::new()?;
        /// let primes = pool.kernel("primes.wasm")?;
        /// let few = primes.map::<_, u64>((0u64..).map(|n| (n, n + 10))).read_ahead(100);
        /// # drop(few);
        /// # Ok(())
        /// # }
        /// ```
        #[must_use]
        pub fn read_ahead(mut self, items: u64) -> Self {
            self.0.flow.set_read_ahead(items);
            self
        }

        /// Most workers that are at it at a time. Without this, all there are.
        ///
        /// ```no_run
        /// # fn main() -> Result<(), taskhost::Error> {
        /// # let pool = taskhost::Pool::new()?;
        /// # use std::num::NonZeroUsize;
        /// let primes = pool.kernel("primes.wasm")?;
        /// let slow = primes.map::<_, u64>((0u64..).map(|n| (n, n + 10))).workers(NonZeroUsize::MIN);
        /// # drop(slow);
        /// # Ok(())
        /// # }
        /// ```
        #[must_use]
        pub fn workers(mut self, most: NonZeroUsize) -> Self {
            self.0.flow.set_most(most);
            self
        }

        /// How many items go to a worker at a time (`chunksize`). Without this, as many as take about 10 ms.
        ///
        /// ```no_run
        /// # fn main() -> Result<(), taskhost::Error> {
        /// # let pool = taskhost::Pool::new()?;
        /// let primes = pool.kernel("primes.wasm")?;
        /// let one_by_one = primes.map::<_, u64>((0u64..).map(|n| (n, n + 10))).batch(1);
        /// # drop(one_by_one);
        /// # Ok(())
        /// # }
        /// ```
        #[must_use]
        pub fn batch(mut self, items: u64) -> Self {
            self.0.flow.set_batch(items);
            self
        }

        /// Its share of the cores' time when other maps and tasks run, of whatever kernel of the pool: twice as much for twice
        /// the weight. 1 without this, and 1 for all tasks of a kernel together.
        ///
        /// ```no_run
        /// # fn main() -> Result<(), taskhost::Error> {
        /// # let pool = taskhost::Pool::new()?;
        /// # use std::num::NonZeroU32;
        /// let primes = pool.kernel("primes.wasm")?;
        /// let urgent = primes.map::<_, u64>((0u64..).map(|n| (n, n + 10))).weight(NonZeroU32::new(3).expect("not 0"));
        /// let other = primes.map::<_, u64>((0u64..).map(|n| (n, n + 10)));
        /// # drop((urgent, other));
        /// # Ok(())
        /// # }
        /// ```
        #[must_use]
        pub fn weight(mut self, weight: NonZeroU32) -> Self {
            self.0.flow.set_weight(weight);
            self
        }
    };
}

impl<I: Iterator, F: Form<I::Item>> Map<I, F> {
    pub(crate) fn new(flow: Flow, items: I) -> Self {
        Self(Both { flow, items: Some(items), form: PhantomData })
    }

    settings!();
}

impl<I: Iterator, F: Form<I::Item>> MapUnordered<I, F> {
    pub(crate) fn new(flow: Flow, items: I) -> Self {
        Self(Both { flow, items: Some(items), form: PhantomData })
    }

    settings!();
}

impl<I: Iterator, F: Form<I::Item>> Iterator for Map<I, F> {
    type Item = Result<F::Result, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(_, result)| result)
    }
}

impl<I: Iterator, F: Form<I::Item>> Iterator for MapUnordered<I, F> {
    type Item = (u64, Result<F::Result, TaskError>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl<I, F> std::fmt::Debug for Map<I, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Map").finish_non_exhaustive()
    }
}

impl<I, F> std::fmt::Debug for MapUnordered<I, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MapUnordered").finish_non_exhaustive()
    }
}
