//! What is worked out once from the settings: a compiled pattern, a table of weights.

use std::sync::OnceLock;

/// Filled once in [`Kernel::start`](crate::Kernel::start), read for every item.
///
/// ```
/// use taskhost_kernel::Setup;
/// static WEIGHTS: Setup<Vec<f64>> = Setup::new();
/// WEIGHTS.fill(vec![0.25, 0.5, 0.25]);
/// assert_eq!(WEIGHTS.get()[1], 0.5);
/// ```
#[derive(Debug)]
pub struct Setup<T>(OnceLock<T>);

impl<T> Setup<T> {
    /// An empty one, for a `static`.
    #[must_use]
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Fills it. A second call changes nothing: settings are the same for the whole run.
    pub fn fill(&self, value: T) {
        drop(self.0.set(value));
    }

    /// What it was filled with.
    ///
    /// # Panics
    ///
    /// When `start` did not fill it.
    pub fn get(&self) -> &T {
        self.0.get().expect("a Setup is filled in `start`, which runs before the first item")
    }
}

impl<T> Default for Setup<T> {
    fn default() -> Self {
        Self::new()
    }
}
