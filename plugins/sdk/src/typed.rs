//! Items, results and partial results that are Rust values, carried as bytes by postcard. With the feature `typed`.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Description, Error, Kernel, Map, Reduce, Result};

/// Calls a function of values on an item: what `#[kernel(typed)]` makes of it.
///
/// # Errors
///
/// [`Error::InvalidInput`] when the item is no such value; the function's own errors.
pub fn call<I: DeserializeOwned, O: Serialize>(function: impl Fn(I) -> Result<O>, item: &[u8]) -> Result<Vec<u8>> {
    let (value, rest) = postcard::take_from_bytes(item).map_err(|error| {
        let kind = std::any::type_name::<I>();
        Error::invalid_input(format!("the item of {} bytes is no {kind} in postcard: {error}", item.len()))
    })?;
    if !rest.is_empty() {
        return Err(Error::invalid_input(format!(
            "the item ends {} bytes after the value it holds: is it of another type?",
            rest.len()
        )));
    }
    write(&function(value)?)
}

fn write<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    postcard::to_allocvec(value).map_err(|error| Error::failed(format!("the result cannot be written: {error}")))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|error| {
        Error::failed(format!("a partial result is damaged ({error}): was it made by another version of this kernel?"))
    })
}

/// A reduction whose partial results are values. Export it through [`Folding`]:
///
/// ```
/// use taskhost_kernel::prelude::*;
/// use taskhost_kernel::typed::{Fold, Folding};
///
/// struct Longest;
///
/// impl Kernel for Longest {
///     fn describe() -> Description {
///         Description::new("How long the longest line is.").split("lines").merge("reduce")
///     }
/// }
///
/// impl Fold for Longest {
///     type Total = u64;
///
///     fn item(line: &[u8]) -> Result<u64> {
///         Ok(line.len() as u64)
///     }
///
///     fn join(left: u64, right: u64) -> Result<u64> {
///         Ok(left.max(right))
///     }
///
///     fn finish(total: u64) -> Result<Vec<u8>> {
///         Ok(format!("{total}\n").into_bytes())
///     }
/// }
///
/// type LongestKernel = Folding<Longest>;
/// taskhost_kernel::export!(LongestKernel as reduce);
/// # fn main() {
/// let parts = [LongestKernel::process(b"a line").unwrap(), LongestKernel::process(b"").unwrap()];
/// assert_eq!(LongestKernel::finish(LongestKernel::combine(&parts).unwrap()), Ok(b"6\n".to_vec()));
/// # }
/// ```
pub trait Fold {
    /// A partial result. Its default is the result of nothing.
    type Total: Serialize + DeserializeOwned + Default;

    /// Makes the partial result of one item.
    ///
    /// # Errors
    ///
    /// Why this item failed; the others go on.
    fn item(item: &[u8]) -> Result<Self::Total>;

    /// Joins two consecutive partial results. Must be associative.
    ///
    /// # Errors
    ///
    /// Ends the run.
    fn join(left: Self::Total, right: Self::Total) -> Result<Self::Total>;

    /// Turns the last partial result into what is written.
    ///
    /// # Errors
    ///
    /// Ends the run.
    fn finish(total: Self::Total) -> Result<Vec<u8>>;
}

/// A [`Fold`] as a kernel.
#[derive(Debug)]
pub struct Folding<F>(PhantomData<F>);

impl<F: Kernel> Kernel for Folding<F> {
    fn describe() -> Description {
        F::describe()
    }

    fn start() -> Result<()> {
        F::start()
    }
}

impl<F: Fold> Map for Folding<F> {
    fn process(item: &[u8]) -> Result<Vec<u8>> {
        write(&F::item(item)?)
    }
}

impl<F: Fold> Reduce for Folding<F> {
    fn combine(parts: &[Vec<u8>]) -> Result<Vec<u8>> {
        let mut all = parts.iter().map(|part| read(part));
        let first = all.next().transpose()?.unwrap_or_default();
        write(&all.try_fold(first, |total, next| F::join(total, next?))?)
    }

    fn finish(total: Vec<u8>) -> Result<Vec<u8>> {
        F::finish(read(&total)?)
    }
}
