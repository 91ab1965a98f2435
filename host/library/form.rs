//! How values become the bytes of items, and bytes of results values.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A way to write items of type `T` and to read their results. Sealed: there are [`Values`], [`Bytes`] and [`Json`].
pub trait Form<T: ?Sized>: sealed::Sealed {
    /// What a result is read as.
    type Result;

    /// Appends the bytes of an item.
    #[doc(hidden)]
    fn write(item: &T, bytes: &mut Vec<u8>) -> Result<(), String>;

    /// Reads a result.
    #[doc(hidden)]
    fn read(bytes: &[u8]) -> Result<Self::Result, String>;
}

mod sealed {
    pub trait Sealed {}
    impl<R> Sealed for super::Values<R> {}
    impl Sealed for super::Bytes {}
    impl Sealed for super::Json {}
}

/// Values of Rust, carried by serde and postcard; results are of type `R`.
#[derive(Debug)]
pub struct Values<R>(PhantomData<fn() -> R>);

/// Bytes as they are, for kernels in other languages.
#[derive(Debug)]
pub struct Bytes;

/// JSON values, for typed functions.
#[derive(Debug)]
pub struct Json;

impl<T: Serialize + ?Sized, R: DeserializeOwned> Form<T> for Values<R> {
    type Result = R;

    fn write(item: &T, bytes: &mut Vec<u8>) -> Result<(), String> {
        postcard::serialize_with_flavor(item, Appending(bytes)).map_err(|error| error.to_string())
    }

    fn read(bytes: &[u8]) -> Result<R, String> {
        let (value, rest) = postcard::take_from_bytes(bytes)
            .map_err(|error| format!("{} bytes are no {}: {error}", bytes.len(), std::any::type_name::<R>()))?;
        match rest.len() {
            0 => Ok(value),
            more => Err(format!("{more} bytes follow the {}", std::any::type_name::<R>())),
        }
    }
}

impl<T: AsRef<[u8]> + ?Sized> Form<T> for Bytes {
    type Result = Vec<u8>;

    fn write(item: &T, bytes: &mut Vec<u8>) -> Result<(), String> {
        bytes.extend_from_slice(item.as_ref());
        Ok(())
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>, String> {
        Ok(bytes.to_vec())
    }
}

impl<T: Serialize + ?Sized> Form<T> for Json {
    type Result = Value;

    fn write(item: &T, bytes: &mut Vec<u8>) -> Result<(), String> {
        serde_json::to_writer(bytes, item).map_err(|error| error.to_string())
    }

    fn read(bytes: &[u8]) -> Result<Value, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

/// Lets postcard append to what is there.
struct Appending<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Appending<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
