//! The geometry of a picture without a header: `--size WxH --channels N --sample TYPE`, and whether a file has the
//! bytes that a geometry needs.

use taskhost_protocol::limits::PICTURE_BYTES;
use taskhost_protocol::picture::{Format, Sample};

/// Why a geometry cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// Not `WxH`.
    #[error("`{0}` is not the size of a picture: write width x height in pixels, for example --size 640x480")]
    Size(String),
    /// No such sample type.
    #[error("`{0}` is not a sample type: there are u8, u16, i16, u32, i32, f32 and f64")]
    Sample(String),
    /// A side or the channels are zero.
    #[error("a picture of {0} has no samples")]
    Empty(Format),
    /// Over [`PICTURE_BYTES`].
    #[error("a picture of {0} is over the limit of {PICTURE_BYTES} bytes")]
    TooLarge(Format),
    /// The file has another length.
    #[error("{format} is {expected} bytes, but the file has {got}{}", hint(*.expected, *.got, .format))]
    Length {
        /// The format that was given or found.
        format: Format,
        /// Bytes that a picture of that format has.
        expected: u64,
        /// Bytes that are there.
        got: u64,
    },
}

/// What may be wrong when a file has another length than expected.
fn hint(expected: u64, got: u64, format: &Format) -> String {
    let Some(pixels) = u64::from(format.width).checked_mul(u64::from(format.height)) else { return String::new() };
    if got == 0 || pixels == 0 || got < expected && !got.is_multiple_of(pixels) {
        return ": it is cut short, or --size, --channels or --sample are not its own".into();
    }
    if got.is_multiple_of(pixels) {
        return format!(
            ", which is {} for each of its pixels instead of {}: check --channels and --sample",
            got / pixels,
            expected / pixels
        );
    }
    ": check --size, --channels and --sample".into()
}

/// Width and height of `WxH`.
///
/// # Errors
/// When `text` is anything but two numbers from 1 with an `x` between them.
pub fn parse_picture_size(text: &str) -> Result<(u32, u32), GeometryError> {
    let error = || GeometryError::Size(text.into());
    let (width, height) = text.trim().split_once(['x', 'X', '×']).ok_or_else(error)?;
    let side = |digits: &str| -> Option<u32> {
        let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        all_digits.then(|| digits.parse().ok()).flatten().filter(|side| *side > 0)
    };
    Ok((side(width).ok_or_else(error)?, side(height).ok_or_else(error)?))
}

/// The sample type of that name.
///
/// # Errors
/// When there is none; the error lists them.
pub fn parse_sample(text: &str) -> Result<Sample, GeometryError> {
    Sample::from_name(text.trim()).ok_or_else(|| GeometryError::Sample(text.into()))
}

/// Bytes of a picture of that format.
///
/// # Errors
/// When it has none, or more than [`PICTURE_BYTES`].
pub fn picture_bytes(format: Format) -> Result<u64, GeometryError> {
    match format.bytes() {
        Some(0) => Err(GeometryError::Empty(format)),
        Some(bytes) if bytes <= PICTURE_BYTES => Ok(bytes),
        _ => Err(GeometryError::TooLarge(format)),
    }
}

/// Checks that a file of `got` bytes is exactly a picture of that format.
///
/// # Errors
/// When it is not; the message has both numbers.
pub fn check_length(format: Format, got: u64) -> Result<(), GeometryError> {
    let expected = picture_bytes(format)?;
    if expected == got { Ok(()) } else { Err(GeometryError::Length { format, expected, got }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_pictures() {
        assert_eq!(parse_picture_size("640x480"), Ok((640, 480)));
        assert_eq!(parse_picture_size("1X2"), Ok((1, 2)));
        for text in ["", "640", "640x", "x480", "0x5", "-1x5", "+1x5", "1x2x3", "4294967296x1", "1.5x2"] {
            assert_eq!(parse_picture_size(text), Err(GeometryError::Size(text.into())));
        }
        assert_eq!(parse_sample("f64"), Ok(Sample::F64));
        assert!(parse_sample("f16").expect_err("unknown").to_string().contains("u8, u16"));
    }

    #[test]
    fn a_file_of_another_length_is_refused_with_both_numbers() {
        let format = Format { width: 10, height: 10, channels: 3, sample: Sample::U16 };
        assert_eq!(check_length(format, 600), Ok(()));
        let text = |got| check_length(format, got).expect_err("not 600").to_string();
        assert_eq!(
            text(300),
            "10x10, 3 channels of u16 is 600 bytes, but the file has 300, which is 3 for each of its pixels instead of 6: \
             check --channels and --sample"
        );
        assert!(text(599).contains("600 bytes, but the file has 599: it is cut short"));
        assert!(text(0).contains("cut short"));
        assert!(text(601).contains("check --size"));
        let huge = Format { width: u32::MAX, height: u32::MAX, channels: 1, sample: Sample::U8 };
        assert_eq!(check_length(huge, 1), Err(GeometryError::TooLarge(huge)));
        let flat = Format { width: 0, ..format };
        assert_eq!(check_length(flat, 0), Err(GeometryError::Empty(flat)));
    }
}
