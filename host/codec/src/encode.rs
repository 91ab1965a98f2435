//! From samples to a file. The same samples give the same bytes, whoever encodes them.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, ImageError};
use taskhost_protocol::picture::{Format, PictureFile, Sample};

use crate::error::CodecError;

/// Quality of JPEG files, of 100: the usual choice where no loss should be seen.
const JPEG_QUALITY: u8 = 90;

/// Longest side of a JPEG: its header has 16 bits for it.
const JPEG_SIDE: u32 = 65_535;

/// Encodes a picture.
///
/// # Errors
/// When the file format has no place for such samples, with what to type instead, or when `samples` are not those of
/// `format`.
pub fn encode(format: Format, samples: &[u8], file: PictureFile) -> Result<Vec<u8>, CodecError> {
    if format.bytes() != Some(samples.len() as u64) || samples.is_empty() {
        return Err(CodecError::Length { format, got: samples.len() });
    }
    let unsupported = |advice| CodecError::Unsupported { format, file, advice };
    if !matches!(format.sample, Sample::U8 | Sample::U16) {
        return Err(unsupported("name the output .npy or .raw"));
    }
    let many_channels = "name the output .npy or .raw, which take any number of channels";
    match file {
        PictureFile::Png => match colour(format) {
            Some(colour) => png(format, samples, colour),
            None => Err(unsupported(many_channels)),
        },
        PictureFile::Jpeg => match colour(format) {
            _ if format.width > JPEG_SIDE || format.height > JPEG_SIDE => {
                Err(unsupported("its sides may have 65535 pixels at most; name the output .png"))
            }
            Some(colour @ (ExtendedColorType::L8 | ExtendedColorType::Rgb8)) => jpeg(format, samples, colour),
            Some(_) => Err(unsupported("it takes grey or RGB of u8; name the output .png")),
            None => Err(unsupported(many_channels)),
        },
        PictureFile::Pnm => match format.channels {
            1 => Ok(pnm("P5", format, samples)),
            3 => Ok(pnm("P6", format, samples)),
            2 | 4 => Err(unsupported("it has no place for an alpha channel; name the output .png")),
            _ => Err(unsupported(many_channels)),
        },
    }
}

/// What the encoders call the samples of u8 and u16.
fn colour(format: Format) -> Option<ExtendedColorType> {
    Some(match (format.channels, format.sample) {
        (1, Sample::U8) => ExtendedColorType::L8,
        (2, Sample::U8) => ExtendedColorType::La8,
        (3, Sample::U8) => ExtendedColorType::Rgb8,
        (4, Sample::U8) => ExtendedColorType::Rgba8,
        (1, Sample::U16) => ExtendedColorType::L16,
        (2, Sample::U16) => ExtendedColorType::La16,
        (3, Sample::U16) => ExtendedColorType::Rgb16,
        (4, Sample::U16) => ExtendedColorType::Rgba16,
        _ => return None,
    })
}

fn png(format: Format, samples: &[u8], colour: ExtendedColorType) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
        .write_image(samples, format.width, format.height, colour)
        .map_err(|error| failure(PictureFile::Png, &error))?;
    Ok(bytes)
}

fn jpeg(format: Format, samples: &[u8], colour: ExtendedColorType) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
        .write_image(samples, format.width, format.height, colour)
        .map_err(|error| failure(PictureFile::Jpeg, &error))?;
    Ok(bytes)
}

/// A binary PNM file, whose 16-bit samples are big-endian.
fn pnm(magic: &str, format: Format, samples: &[u8]) -> Vec<u8> {
    let most = if format.sample == Sample::U16 { 65_535 } else { 255 };
    let mut bytes = format!("{magic}\n{} {}\n{most}\n", format.width, format.height).into_bytes();
    bytes.reserve_exact(samples.len());
    match format.sample {
        Sample::U16 => bytes.extend(samples.chunks_exact(2).flat_map(|pair| [pair[1], pair[0]])),
        _ => bytes.extend_from_slice(samples),
    }
    bytes
}

/// What an encoder says.
fn failure(file: PictureFile, error: &ImageError) -> CodecError {
    CodecError::Encode { file, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    fn picture(channels: u32, sample: Sample) -> (Format, Vec<u8>) {
        let format = Format { width: 7, height: 5, channels, sample };
        let length = format.bytes().expect("small");
        (format, (0..length).map(|i| (i * 37 % 251) as u8).collect())
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (file, channels) in [(PictureFile::Png, [1, 2, 3, 4].as_slice()), (PictureFile::Pnm, &[1, 3])] {
            for channels in channels {
                for sample in [Sample::U8, Sample::U16] {
                    let (format, samples) = picture(*channels, sample);
                    let bytes = encode(format, &samples, file).expect("supported");
                    assert_eq!(decode(&bytes), Ok((format, samples)), "{file:?} {format}");
                }
            }
        }
    }

    #[test]
    fn a_jpeg_is_nearly_read_back() {
        for channels in [1, 3] {
            let format = Format { width: 64, height: 48, channels, sample: Sample::U8 };
            let row = format.row_bytes().expect("small");
            let samples: Vec<u8> = (0..format.bytes().expect("small")).map(|i| (i / row * 5) as u8).collect();
            let bytes = encode(format, &samples, PictureFile::Jpeg).expect("supported");
            let (decoded_format, decoded) = decode(&bytes).expect("whole");
            assert_eq!(decoded_format, format);
            assert!(decoded.iter().zip(&samples).all(|(a, b)| a.abs_diff(*b) < 8));
        }
    }

    #[test]
    fn a_16_bit_map_is_big_endian() {
        let format = Format { width: 2, height: 1, channels: 1, sample: Sample::U16 };
        assert_eq!(encode(format, &[1, 2, 3, 4], PictureFile::Pnm), Ok(b"P5\n2 1\n65535\n\x02\x01\x04\x03".to_vec()));
    }

    #[test]
    fn what_has_no_place_is_refused_with_advice() {
        let refusal = |channels, sample, file| {
            let (format, samples) = picture(channels, sample);
            encode(format, &samples, file).expect_err("no place").to_string()
        };
        assert_eq!(
            refusal(1, Sample::F64, PictureFile::Png),
            "a picture of 7x5, 1 channel of f64 cannot be written as PNG: name the output .npy or .raw"
        );
        assert!(refusal(1, Sample::U16, PictureFile::Jpeg).contains("name the output .png"));
        assert!(refusal(4, Sample::U8, PictureFile::Jpeg).contains("name the output .png"));
        assert!(refusal(2, Sample::U8, PictureFile::Pnm).contains("alpha"));
        for file in [PictureFile::Png, PictureFile::Jpeg, PictureFile::Pnm] {
            assert!(refusal(7, Sample::U8, file).contains(".npy or .raw"));
        }
        let wide = Format { width: 70_000, height: 1, channels: 1, sample: Sample::U8 };
        let error = encode(wide, &[0; 70_000], PictureFile::Jpeg).expect_err("too wide").to_string();
        assert!(error.contains("65535"), "{error}");
        assert!(matches!(encode(wide, &[0; 5], PictureFile::Png), Err(CodecError::Length { got: 5, .. })));
    }
}
