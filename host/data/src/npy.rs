//! Headers of `.npy` files: a picture as a NumPy array of shape (height, width) or (height, width, channels).

mod dict;

use taskhost_protocol::picture::{Format, Sample};

use crate::geometry::{GeometryError, picture_bytes};

/// The first bytes of every such file.
const MAGIC: &[u8] = b"\x93NUMPY";

/// Bytes up to and with the length of the header text, in the longer of the two forms.
pub const PREFIX_BYTES: usize = 12;

/// Longest header in bytes that is read: a plain array needs about a hundred.
const HEADER_BYTES: usize = 64 * 1024;

/// The data of a file that is written begins at a multiple of this, as NumPy's own does.
const ALIGNMENT: usize = 64;

/// Why an array is no picture that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NpyError {
    /// Other first bytes.
    #[error("not a .npy file: it does not begin with \\x93NUMPY")]
    Magic,
    /// A version that does not exist yet.
    #[error(".npy version {0}.{1} is not known; versions 1, 2 and 3 are read")]
    Version(u8, u8),
    /// The file ends in its header.
    #[error("the .npy header has {wanted} bytes, but the file ends after {got}: it is cut short")]
    ShortHeader {
        /// Bytes of the header.
        wanted: u64,
        /// Bytes that are there.
        got: u64,
    },
    /// A header beyond reason.
    #[error("the .npy header claims {0} bytes, over the limit of {HEADER_BYTES}")]
    LongHeader(u64),
    /// The header text is not the dictionary it should be.
    #[error("the .npy header cannot be read: {0}")]
    Header(&'static str),
    /// A type that no sample has.
    #[error("arrays of {0} are not read; convert it first, for example with numpy.save(path, array.astype('<f4'))")]
    Type(String),
    /// Column by column.
    #[error(
        "the array is in Fortran order (column by column), which is not read; save it with numpy.save(path, numpy.ascontiguousarray(array))"
    )]
    Fortran,
    /// Neither two nor three dimensions.
    #[error("the array has shape {0}; a picture has (height, width) or (height, width, channels)")]
    Shape(String),
    /// No samples, or too many.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// The file has another length than the header says.
    #[error(
        "an array of {format} needs {wanted} bytes with its header, but the file has {got}: it is {}",
        if .got < .wanted { "cut short" } else { "followed by something else" }
    )]
    Length {
        /// What the header says.
        format: Format,
        /// Bytes that the file should have.
        wanted: u64,
        /// Bytes that it has.
        got: u64,
    },
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NpyHeader {
    /// The picture.
    pub format: Format,
    /// Where its samples begin in the file.
    pub data_at: u64,
    /// The array has two dimensions, not a third of length 1.
    pub flat: bool,
}

impl NpyHeader {
    /// Checks that a file of `got` bytes is this header and its samples.
    ///
    /// # Errors
    /// When it is not; the message has both numbers.
    pub fn check_length(&self, got: u64) -> Result<(), NpyError> {
        let wanted = self.data_at.saturating_add(picture_bytes(self.format)?);
        if wanted == got { Ok(()) } else { Err(NpyError::Length { format: self.format, wanted, got }) }
    }
}

/// Version and length of the text, from the prefix: bytes of the prefix, bytes of the text.
fn prefix(first: &[u8]) -> Result<(usize, usize), NpyError> {
    let wanted_length = |wanted: usize| NpyError::ShortHeader { wanted: wanted as u64, got: first.len() as u64 };
    if !first.starts_with(&MAGIC[..MAGIC.len().min(first.len())]) || first.is_empty() {
        return Err(NpyError::Magic);
    }
    let [major, minor] = *first.get(6..8).and_then(<[u8]>::as_array).ok_or_else(|| wanted_length(10))?;
    let (at, length) = match major {
        1 => (10, first.get(8..10).and_then(<[u8]>::as_array).map(|bytes| u32::from(u16::from_le_bytes(*bytes)))),
        2 | 3 => (12, first.get(8..12).and_then(<[u8]>::as_array).map(|bytes| u32::from_le_bytes(*bytes))),
        _ => return Err(NpyError::Version(major, minor)),
    };
    let length = length.ok_or_else(|| wanted_length(at))?;
    match usize::try_from(length) {
        Ok(length) if length <= HEADER_BYTES => Ok((at, length)),
        _ => Err(NpyError::LongHeader(length.into())),
    }
}

/// Bytes of the header with its prefix, from the first [`PREFIX_BYTES`] of the file (or all of a shorter one): what
/// [`parse`] has to be given.
///
/// # Errors
/// When they are not the beginning of a `.npy` file.
pub fn header_bytes(first: &[u8]) -> Result<usize, NpyError> {
    prefix(first).map(|(at, length)| at + length)
}

/// Reads the header from the first bytes of a file.
///
/// # Errors
/// When it is cut short, is no header, or says something that is not read.
pub fn parse(first: &[u8]) -> Result<NpyHeader, NpyError> {
    let (at, length) = prefix(first)?;
    let text = first
        .get(at..at + length)
        .ok_or(NpyError::ShortHeader { wanted: (at + length) as u64, got: first.len() as u64 })?;
    let text = std::str::from_utf8(text).map_err(|_| NpyError::Header("it is not text"))?;
    let dict = dict::parse(text)?;
    let sample = sample_of(&dict.descr)?;
    if dict.fortran_order {
        return Err(NpyError::Fortran);
    }
    let shape = || {
        let sides: Vec<String> = dict.shape.iter().map(u64::to_string).collect();
        NpyError::Shape(format!("({}{})", sides.join(", "), if sides.len() == 1 { "," } else { "" }))
    };
    let (height, width, channels, flat) = match *dict.shape.as_slice() {
        [height, width] => (height, width, 1, true),
        [height, width, channels] => (height, width, channels, false),
        _ => return Err(shape()),
    };
    let side = |number: u64| u32::try_from(number).map_err(|_| shape());
    let format = Format { width: side(width)?, height: side(height)?, channels: side(channels)?, sample };
    picture_bytes(format)?;
    Ok(NpyHeader { format, data_at: (at + length) as u64, flat })
}

/// The sample type that NumPy calls `descr`.
fn sample_of(descr: &str) -> Result<Sample, NpyError> {
    let (order, kind) = descr.split_at_checked(1).unwrap_or_default();
    // The order of the bytes of a single byte does not matter; NumPy writes `|`.
    match (order, kind) {
        ("|" | "<" | ">" | "=", "u1") => return Ok(Sample::U8),
        ("<", "u2") => return Ok(Sample::U16),
        ("<", "i2") => return Ok(Sample::I16),
        ("<", "u4") => return Ok(Sample::U32),
        ("<", "i4") => return Ok(Sample::I32),
        ("<", "f4") => return Ok(Sample::F32),
        ("<", "f8") => return Ok(Sample::F64),
        _ => {}
    }
    let name = match kind.chars().next() {
        _ if order == ">" => "big-endian numbers",
        Some('b') => "booleans",
        Some('i') => "integers of that width",
        Some('u') => "unsigned integers of that width",
        Some('f') => "floating-point numbers of that width",
        Some('c') => "complex numbers",
        Some('S' | 'a' | 'U') => "strings",
        Some('O') => "Python objects",
        Some('M' | 'm') => "dates and times",
        Some('V') => "structures",
        _ => "an unknown type",
    };
    let shown: String = descr.chars().take(40).collect();
    Err(NpyError::Type(format!("{name} ('{shown}')")))
}

/// The header of a file with the samples of `format`, aligned to 64 bytes. `flat` writes a picture of one channel as
/// an array of two dimensions.
#[must_use]
pub fn write(format: Format, flat: bool) -> Vec<u8> {
    let descr = match format.sample {
        Sample::U8 => "|u1",
        Sample::U16 => "<u2",
        Sample::I16 => "<i2",
        Sample::U32 => "<u4",
        Sample::I32 => "<i4",
        Sample::F32 => "<f4",
        Sample::F64 => "<f8",
    };
    let Format { width, height, channels, .. } = format;
    let shape =
        if flat && channels == 1 { format!("{height}, {width}") } else { format!("{height}, {width}, {channels}") };
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    let unpadded = MAGIC.len() + 4 + text.len() + 1;
    text.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(ALIGNMENT) - unpadded));
    text.push('\n');
    let length = u16::try_from(text.len()).expect("a shape has at most three numbers of ten digits");
    let mut header = MAGIC.to_vec();
    header.extend([1, 0]);
    header.extend(length.to_le_bytes());
    header.extend(text.as_bytes());
    header
}

#[cfg(test)]
mod tests;
