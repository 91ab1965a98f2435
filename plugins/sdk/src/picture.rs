//! Pictures as kernels see them: their format, how they may be cut, and the tiles they arrive in.

use std::fmt;

use crate::samples::{Number, as_samples};
use crate::{Error, Result};

/// Type of one sample, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sample {
    /// 8 bits without sign.
    U8,
    /// 16 bits without sign.
    U16,
    /// 16 bits with sign.
    I16,
    /// 32 bits without sign.
    U32,
    /// 32 bits with sign.
    I32,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
}

impl Sample {
    /// Bytes of one sample.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }
}

/// Format of a picture. Rows follow each other without padding, the channels of a pixel together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Samples of a pixel: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha; other numbers for raw data.
    pub channels: u32,
    /// Type of a sample.
    pub sample: Sample,
}

impl Format {
    /// Samples of one row; `None` when the number does not fit into memory.
    #[must_use]
    pub fn row_samples(&self) -> Option<usize> {
        usize::try_from(self.width).ok()?.checked_mul(usize::try_from(self.channels).ok()?)
    }

    /// Bytes of one row; `None` when the number does not fit into memory.
    #[must_use]
    pub fn row_bytes(&self) -> Option<usize> {
        self.row_samples()?.checked_mul(self.sample.bytes())
    }

    /// Bytes of the whole picture; `None` when the number does not fit into memory.
    #[must_use]
    pub fn bytes(&self) -> Option<usize> {
        self.row_bytes()?.checked_mul(usize::try_from(self.height).ok()?)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channels = if self.channels == 1 { "channel" } else { "channels" };
        write!(f, "{}x{}, {} {channels} of {}", self.width, self.height, self.channels, self.sample.name())
    }
}

/// How a picture may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Into strips. Each gets up to this many more rows of context above and below (the halo).
    Strips(u32),
    /// Not at all: the filter needs the whole picture.
    Whole,
}

/// What a filter makes of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How it may be cut.
    pub cut: Cut,
    /// Format of the result. With strips its height must be that of the input.
    pub output: Format,
}

impl Plan {
    /// Strips with this many rows of context on each side.
    #[must_use]
    pub fn strips(halo: u32, output: Format) -> Self {
        Self { cut: Cut::Strips(halo), output }
    }

    /// The whole picture at once.
    #[must_use]
    pub fn whole(output: Format) -> Self {
        Self { cut: Cut::Whole, output }
    }
}

/// Rows of a picture, with rows of context around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Format of the whole picture, not of the tile.
    pub image: Format,
    /// Row of the picture at which the tile's own rows begin.
    pub first_row: u32,
    /// Number of own rows: the rows to be returned.
    pub rows: u32,
    /// Context rows present before the own rows; fewer than the halo at the picture's top.
    pub above: u32,
    /// Context rows present after the own rows; fewer than the halo at the picture's bottom.
    pub below: u32,
    /// (above + rows + below) × width × channels samples.
    pub samples: Vec<u8>,
}

impl Tile {
    /// The rows to be returned, by their number in the picture.
    #[must_use]
    pub fn own_rows(&self) -> std::ops::Range<u32> {
        self.first_row..self.first_row.saturating_add(self.rows)
    }

    /// Checks that the tile is one of its picture and that `samples` has the promised length.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`], because only the host can be wrong here.
    pub fn check(&self) -> Result<()> {
        let wrong = || Error::failed(format!("the tile at row {} does not fit its picture", self.first_row));
        let present = u64::from(self.above) + u64::from(self.rows) + u64::from(self.below);
        let last = u64::from(self.first_row) + u64::from(self.rows) + u64::from(self.below);
        let row = self.image.row_bytes().ok_or_else(wrong)?;
        let bytes = usize::try_from(present).ok().and_then(|rows| rows.checked_mul(row));
        if self.above > self.first_row || last > u64::from(self.image.height) || bytes != Some(self.samples.len()) {
            return Err(wrong());
        }
        Ok(())
    }

    /// The rows as numbers, with as much context as the filter asked for.
    ///
    /// # Errors
    ///
    /// When the samples are not of type `T`, or when there are fewer context rows than `halo` though the picture has
    /// them.
    pub fn view<T: Number>(&self, halo: u32) -> Result<View<'_, T>> {
        let end = self.own_rows().end;
        let above = halo.min(self.first_row);
        let below = halo.min(self.image.height.saturating_sub(end));
        if self.image.sample != T::SAMPLE || self.above < above || self.below < below {
            return Err(Error::failed(format!("the tile at row {} is not what was planned", self.first_row)));
        }
        let width = self.image.row_samples().ok_or_else(|| Error::failed("the picture is too wide"))?;
        Ok(View { first: self.first_row - self.above, width, samples: as_samples(&self.samples) })
    }
}

/// The rows of a tile as numbers.
#[derive(Debug)]
pub struct View<'a, T: Number> {
    first: u32,
    width: usize,
    samples: std::borrow::Cow<'a, [T]>,
}

impl<T: Number> View<'_, T> {
    /// Row `y` of the picture: width × channels samples.
    ///
    /// # Panics
    ///
    /// When the tile does not hold that row: it lies further from the own rows than the halo.
    #[must_use]
    pub fn row(&self, y: u32) -> &[T] {
        let start = (y - self.first) as usize * self.width;
        &self.samples[start..start + self.width]
    }
}
