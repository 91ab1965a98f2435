//! What goes into a call and what comes out of it: the bytes of an item, and the place of its results.

use taskhost_protocol::fault::Fault;
use taskhost_protocol::limits::ITEM_BYTES;

/// The bytes of an item, or how to get them.
pub enum Input<'a> {
    /// Here they are.
    Bytes(&'a [u8]),
    /// `read` fills a buffer of `len` bytes. For a raw module that buffer is its linear memory, for a component one
    /// that is reused from item to item.
    Read {
        /// Bytes of the item.
        len: usize,
        /// Fills the buffer or fails.
        read: &'a mut dyn FnMut(&mut [u8]) -> std::io::Result<()>,
    },
}

impl Input<'_> {
    /// Bytes of the item.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Read { len, .. } => *len,
        }
    }

    /// Whether the item has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length in the 32 bits that kernels count in, when an item may be as long.
    pub(crate) fn checked_len(&self) -> Result<u32, Fault> {
        let len = self.len() as u64;
        match u32::try_from(len) {
            Ok(short) if len <= ITEM_BYTES => Ok(short),
            _ => Err(Fault::ItemTooLarge { len, limit: ITEM_BYTES }),
        }
    }

    /// Puts the bytes where they are wanted: a place that is exactly as long.
    pub(crate) fn put(self, place: &mut [u8]) -> Result<(), Fault> {
        match self {
            Self::Bytes(bytes) => place.copy_from_slice(bytes),
            Self::Read { read, .. } => read(place).map_err(|error| Fault::Input(error.to_string()))?,
        }
        Ok(())
    }
}

/// Where results go: called with each, in order. What it returns as an error ends the call and is returned by it.
pub(crate) type Sink<'a> = dyn FnMut(&[u8]) -> Result<(), Fault> + 'a;

/// What an item may give, and where that goes.
pub(crate) struct Results<'a> {
    /// Bytes that all results of the item may have together.
    pub(crate) limit: u64,
    pub(crate) sink: &'a mut Sink<'a>,
}

impl Results<'_> {
    /// The only result of the item.
    pub(crate) fn give(&mut self, result: &[u8]) -> Result<(), Fault> {
        self.give_all(&[result])
    }

    /// All of them.
    pub(crate) fn give_all(&mut self, results: &[impl AsRef<[u8]>]) -> Result<(), Fault> {
        within(results.iter().map(|result| result.as_ref().len() as u64).sum(), self.limit)?;
        results.iter().try_for_each(|result| (self.sink)(result.as_ref()))
    }
}

/// A result that is not longer than the limit.
pub(crate) fn within(len: u64, limit: u64) -> Result<(), Fault> {
    if len > limit { Err(Fault::OutputLimit { len, limit }) } else { Ok(()) }
}
