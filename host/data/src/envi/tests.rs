//! Headers as ENVI and GDAL write them, and what is refused.

use proptest::prelude::*;

use super::*;

/// A header with these lines behind the first.
fn header(lines: &str) -> Result<EnviHeader, EnviError> {
    parse(&format!("ENVI\n{lines}"))
}

/// What a message about a header says.
fn refusal(lines: &str) -> String {
    header(lines).expect_err("not read").to_string()
}

#[test]
fn a_header_as_gdal_writes_it() {
    let text = "ENVI\ndescription = {\n/tmp/a.img}\nsamples = 5\nlines   = 3\nbands   = 2\nheader offset = 10\nfile type = ENVI \
                Standard\ndata type = 12\ninterleave = bip\nbyte order = 0\nmap info = {UTM, 1, 1,\n 5}\nband names = {\nBand \
                1,\nBand 2}\n";
    let format = Format { width: 5, height: 3, channels: 2, sample: Sample::U16 };
    let header = parse(text).expect("a picture");
    assert_eq!(header, EnviHeader { pictures: vec![EnviPicture { offset: 10, format }], bytes: 70 });
    assert_eq!(header.check_length(70), Ok(()));
    assert_eq!(header.check_length(71), Ok(()));
    assert_eq!(header.check_length(69), Err(EnviError::Length { wanted: 70, got: 69 }));
    assert_eq!(parse(&text.replace('\n', "\r\n")), Ok(header));
}

#[test]
fn bands_one_after_the_other_are_pictures_of_their_own() {
    let header = header("samples=5\nlines=3\nbands=2\ndata type=4\ninterleave=BSQ\nheader offset=8").expect("pictures");
    let format = Format { width: 5, height: 3, channels: 1, sample: Sample::F32 };
    let pictures = [EnviPicture { offset: 8, format }, EnviPicture { offset: 68, format }];
    assert_eq!(header, EnviHeader { pictures: pictures.to_vec(), bytes: 128 });
}

#[test]
fn one_band_may_have_any_interleave() {
    let one = "samples=5\nlines=3\ndata type=1\n";
    let plain = header(one).expect("a picture");
    for interleave in ["bip", "bil", "bsq"] {
        assert_eq!(header(&format!("{one}bands=1\ninterleave={interleave}")), Ok(plain.clone()));
    }
}

#[test]
fn what_is_not_read_is_named() {
    let good = "samples=5\nlines=3\nbands=2\ndata type=2\n";
    assert!(refusal(&format!("{good}interleave = bil")).contains("interleaved by line"));
    assert!(refusal(&format!("{good}interleave = abc")).contains("`interleave = abc`"));
    assert!(refusal(&format!("{good}byte order = 1")).contains("big-endian"));
    assert!(refusal(&format!("{good}file compression = 1")).contains("compressed"));
    assert!(refusal("samples=5\nlines=3\ndata type=6").contains("complex"));
    assert!(refusal("samples=5\nlines=3\ndata type=14").contains("64-bit"));
    assert!(refusal("samples=5\nlines=3").contains("no `data type`"));
    assert!(refusal("lines=3\ndata type=1").contains("no `samples`"));
    assert!(refusal("samples=-5\nlines=3\ndata type=1").contains("`samples = -5`"));
    assert!(refusal("samples=0\nlines=3\ndata type=1").contains("no samples"));
    assert!(refusal("samples=5\nlines=3\nbands=0\ndata type=1").contains("no samples"));
    assert!(refusal("samples=1\nlines=1\nbands=4000000000\ndata type=1").contains("`bands = 4000000000`"));
    assert!(refusal("samples = {5\nlines=3").contains("closing brace"));
    assert_eq!(parse("ENVY\n"), Err(EnviError::Magic));
    assert_eq!(parse(""), Err(EnviError::Magic));
}

#[test]
fn where_the_header_may_be() {
    let candidates = |path: &str| {
        let found = sidecar_candidates(Path::new(path));
        found.iter().map(|candidate| candidate.display().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(candidates("a/img.raw"), ["a/img.hdr", "a/img.raw.hdr"]);
    assert_eq!(candidates("img"), ["img.hdr"]);
    assert_eq!(candidates("img.hdr"), ["img.hdr.hdr"]);
}

proptest! {
    #[test]
    fn what_is_written_is_read(width in 1u32..50000, height in 1u32..5000, channels in 1u32..5, kind in 0usize..7) {
        let format = Format { width, height, channels, sample: Sample::ALL[kind] };
        prop_assume!(picture_bytes(format).is_ok());
        let header = parse(&write(format)).expect("our own");
        prop_assert_eq!(header.pictures, [EnviPicture { offset: 0, format }]);
    }

    #[test]
    fn any_text_is_answered(text: String, key in "(samples|lines|bands|data type|interleave|header offset)", value in "[{}0-9a-z ]{0,8}") {
        let _ = header(&text);
        let _ = header(&format!("samples=5\nlines=3\nbands=2\ndata type=1\n{key} = {value}\n{text}"));
    }
}
