//! Headers as NumPy writes them, as it never would, and our own.

use proptest::prelude::*;

use super::*;

/// A version 1 header with that text.
fn header(text: &str) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend(u16::try_from(text.len()).expect("short").to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

/// The header of an array with that type and shape.
fn array(descr: &str, fortran: &str, shape: &str) -> Result<NpyHeader, NpyError> {
    parse(&header(&format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}")))
}

#[test]
fn arrays_of_two_and_three_dimensions() {
    let grey = array("'<f8'", "False", "(3, 5)").expect("a picture");
    assert_eq!(grey.format, Format { width: 5, height: 3, channels: 1, sample: Sample::F64 });
    assert!(grey.flat);
    let colour = array("'|u1'", "False", "(3, 5, 4)").expect("a picture");
    assert_eq!(colour.format, Format { width: 5, height: 3, channels: 4, sample: Sample::U8 });
    assert!(!colour.flat);
    for (descr, sample) in [
        ("'<u2'", Sample::U16),
        ("'<i2'", Sample::I16),
        ("'<u4'", Sample::U32),
        ("'<i4'", Sample::I32),
        ("'<f4'", Sample::F32),
    ] {
        assert_eq!(array(descr, "False", "(1, 1)").expect("a picture").format.sample, sample);
    }
}

#[test]
fn later_versions_have_longer_lengths() {
    let text = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 5), }\n";
    for version in [2, 3] {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([version, 0]);
        bytes.extend(u32::try_from(text.len()).expect("short").to_le_bytes());
        bytes.extend(text.as_bytes());
        assert_eq!(header_bytes(&bytes[..PREFIX_BYTES]), Ok(bytes.len()));
        assert_eq!(parse(&bytes).expect("a picture").data_at, bytes.len() as u64);
    }
}

#[test]
fn what_is_not_read_is_named() {
    for (descr, name) in [
        ("'>f8'", "big-endian numbers ('>f8')"),
        ("'|b1'", "booleans"),
        ("'<c16'", "complex numbers"),
        ("'<i8'", "integers of that width"),
        ("'<f2'", "floating-point numbers of that width"),
        ("'|O'", "Python objects"),
        ("'|S5'", "strings"),
        ("''", "an unknown type"),
    ] {
        let message = array(descr, "False", "(1, 1)").expect_err("not read").to_string();
        assert!(message.contains(name), "{message}");
    }
    let fields = array("[('r', '|u1'), ('g', '|u1')]", "False", "(1, 1)").expect_err("not read").to_string();
    assert!(fields.contains("structures") && fields.contains("'r'"), "{fields}");
    assert_eq!(array("'<f8'", "True", "(3, 5)"), Err(NpyError::Fortran));
    for shape in ["()", "(5,)", "(1, 2, 3, 4)", "(4294967296, 1)"] {
        assert_eq!(array("'<f8'", "False", shape), Err(NpyError::Shape(shape.into())));
    }
    assert!(matches!(array("'<f8'", "False", "(0, 5)"), Err(NpyError::Geometry(GeometryError::Empty(_)))));
}

#[test]
fn a_file_that_is_cut_short_says_how_short() {
    assert_eq!(parse(b""), Err(NpyError::Magic));
    assert_eq!(parse(b"PK"), Err(NpyError::Magic));
    assert_eq!(parse(b"\x93NUM"), Err(NpyError::ShortHeader { wanted: 10, got: 4 }));
    assert_eq!(parse(b"\x93NUMPY\x01\x00\x10\x00{"), Err(NpyError::ShortHeader { wanted: 26, got: 11 }));
    assert_eq!(parse(b"\x93NUMPY\x09\x00\x10\x00{"), Err(NpyError::Version(9, 0)));
    assert_eq!(parse(b"\x93NUMPY\x02\x00\xff\xff\xff\xff"), Err(NpyError::LongHeader(u32::MAX.into())));
    let header = array("'<f8'", "False", "(3, 5)").expect("a picture");
    assert_eq!(header.check_length(header.data_at + 120), Ok(()));
    let message = header.check_length(header.data_at + 119).expect_err("too short").to_string();
    assert!(message.contains(&(header.data_at + 120).to_string()) && message.contains("cut short"), "{message}");
}

#[test]
fn our_own_headers_are_as_numpy_writes_them() {
    let format = Format { width: 5, height: 3, channels: 1, sample: Sample::F64 };
    let bytes = write(format, true);
    assert_eq!(bytes.len(), 128);
    assert!(
        bytes.starts_with(b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, 'shape': (3, 5), } ")
    );
    assert!(bytes.ends_with(b" \n"));
}

proptest! {
    #[test]
    fn what_is_written_is_read(width in 1u32..70000, height in 1u32..70000, channels in 1u32..5, kind in 0usize..7, flat: bool) {
        let format = Format { width, height, channels, sample: Sample::ALL[kind] };
        prop_assume!(picture_bytes(format).is_ok());
        let bytes = write(format, flat);
        prop_assert_eq!(bytes.len() % 64, 0);
        let header = NpyHeader { format, data_at: bytes.len() as u64, flat: flat && channels == 1 };
        prop_assert_eq!(parse(&bytes), Ok(header));
    }

    #[test]
    fn any_text_is_answered(text: String, bytes: Vec<u8>) {
        let _ = parse(&header(&text));
        let _ = parse(&bytes);
    }

    #[test]
    fn any_change_is_answered(place in 0usize..128, byte: u8) {
        let mut bytes = write(Format { width: 5, height: 3, channels: 3, sample: Sample::F64 }, false);
        bytes[place] = byte;
        let _ = parse(&bytes);
    }
}
