//! ENVI headers: the text file `img.hdr` beside the samples in `img.raw`, which says their geometry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use taskhost_protocol::picture::{Format, Sample};

use crate::geometry::{GeometryError, picture_bytes};

/// Longest header in bytes that is read. Lists of wavelengths and map projections make some long, never this long.
pub const HEADER_BYTES: usize = 1 << 20;

/// Why a header cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnviError {
    /// Another first line.
    #[error("not an ENVI header: its first line is not ENVI")]
    Magic,
    /// A key that must be there.
    #[error("the ENVI header has no `{0}`")]
    Missing(&'static str),
    /// A value that is no number where one should be.
    #[error("in the ENVI header, `{key} = {value}` is not a number that can be used")]
    Number {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// A value in braces that never ends.
    #[error("in the ENVI header, the value of `{0}` has no closing brace")]
    Brace(String),
    /// Something that is not read, by name, and what to do.
    #[error("the ENVI header says {0}")]
    Unsupported(String),
    /// No samples, or too many.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// The file of samples is too short.
    #[error(
        "the ENVI header describes {wanted} bytes, but the file has {got}: it is cut short, or the header is not its own"
    )]
    Length {
        /// Bytes that the file should have.
        wanted: u64,
        /// Bytes that it has.
        got: u64,
    },
}

/// One picture in a file of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnviPicture {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its format.
    pub format: Format,
}

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnviHeader {
    /// The pictures in the file: one, or with `bsq` one for each band.
    pub pictures: Vec<EnviPicture>,
    /// Bytes that the file must have at least.
    pub bytes: u64,
}

impl EnviHeader {
    /// Checks that a file of `got` bytes has all the samples. More is let pass: ENVI files may carry a trailer.
    ///
    /// # Errors
    /// When it is too short.
    pub fn check_length(&self, got: u64) -> Result<(), EnviError> {
        if got < self.bytes { Err(EnviError::Length { wanted: self.bytes, got }) } else { Ok(()) }
    }
}

/// Where the header of `path` may be, in the order in which to look: `img.hdr`, then `img.raw.hdr`.
#[must_use]
pub fn sidecar_candidates(path: &Path) -> Vec<PathBuf> {
    let mut appended = path.as_os_str().to_owned();
    appended.push(".hdr");
    let mut candidates = vec![path.with_extension("hdr")];
    if path.extension().is_some() {
        candidates.push(appended.into());
    }
    candidates.retain(|candidate| candidate != path);
    candidates
}

/// The keys of a header, in lower case and with single spaces, and their values; braces are taken off.
fn entries(text: &str) -> Result<BTreeMap<String, String>, EnviError> {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    if lines.next().map(str::trim) != Some("ENVI") {
        return Err(EnviError::Magic);
    }
    let mut entries = BTreeMap::new();
    while let Some(line) = lines.next() {
        let Some((key, value)) = line.split_once('=').filter(|_| !line.trim_start().starts_with(';')) else { continue };
        let key = key.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
        let mut value = value.trim().to_owned();
        if value.starts_with('{') {
            while !value.ends_with('}') {
                let Some(next) = lines.next() else { return Err(EnviError::Brace(key)) };
                value.push(' ');
                value.push_str(next.trim());
            }
            value = value[1..value.len() - 1].trim().to_owned();
        }
        entries.insert(key, value);
    }
    Ok(entries)
}

/// Reads a header.
///
/// # Errors
/// When something is missing, is no number, or is not read.
pub fn parse(text: &str) -> Result<EnviHeader, EnviError> {
    let entries = entries(text)?;
    let value = |key: &str| entries.get(key).map(String::as_str);
    let number = |key: &'static str, default: Option<u64>| -> Result<u64, EnviError> {
        match (value(key), default) {
            (Some(value), _) => value.parse().map_err(|_| EnviError::Number { key, value: value.into() }),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(EnviError::Missing(key)),
        }
    };
    let side = |key: &'static str, default: Option<u64>| -> Result<u32, EnviError> {
        let side = number(key, default)?;
        u32::try_from(side).map_err(|_| EnviError::Number { key, value: side.to_string() })
    };
    let (width, height) = (side("samples", None)?, side("lines", None)?);
    let bands = side("bands", Some(1))?;
    let sample = sample_of(number("data type", None)?)?;
    let offset = number("header offset", Some(0))?;
    if number("byte order", Some(0))? != 0 && sample != Sample::U8 {
        return Err(EnviError::Unsupported(
            "`byte order = 1`: big-endian samples are not read, only little-endian ones".into(),
        ));
    }
    if number("file compression", Some(0))? != 0 {
        return Err(EnviError::Unsupported(
            "`file compression = 1`: compressed files are not read; gunzip it first".into(),
        ));
    }
    let interleave = value("interleave").unwrap_or("bsq").to_ascii_lowercase();
    let (channels, count) = match interleave.as_str() {
        "bip" => (bands, 1),
        "bsq" => (1, bands),
        "bil" if bands == 1 => (1, 1),
        "bil" => {
            return Err(EnviError::Unsupported(
                "`interleave = bil`: pictures interleaved by line are not read; convert to bip or bsq, for example with \
                 gdal_translate -of ENVI -co INTERLEAVE=BIP"
                    .into(),
            ));
        }
        other => {
            return Err(EnviError::Unsupported(format!("`interleave = {other}`, which is none of bip, bsq and bil")));
        }
    };
    let format = Format { width, height, channels, sample };
    let each = picture_bytes(format)?;
    if count == 0 {
        return Err(GeometryError::Empty(Format { channels: 0, ..format }).into());
    }
    if count > MOST_BANDS {
        return Err(EnviError::Number { key: "bands", value: count.to_string() });
    }
    let too_large = || EnviError::from(GeometryError::TooLarge(format));
    let bytes = each.checked_mul(count.into()).and_then(|all| all.checked_add(offset)).ok_or_else(too_large)?;
    let pictures = (0..u64::from(count)).map(|band| EnviPicture { offset: offset + band * each, format }).collect();
    Ok(EnviHeader { pictures, bytes })
}

/// Most bands of a `bsq` file: each becomes a picture in memory, and no instrument has this many.
const MOST_BANDS: u32 = 65_536;

/// The sample type of ENVI's number for it.
fn sample_of(code: u64) -> Result<Sample, EnviError> {
    let name = match code {
        1 => return Ok(Sample::U8),
        2 => return Ok(Sample::I16),
        3 => return Ok(Sample::I32),
        4 => return Ok(Sample::F32),
        5 => return Ok(Sample::F64),
        12 => return Ok(Sample::U16),
        13 => return Ok(Sample::U32),
        6 | 9 => "complex numbers",
        14 | 15 => "64-bit integers",
        _ => "an unknown type",
    };
    Err(EnviError::Unsupported(format!(
        "`data type = {code}` ({name}), which is not read; there are u8, u16, i16, u32, i32, f32, f64"
    )))
}

/// The header of a file that is the samples of `format` and nothing else.
#[must_use]
pub fn write(format: Format) -> String {
    let code = match format.sample {
        Sample::U8 => 1,
        Sample::I16 => 2,
        Sample::I32 => 3,
        Sample::F32 => 4,
        Sample::F64 => 5,
        Sample::U16 => 12,
        Sample::U32 => 13,
    };
    let Format { width, height, channels, .. } = format;
    format!(
        "ENVI\nsamples = {width}\nlines = {height}\nbands = {channels}\nheader offset = 0\nfile type = ENVI Standard\n\
         data type = {code}\ninterleave = bip\nbyte order = 0\n"
    )
}

#[cfg(test)]
mod tests;
