//! Headers that say the geometry of a picture, and the notations of the command line.

use taskhost_data::{duration, envi, formats, geometry, npy, size, split};

use super::choices::Choices;

/// Bytes of samples that a picture has at least: one.
const LEAST: u64 = 1;

/// What is read from a header lies within the file that it describes, and is read back from the header that is written
/// of it. The first byte says what the rest is taken for.
pub fn headers(data: &[u8]) {
    let mut choices = Choices(data);
    match choices.byte() % 3 {
        0 => numpy(choices.0),
        1 => text(choices.0, envi_header),
        _ => text(choices.0, notations),
    }
    let _ = formats::sniff(choices.0);
}

fn text(data: &[u8], read: fn(&str)) {
    if let Ok(text) = std::str::from_utf8(data) {
        read(text);
    }
}

fn numpy(data: &[u8]) {
    let claimed = npy::header_bytes(&data[..data.len().min(npy::PREFIX_BYTES)]);
    let Ok(header) = npy::parse(data) else { return };
    assert!(header.data_at <= data.len() as u64, "samples begin behind the header that was read: {header:?}");
    assert_eq!(claimed, usize::try_from(header.data_at).map_err(|_| npy::NpyError::Magic));
    let bytes = header.format.bytes().expect("what is too large was refused");
    assert!(bytes >= LEAST);
    assert_eq!(header.check_length(header.data_at + bytes), Ok(()));
    assert!(header.check_length(header.data_at + bytes - 1).is_err());
    let written = npy::write(header.format, header.flat);
    let again = npy::parse(&written).expect("what is written is read");
    assert_eq!((again.format, again.flat), (header.format, header.flat));
    assert_eq!(again.data_at, written.len() as u64);
}

fn envi_header(text: &str) {
    let Ok(header) = envi::parse(text) else { return };
    let mut end = None;
    for picture in &header.pictures {
        assert!(end.is_none_or(|end| end == picture.offset), "pictures leave a gap or overlap: {header:?}");
        let bytes = picture.format.bytes().expect("what is too large was refused");
        assert!(bytes >= LEAST);
        end = Some(picture.offset + bytes);
    }
    assert_eq!(end, Some(header.bytes));
    assert_eq!(header.check_length(header.bytes), Ok(()));
    assert!(header.check_length(header.bytes - 1).is_err());
    let format = header.pictures[0].format;
    let again = envi::parse(&envi::write(format)).expect("what is written is read");
    assert_eq!(again.pictures, [envi::EnviPicture { offset: 0, format }]);
}

fn notations(text: &str) {
    if let Ok(split) = split::parse_split(text) {
        assert_eq!(split::parse_split(&split::split_name(split)), Ok(split));
    }
    if let Ok(bytes) = size::parse_size(text) {
        assert_eq!(size::parse_size(&size::size_name(bytes)), Ok(bytes));
    }
    if let Ok(time) = duration::parse_duration(text) {
        assert_eq!(duration::parse_duration(&duration::duration_name(time)), Ok(time));
    }
    if let Ok((width, height)) = geometry::parse_picture_size(text) {
        assert_eq!(geometry::parse_picture_size(&format!("{width}x{height}")), Ok((width, height)));
    }
}
