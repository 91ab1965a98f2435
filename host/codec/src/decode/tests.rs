//! Pictures as other programs write them, half of them, and bytes that are none.

use proptest::prelude::*;

use super::*;
use crate::encode;

/// A picture with some structure, encoded.
fn sample_file(file: PictureFile) -> Vec<u8> {
    let format = Format { width: 33, height: 21, channels: 3, sample: Sample::U8 };
    let samples: Vec<u8> = (0..format.bytes().expect("small")).map(|i| (i * i / 97 % 256) as u8).collect();
    encode(format, &samples, file).expect("supported")
}

const FILES: [PictureFile; 3] = [PictureFile::Png, PictureFile::Jpeg, PictureFile::Pnm];

#[test]
fn small_depths_are_expanded() {
    let (format, samples) = decode(b"P4\n3 2\n\xa0\x40").expect("a bitmap");
    assert_eq!((format.width, format.height, format.channels, format.sample), (3, 2, 1, Sample::U8));
    assert_eq!(samples, [0, 255, 0, 255, 0, 255]);
    assert_eq!(decode(b"P2\n# a comment\n2 1\n15\n15 5\n").expect("a grey map").1, [255, 85]);
    assert_eq!(decode(b"P5\n2 1\n1023\n\x03\xff\x00\x00").expect("10 bits").1, [255, 255, 0, 0]);
}

/// A PNG file with these chunks.
fn png(header: [u8; 13], chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let all =
        [(b"IHDR", header.as_slice())].into_iter().chain(chunks.iter().copied()).chain([(b"IEND", [].as_slice())]);
    for (name, data) in all {
        let length = u32::try_from(data.len()).expect("small");
        bytes.extend(length.to_be_bytes());
        let checked = [name.as_slice(), data].concat();
        bytes.extend(&checked);
        bytes.extend(crc(&checked).to_be_bytes());
    }
    bytes
}

/// The checksum of PNG.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

/// `data` as a zlib stream without compression.
fn stored(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("small");
    let (a, b) = data.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    });
    let mut stream = vec![0x78, 0x01, 0x01];
    stream.extend(length.to_le_bytes());
    stream.extend((!length).to_le_bytes());
    stream.extend(data);
    stream.extend((b << 16 | a).to_be_bytes());
    stream
}

#[test]
fn palettes_and_transparent_colours_are_expanded() {
    // 3x1 pixels of 2 bits in a palette of three colours, the second of them half transparent.
    let header = [0, 0, 0, 3, 0, 0, 0, 1, 2, 3, 0, 0, 0];
    let pixels = stored(&[0, 0b00_01_10_00]);
    let palette = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    let (format, samples) = decode(&png(header, &[(b"PLTE", &palette), (b"IDAT", &pixels)])).expect("a palette");
    assert_eq!((format.width, format.channels, format.sample), (3, 3, Sample::U8));
    assert_eq!(samples, palette);
    let chunks: [(&[u8; 4], &[u8]); 3] = [(b"PLTE", &palette), (b"tRNS", &[255, 128]), (b"IDAT", &pixels)];
    let (format, samples) = decode(&png(header, &chunks)).expect("a palette");
    assert_eq!(format.channels, 4);
    assert_eq!(samples, [1, 2, 3, 255, 4, 5, 6, 128, 7, 8, 9, 255]);
    // Two grey pixels of 1 bit.
    let header = [0, 0, 0, 2, 0, 0, 0, 1, 1, 0, 0, 0, 0];
    assert_eq!(decode(&png(header, &[(b"IDAT", &stored(&[0, 0b0100_0000]))])).expect("grey").1, [0, 255]);
}

#[test]
fn what_is_no_picture_is_refused() {
    assert_eq!(decode(b""), Err(CodecError::Empty));
    assert_eq!(decode(b"GIF89a"), Err(CodecError::Unknown));
    assert_eq!(decode(b"hello"), Err(CodecError::Unknown));
    assert!(matches!(decode(b"P5\n2 x\n255\n"), Err(CodecError::Decode { file: PictureFile::Pnm, .. })));
}

#[test]
fn claims_beyond_the_limits_cost_no_memory() {
    let huge = [0, 1, 0, 0, 0, 1, 0, 0, 8, 6, 0, 0, 0];
    let too_large = CodecError::TooLarge { width: 65_536, height: 65_536 };
    assert_eq!(decode(&png(huge, &[(b"IDAT", &stored(&[0]))])), Err(too_large));
    let large = [0, 0, 0x7f, 0xff, 0, 0, 0x7f, 0xff, 8, 0, 0, 0, 0];
    assert_eq!(decode(&png(large, &[(b"IDAT", &stored(&[0]))])), Err(CodecError::Truncated(PictureFile::Png)));
    assert_eq!(decode(b"P5\n60000 60000\n255\nabc"), Err(CodecError::Truncated(PictureFile::Pnm)));
}

#[test]
fn half_a_file_is_an_error() {
    for file in FILES {
        let bytes = sample_file(file);
        for length in [bytes.len() / 2, bytes.len() - 20, bytes.len() - 1] {
            // A PNG whose pixels are complete has nothing that matters in its last chunk.
            let only_the_end_chunk = file == PictureFile::Png && length > bytes.len() - 16;
            assert!(only_the_end_chunk || decode(&bytes[..length]).is_err(), "{file:?} {length} of {}", bytes.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_change_is_answered(kind in 0usize..3, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut: prop::sample::Index) {
        let mut bytes = sample_file(FILES[kind]);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let _ = decode(&bytes);
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = decode(&bytes);
    }

    #[test]
    fn any_bytes_are_answered(kind in 0usize..3, bytes: Vec<u8>) {
        let start: &[u8] = [b"\x89PNG\r\n\x1a\n".as_slice(), b"\xff\xd8\xff", b"P6\n"][kind];
        let _ = decode(&[start, &bytes].concat());
    }
}
