//! From a file to samples. The format is told by the first bytes, not by the name.
//!
//! Pixels stay as they are stored: an orientation in EXIF turns nothing, a colour profile changes nothing. What cannot
//! be a sample is expanded: palettes and CMYK to RGB, a transparent colour to an alpha channel, 1, 2 and 4 bits and
//! any other PNM maximum to the full range of 8 or 16 bits.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::codecs::{jpeg::JpegDecoder, png::PngDecoder, pnm::PnmDecoder};
use image::error::{ImageError, LimitErrorKind};
use image::{ColorType, ImageDecoder, Limits};
use taskhost_protocol::limits::PICTURE_BYTES;
use taskhost_protocol::picture::{Format, PictureFile, Sample};

use crate::error::CodecError;
use crate::jpeg::has_end;

/// Bytes of samples that one byte of a file can stand for at most: a file that claims more is cut short or lies, and
/// is refused before memory is taken for it. Deflate reaches 1032; a progressive JPEG whose blocks are one bit each
/// 1366; a bitmap has 8 pixels in a byte.
fn most_expansion(file: PictureFile) -> u64 {
    match file {
        // A palette turns a byte into 3 or 4, and 1 bit into 4 bytes.
        PictureFile::Png => 1032 * 32,
        PictureFile::Jpeg => 2048,
        PictureFile::Pnm => 8,
    }
}

/// The file format by the first bytes.
fn file_format(bytes: &[u8]) -> Result<PictureFile, CodecError> {
    match bytes {
        [] => Err(CodecError::Empty),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Ok(PictureFile::Png),
        [0xff, 0xd8, 0xff, ..] => Ok(PictureFile::Jpeg),
        [b'P', b'1'..=b'6', ..] => Ok(PictureFile::Pnm),
        _ => Err(CodecError::Unknown),
    }
}

/// Decodes a picture: its format, and its samples.
///
/// # Errors
/// When the bytes are no whole picture of a known format, or one over [`PICTURE_BYTES`].
pub fn decode(bytes: &[u8]) -> Result<(Format, Vec<u8>), CodecError> {
    let file = file_format(bytes)?;
    // The decoders are meant to return errors for everything; should one panic, that file alone has failed.
    let decoded = catch_unwind(AssertUnwindSafe(|| match file {
        PictureFile::Png => {
            let limits = || {
                let mut limits = Limits::no_limits();
                limits.max_alloc = Some(PICTURE_BYTES);
                limits
            };
            let decoder = PngDecoder::with_limits(Cursor::new(bytes), limits());
            read(decoder.map_err(|error| failure(file, error))?, file, bytes.len())
        }
        PictureFile::Jpeg if !has_end(bytes) => Err(CodecError::Truncated(file)),
        PictureFile::Jpeg => {
            let decoder = JpegDecoder::new(Cursor::new(bytes));
            read(decoder.map_err(|error| failure(file, error))?, file, bytes.len())
        }
        PictureFile::Pnm => {
            let decoder = PnmDecoder::new(Cursor::new(bytes));
            read(decoder.map_err(|error| failure(file, error))?, file, bytes.len())
        }
    }));
    decoded.unwrap_or_else(|_| Err(CodecError::Decode { file, reason: "the decoder panicked on it".into() }))
}

/// Reads all samples of an opened picture that lies in `file_bytes` bytes.
fn read(decoder: impl ImageDecoder, file: PictureFile, file_bytes: usize) -> Result<(Format, Vec<u8>), CodecError> {
    let (width, height) = decoder.dimensions();
    let (channels, sample) = match decoder.color_type() {
        ColorType::L8 => (1, Sample::U8),
        ColorType::La8 => (2, Sample::U8),
        ColorType::Rgb8 => (3, Sample::U8),
        ColorType::Rgba8 => (4, Sample::U8),
        ColorType::L16 => (1, Sample::U16),
        ColorType::La16 => (2, Sample::U16),
        ColorType::Rgb16 => (3, Sample::U16),
        ColorType::Rgba16 => (4, Sample::U16),
        other => return Err(CodecError::Decode { file, reason: format!("samples of {other:?} are not read") }),
    };
    let format = Format { width, height, channels, sample };
    let total = match format.bytes() {
        Some(0) => return Err(CodecError::Decode { file, reason: "it has no pixels".into() }),
        Some(total) if total <= PICTURE_BYTES => total,
        _ => return Err(CodecError::TooLarge { width, height }),
    };
    if total > most_expansion(file).saturating_mul(file_bytes as u64) {
        return Err(CodecError::Truncated(file));
    }
    let length = usize::try_from(total).map_err(|_| CodecError::Memory(total))?;
    let mut samples = Vec::new();
    samples.try_reserve_exact(length).map_err(|_| CodecError::Memory(total))?;
    samples.resize(length, 0);
    decoder.read_image(&mut samples).map_err(|error| failure(file, error))?;
    Ok((format, samples))
}

/// What a decoder says, in our words.
fn failure(file: PictureFile, error: ImageError) -> CodecError {
    match error {
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => CodecError::Truncated(file),
        ImageError::Limits(error) if error.kind() == LimitErrorKind::InsufficientMemory => {
            CodecError::Memory(PICTURE_BYTES)
        }
        // The inner error alone: the outer one repeats the name of the format.
        ImageError::Decoding(error) => match std::error::Error::source(&error) {
            Some(inner) => CodecError::Decode { file, reason: inner.to_string() },
            None => CodecError::Decode { file, reason: error.to_string() },
        },
        other => CodecError::Decode { file, reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests;
