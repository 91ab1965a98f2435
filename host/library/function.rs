//! A function of a component, called with JSON values.

use serde::Serialize;
use serde_json::Value;

use super::error::Error;
use super::form::Json;
use super::kernel::Kernel;
use super::map::Map;
use super::task::Task;

/// A function that a component exports: made by [`Kernel::function`]. An array is the list of its
/// arguments, an object has them by name, and anything else is its only one.
#[derive(Clone, Debug)]
pub struct Function {
    kernel: Kernel,
}

impl Function {
    pub(crate) fn new(kernel: Kernel) -> Self {
        Self { kernel }
    }

    /// The component, with this function as what is called.
    pub(crate) fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Calls it, and waits for its result.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let add = pool.kernel("library.wasm")?.function("math#add")?;
    /// assert_eq!(add.call(&(1, 2))?, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the arguments cannot be written, are not what the function takes, or the call fails.
    pub fn call<T: Serialize + ?Sized>(&self, arguments: &T) -> Result<Value, Error> {
        Ok(self.submit(arguments)?.wait()?)
    }

    /// Has it called.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let add = pool.kernel("library.wasm")?.function("math#add")?;
    /// let sum = add.submit(&(1, 2))?;
    /// assert_eq!(sum.wait()?, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the arguments cannot be written, or the pool is closed.
    pub fn submit<T: Serialize + ?Sized>(&self, arguments: &T) -> Result<Task<Value>, Error> {
        self.kernel.submit_as::<T, Json>(arguments)
    }

    /// Calls it for each item (`starmap` where items are arrays): see [`Kernel::map`].
    ///
    /// ```no_run
    /// # fn main() -> Result<(), taskhost::Error> {
    /// # let pool = taskhost::Pool::new()?;
    /// let add = pool.kernel("library.wasm")?.function("math#add")?;
    /// for sum in add.map((0..10).map(|n| (n, n + 1))) {
    ///     println!("{}", sum?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn map<I>(&self, items: I) -> Map<I::IntoIter, Json>
    where
        I: IntoIterator,
        I::Item: Serialize,
    {
        self.kernel.map_as(items)
    }
}
