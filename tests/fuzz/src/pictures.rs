//! Pictures in the formats that are decoded.

use taskhost_codec::{decode, encode};
use taskhost_protocol::picture::PictureFile;

/// Most bytes of samples that are encoded again: more would only take time.
const AGAIN: usize = 1 << 16;

/// A picture that is decoded has the samples that its format says, and survives the formats that lose nothing.
pub fn pictures(data: &[u8]) {
    let Ok((format, samples)) = decode(data) else { return };
    assert_eq!(format.bytes(), Some(samples.len() as u64), "{format}");
    assert!(!samples.is_empty());
    if samples.len() > AGAIN {
        return;
    }
    for file in [PictureFile::Png, PictureFile::Pnm, PictureFile::Jpeg] {
        // Some formats have no place for some samples.
        let Ok(bytes) = encode(format, &samples, file) else {
            assert_ne!(file, PictureFile::Png, "{format} was decoded, and PNG takes all that is");
            continue;
        };
        let (again, same) = decode(&bytes).expect("what is encoded is decoded");
        assert_eq!(again, format, "as {file:?}");
        assert!(file == PictureFile::Jpeg || same == samples, "{format} as {file:?} lost something");
    }
}
