//! Pictures as kernels see them: size, channels and type of a sample.

use serde::{Deserialize, Serialize};

/// Type of one sample, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// All sample types, in the order of the contract.
    pub const ALL: [Self; 7] = [Self::U8, Self::U16, Self::I16, Self::U32, Self::I32, Self::F32, Self::F64];

    /// Bytes of one sample.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Self::U8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The name on the command line: `u8`, `f64`, ….
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

    /// The sample type of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sample| sample.name() == name)
    }
}

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Format of a picture. Rows follow each other without padding, the channels of a pixel together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// Bytes of one row; `None` when the number does not fit.
    #[must_use]
    pub fn row_bytes(&self) -> Option<u64> {
        u64::from(self.width).checked_mul(u64::from(self.channels))?.checked_mul(self.sample.bytes())
    }

    /// Bytes of the whole picture; `None` when the number does not fit.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        self.row_bytes()?.checked_mul(u64::from(self.height))
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let channels = if self.channels == 1 { "channel" } else { "channels" };
        write!(f, "{}x{}, {} {channels} of {}", self.width, self.height, self.channels, self.sample)
    }
}

/// How a picture may be cut, as the kernel's `prepare` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cut {
    /// Into strips of whole rows, each with up to this many rows of context above and below.
    Strips {
        /// Rows of context.
        halo: u32,
    },
    /// Not at all.
    Whole,
}

/// What the kernel makes of a picture of a given format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PicturePlan {
    /// How it may be cut.
    pub cut: Cut,
    /// Format of the result.
    pub output: Format,
}

/// File formats that the convert role reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PictureFile {
    /// Portable Network Graphics: grey, grey and alpha, RGB, RGBA of u8 or u16.
    Png,
    /// JPEG: grey or RGB of u8.
    Jpeg,
    /// Portable any map, binary: grey (PGM) or RGB (PPM) of u8 or u16.
    Pnm,
}
