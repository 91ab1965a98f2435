//! Several kernels in a row, each with workers of its own: what one makes of an item is the item of the next, and all are at
//! work at the same time.
//!
//! * [`stage`] is how a stage is to be, [`report`] what it came to.
//! * [`lane`] is one stage while items flow, [`line`] all of them; [`piped`] are the iterators over what comes out.
//! * [`bell`] wakes whoever waits for any of them.

mod bell;
mod lane;
mod line;
mod piped;
mod report;
mod stage;

use serde::Serialize;
use serde::de::DeserializeOwned;
use taskhost_protocol::kernel::Kind;

use super::error::Error;
use super::form::{Bytes, Form, Values};
use super::kernel::Kernel;
use super::pool::Pool;

use line::Line;
use stage::Share;

pub use piped::{Piped, PipedUnordered};
pub use report::{PipelineReport, StageReport};
pub use stage::Stage;

/// Several kernels in a row: made by [`Pool::pipeline`].
#[derive(Clone, Debug)]
pub struct Pipeline {
    stages: Vec<(Kernel, Share)>,
}

impl Pool {
    /// Puts kernels in a row. What one makes of an item is the item of the next, as it is: where items are values, each takes
    /// the type that the one before it gives.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// use std::time::Duration;
    /// use taskhost::Stage;
    ///
    /// let pipeline = pool.pipeline([
    ///     Stage::new("validate.wasm"),
    ///     Stage::new("transform.wasm").config("precision", "3").timeout(Duration::from_secs(1)),
    /// ])?;
    /// let rows = ["1,17.5", "2,x", "3,4"];
    /// let mut results = pipeline.map_bytes(rows);
    /// for result in &mut results {
    ///     match result {
    ///         Ok(row) => println!("{}", String::from_utf8_lossy(&row)),
    ///         Err(error) => eprintln!("{error}"),             // stage 0, validate.wasm: item 1: …
    ///     }
    /// }
    /// println!("{}", results.report());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Pool::kernel`] for each of them; and when there is none.
    pub fn pipeline<S: Into<Stage>>(&self, stages: impl IntoIterator<Item = S>) -> Result<Pipeline, Error> {
        let stages = stages.into_iter().map(|stage| self.ready(stage.into())).collect::<Result<Vec<_>, _>>()?;
        if stages.is_empty() {
            return Err(Error::Start("a pipeline has one stage at least".into()));
        }
        Ok(Pipeline { stages })
    }

    /// Starts a stage.
    fn ready(&self, stage: Stage) -> Result<(Kernel, Share), Error> {
        let inner = self.inner();
        let terms = stage.terms(inner.terms());
        let Stage { source, function, share, .. } = stage;
        let (name, bytes) = source.load()?;
        let reactor = inner.reactor_on(&name, &bytes, function.as_deref(), terms)?;
        if function.is_none() && reactor.info.kind == Kind::Typed {
            let reason = "it has functions, and none that is called for an item: `Stage::invoke` names one".into();
            return Err(Error::Refused { name, reason });
        }
        Ok((Kernel::new(&reactor, inner, &name, &bytes), share))
    }
}

impl Pipeline {
    /// What comes out, in the order of the items; of one that failed, an error in its place that says at which stage. Items are
    /// taken from the iterator as they are needed, so it may be endless, and every stage has only so many ahead of the next:
    /// one that is slow holds back those in front of it. Dropping it cancels what was begun.
    ///
    /// Items go on from stage to stage whenever the next result is asked for. Until then, each stage has work ahead for some
    /// quarter of a second.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let pipeline = pool.pipeline(["double.wasm", "primes.wasm"])?;
    /// for result in pipeline.map::<_, u64>(0u64..) {
    ///     match result {
    ///         Ok(count) => println!("{count}"),
    ///         Err(error) => eprintln!("{error}"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn map<I, R>(&self, items: I) -> Piped<I::IntoIter, Values<R>>
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
    /// let pipeline = pool.pipeline(["validate.wasm", "transform.wasm"])?;
    /// let rows: Vec<Vec<u8>> = pipeline.map_bytes(["1,17.5", "3,4"]).flatten().collect();
    /// # drop(rows);
    /// # Ok(())
    /// # }
    /// ```
    pub fn map_bytes<I>(&self, items: I) -> Piped<I::IntoIter, Bytes>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        self.map_as(items)
    }

    fn map_as<I, F>(&self, items: I) -> Piped<I::IntoIter, F>
    where
        I: IntoIterator,
        F: Form<I::Item>,
    {
        Piped::new(self.line(true), self.clone(), items.into_iter())
    }

    /// A way for items through all stages.
    fn line(&self, ordered: bool) -> Line {
        Line::new(self.stages.iter().map(|(kernel, share)| (kernel, *share)), ordered)
    }
}
