//! What a taskhost kernel in Rust is written with.
//!
//! A kernel is a function over one *item* of the input (a line, a block of lines, a chunk of bytes, a file, a strip of a
//! picture). taskhost calls it on every core and joins the results in order. The shortest kernel is a function with the
//! attribute [`kernel`](macro@kernel). One that says what it is:
//!
//! ```
//! use taskhost_kernel::prelude::*;
//!
//! struct Length;
//!
//! impl Kernel for Length {
//!     fn describe() -> Description {
//!         Description::new("Writes how long each line is.").split("lines").merge("lines")
//!     }
//! }
//!
//! impl Map for Length {
//!     fn process(item: &[u8]) -> Result<Vec<u8>> {
//!         Ok(item.len().to_string().into_bytes())
//!     }
//! }
//!
//! taskhost_kernel::export!(Length as map);
//! # fn main() {}
//! ```
//!
//! in a crate with `crate-type = ["cdylib"]`, built for `wasm32-unknown-unknown`. Shapes: see [`export!`]. What the host
//! offers: [`config`], [`item`], [`log`], [`counter`], [`broadcast`]. Kernels are tested natively, with plain
//! `cargo test`: the host is then the stand-in of [`testing`].

mod description;
mod error;
mod export;
mod host;
mod kernel;
mod picture;
mod samples;
mod setup;
#[cfg(feature = "typed")]
pub mod typed;

#[doc(hidden)]
pub mod packed;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod bindings;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod glue;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use description::{Description, ResultLength, Setting};
pub use error::{Error, Result};
pub use host::{broadcast, config, counter, item, log};
pub use kernel::{Filter, ImageFilter, Kernel, Map, Reduce, Results};
pub use picture::{Cut, Format, Plan, Sample, Tile, View};
pub use samples::{Number, as_samples, make_samples};
pub use setup::Setup;

/// Makes a kernel of one function of bytes:
///
/// ```
/// use taskhost_kernel::{Error, kernel};
///
/// /// How long each line is.
/// #[kernel(split = "lines", merge = "lines")]
/// fn length(item: &[u8]) -> Result<Vec<u8>, Error> {
///     Ok(item.len().to_string().into_bytes())
/// }
/// # fn main() {}
/// ```
///
/// Once in a crate of type `cdylib`. All options may be left out: `split`, `merge` and `result_length` (`"same"`, or a number of
/// bytes) as in [`Description`], `summary` when it is not the first line of the function's documentation. With `typed`, and the
/// feature of that name, the argument is any type that serde reads and the result any that it writes, as postcard's bytes.
/// Kernels with settings, filters, reductions and pictures are written with [`export!`].
pub use taskhost_kernel_macros::kernel;

/// Everything a kernel usually needs.
pub mod prelude {
    pub use crate::{
        Cut, Description, Error, Filter, Format, ImageFilter, Kernel, Map, Number, Plan, Reduce, Result, ResultLength,
        Results, Sample, Setup, Tile, View, broadcast, config, counter, item, log, make_samples, reject, with_number,
    };
}
