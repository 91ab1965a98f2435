//! Iterators over what comes out of a pipeline.

use std::marker::PhantomData;
use std::time::Instant;

use crate::library::error::StageError;
use crate::library::form::Form;
use crate::library::map::TURN;

use super::Pipeline;
use super::line::Line;
use super::report::PipelineReport;

/// What comes out of a pipeline, in the order of the items: made by [`Pipeline::map`]. Nothing is begun before the first
/// result is asked for.
pub struct Piped<I, F> {
    pipeline: Pipeline,
    both: Both<I, F>,
}

/// What comes out of a pipeline, as it comes, each with the number of its item: made by [`Piped::unordered`].
pub struct PipedUnordered<I, F>(Both<I, F>);

struct Both<I, F> {
    line: Line,
    /// `None` when it has ended.
    items: Option<I>,
    form: PhantomData<fn() -> F>,
}

impl<I: Iterator, F: Form<I::Item>> Both<I, F> {
    /// Takes as many items as may be taken now. Whether that was anything.
    fn fill(&mut self) -> bool {
        if self.items.is_none() || !self.line.wants() {
            return false;
        }
        let began = Instant::now();
        while self.line.has_room() {
            let Some(items) = &mut self.items else { break };
            match items.next() {
                Some(item) => self.line.push(|bytes| F::write(&item, bytes)),
                None => {
                    self.items = None;
                    self.line.end();
                }
            }
            if began.elapsed() >= TURN {
                break;
            }
        }
        self.line.flush();
        true
    }

    fn next(&mut self) -> Option<(u64, Result<F::Result, StageError>)> {
        loop {
            let mut moved = self.fill() | self.line.advance();
            if let Some(error) = self.line.broken() {
                self.items = None;
                self.line.give_up();
                return Some((error.error.item().unwrap_or(0), Err(error)));
            }
            if let Some(next) = self.line.take(F::read) {
                return Some(next);
            }
            if self.items.is_none() && self.line.is_over() {
                return None;
            }
            moved |= self.line.look();
            if !moved {
                self.line.wait();
            }
        }
    }
}

impl<I: Iterator, F: Form<I::Item>> Piped<I, F> {
    pub(super) fn new(line: Line, pipeline: Pipeline, items: I) -> Self {
        Self { pipeline, both: Both { line, items: Some(items), form: PhantomData } }
    }

    /// How many items may be in the pipeline at a time, all stages together. Without this, as many as all stages may have
    /// ahead.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let pipeline = pool.pipeline(["validate.wasm", "transform.wasm"])?;
    /// let few = pipeline.map_bytes(["1,17.5", "3,4"]).read_ahead(100);
    /// # drop(few);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn read_ahead(mut self, items: u64) -> Self {
        self.both.line.set_read_ahead(items);
        self
    }

    /// The same without an order: results and failures as they come, each with the number of its item, from 0. What was
    /// begun until now is given up.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let pipeline = pool.pipeline(["validate.wasm", "transform.wasm"])?;
    /// for (item, result) in pipeline.map_bytes(["1,17.5", "3,4"]).unordered() {
    ///     println!("{item}: {}", if result.is_ok() { "done" } else { "failed" });
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn unordered(self) -> PipedUnordered<I, F> {
        let line = self.pipeline.line(false);
        PipedUnordered(Both { line, ..self.both })
    }
}

impl<I, F> Piped<I, F> {
    /// How far it is: all stages in one report.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let pipeline = pool.pipeline(["validate.wasm", "transform.wasm"])?;
    /// let mut results = pipeline.map_bytes(["1,17.5", "3,4"]);
    /// while results.next().is_some() {}
    /// println!("{}", results.report());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn report(&self) -> PipelineReport {
        self.both.line.report()
    }
}

impl<I, F> PipedUnordered<I, F> {
    /// How many items may be in the pipeline at a time, all stages together.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let pipeline = pool.pipeline(["validate.wasm", "transform.wasm"])?;
    /// let few = pipeline.map_bytes(["1,17.5", "3,4"]).unordered().read_ahead(100);
    /// # drop(few);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn read_ahead(mut self, items: u64) -> Self {
        self.0.line.set_read_ahead(items);
        self
    }

    /// How far it is: all stages in one report.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let pipeline = pool.pipeline(["validate.wasm", "transform.wasm"])?;
    /// let mut results = pipeline.map_bytes(["1,17.5", "3,4"]).unordered();
    /// while results.next().is_some() {}
    /// println!("{}", results.report());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn report(&self) -> PipelineReport {
        self.0.line.report()
    }
}

impl<I: Iterator, F: Form<I::Item>> Iterator for Piped<I, F> {
    type Item = Result<F::Result, StageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.both.next().map(|(_, result)| result)
    }
}

impl<I: Iterator, F: Form<I::Item>> Iterator for PipedUnordered<I, F> {
    type Item = (u64, Result<F::Result, StageError>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl<I, F> std::fmt::Debug for Piped<I, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Piped").finish_non_exhaustive()
    }
}

impl<I, F> std::fmt::Debug for PipedUnordered<I, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PipedUnordered").finish_non_exhaustive()
    }
}
