//! The shapes of a kernel: traits that an author implements, and [`export!`](crate::export) exports.
//!
//! A kernel keeps no state between items: any worker may get any item, in any order, more than once. What is worked
//! out once from the settings belongs into a [`Setup`](crate::Setup), filled in [`Kernel::start`].

use crate::{Description, Error, Format, Plan, Result, Tile};

/// What every kernel but the smallest has.
pub trait Kernel {
    /// What the kernel says of itself. The same every time; settings cannot be read here.
    fn describe() -> Description;

    /// Called once for each fresh instance, before its first item. Settings can be read.
    ///
    /// # Errors
    ///
    /// An error ends the run before any item is processed.
    fn start() -> Result<()> {
        Ok(())
    }
}

/// One result for each item.
pub trait Map {
    /// Makes the result of one item. An empty result is a result: with `lines` it is an empty line.
    ///
    /// # Errors
    ///
    /// Why this item failed; the others go on.
    fn process(item: &[u8]) -> Result<Vec<u8>>;

    /// For speed, optional: the same, appended to `out`. Called when many small items come in one call.
    ///
    /// # Errors
    ///
    /// As [`Map::process`]; what was appended before the error is taken back.
    fn append(item: &[u8], out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&Self::process(item)?);
        Ok(())
    }

    /// For speed, optional: the same, for a kernel that can work in the memory of its item.
    ///
    /// # Errors
    ///
    /// As [`Map::process`].
    fn consume(item: Vec<u8>) -> Result<Vec<u8>> {
        Self::process(&item)
    }
}

/// Any number of results for each item: none to drop it, several to expand it.
pub trait Filter {
    /// Puts the results of one item into `results`, in order. Putting none leaves no trace in the output.
    ///
    /// # Errors
    ///
    /// Why this item failed; the others go on.
    fn process(item: &[u8], results: &mut Results) -> Result<()>;
}

/// Makes one result out of many: [`Map::process`] makes a partial result of each item, `combine` joins consecutive
/// ones in a tree that depends on the input alone, `finish` turns the last one into what the user sees.
pub trait Reduce: Map {
    /// Joins consecutive partial results into one. With no parts it gives the result of nothing. Must be associative.
    ///
    /// # Errors
    ///
    /// Ends the run.
    fn combine(parts: &[Vec<u8>]) -> Result<Vec<u8>>;

    /// Called once, on the last partial result. The result is written as it is: a text ends with its own newline.
    ///
    /// # Errors
    ///
    /// Ends the run.
    fn finish(total: Vec<u8>) -> Result<Vec<u8>> {
        Ok(total)
    }
}

/// A filter over decoded pictures.
pub trait ImageFilter {
    /// Says how a picture of this format may be cut and what the result looks like. Settings can be read.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for a format that is not supported.
    fn prepare(input: Format) -> Result<Plan>;

    /// Returns exactly the tile's own rows in the planned output format (with [`Cut::Whole`](crate::Cut), all of it).
    /// The number of sample bytes was checked against the tile's format.
    ///
    /// # Errors
    ///
    /// Why this picture failed; the others go on.
    fn filter(tile: &Tile) -> Result<Vec<u8>>;
}

/// The results of items: byte strings laid end to end.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Results {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ends: Vec<u32>,
}

impl Results {
    /// Adds a result.
    ///
    /// # Errors
    ///
    /// When the results of this call no longer fit into 4 GiB.
    pub fn push(&mut self, result: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(result);
        self.end()
    }

    /// Ends a result whose bytes were appended before.
    pub(crate) fn end(&mut self) -> Result<()> {
        let end = u32::try_from(self.bytes.len())
            .map_err(|_| Error::failed("the results of one call exceed 4 GiB: split the input into smaller items"))?;
        self.ends.push(end);
        Ok(())
    }

    /// Takes back everything after the first `count` results.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.ends.truncate(count);
        self.bytes.truncate(self.ends.last().map_or(0, |end| *end as usize));
    }

    /// The results, one by one.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start as usize..*end as usize])
    }
}
