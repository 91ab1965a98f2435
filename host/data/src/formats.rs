//! Which file format a name or the first bytes of a file say. Nothing is decoded.

use std::path::Path;

use taskhost_protocol::picture::PictureFile;
use taskhost_protocol::stream::Packing;

/// How a picture lies in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// In a format that the convert role reads and writes.
    Converted(PictureFile),
    /// As a NumPy array, see [`crate::npy`].
    Npy,
    /// As samples without any header; the geometry comes from flags or an ENVI header.
    Raw,
}

/// The file format of that extension, without its dot, in any case.
#[must_use]
pub fn picture_file_of(extension: &str) -> Option<PictureFile> {
    match image_kind_of(extension) {
        Some(ImageKind::Converted(file)) => Some(file),
        _ => None,
    }
}

/// How a picture lies in files of that extension, given without its dot, in any case. `None` for all that is not
/// known, `tiff` as well as `txt`.
#[must_use]
pub fn image_kind_of(extension: &str) -> Option<ImageKind> {
    Some(match extension.to_ascii_lowercase().as_str() {
        "png" => ImageKind::Converted(PictureFile::Png),
        "jpg" | "jpeg" | "jpe" | "jfif" => ImageKind::Converted(PictureFile::Jpeg),
        "pgm" | "ppm" | "pnm" => ImageKind::Converted(PictureFile::Pnm),
        "npy" => ImageKind::Npy,
        // What ENVI and its like call the samples beside a header.
        "raw" | "img" | "bin" | "dat" | "bip" | "bsq" => ImageKind::Raw,
        _ => return None,
    })
}

/// As [`image_kind_of`], of a path.
#[must_use]
pub fn image_kind(path: &Path) -> Option<ImageKind> {
    image_kind_of(path.extension()?.to_str()?)
}

/// The extension that files of a format get by default.
#[must_use]
pub fn extension_of(file: PictureFile) -> &'static str {
    match file {
        PictureFile::Png => "png",
        PictureFile::Jpeg => "jpg",
        PictureFile::Pnm => "pnm",
    }
}

/// What the first bytes of a file say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A picture that the convert role reads.
    Picture(PictureFile),
    /// A NumPy array.
    Npy,
    /// Compressed with gzip.
    Gzip,
    /// A WebAssembly module or component: a kernel in the place of an input.
    Wasm,
    /// Something known that is not read; its usual name.
    Other(&'static str),
}

/// Bytes that [`sniff`] looks at.
pub const SNIFF_BYTES: usize = 16;

/// First bytes of formats that are recognised, only to name them in a message when they are not read.
const MAGICS: [(&[u8], Content); 15] = [
    (b"\x89PNG\r\n\x1a\n", Content::Picture(PictureFile::Png)),
    (b"\xff\xd8\xff", Content::Picture(PictureFile::Jpeg)),
    (b"\x93NUMPY", Content::Npy),
    (b"\x1f\x8b", Content::Gzip),
    (b"\0asm", Content::Wasm),
    (b"II*\0", Content::Other("TIFF")),
    (b"MM\0*", Content::Other("TIFF")),
    (b"GIF8", Content::Other("GIF")),
    (b"v/1\x01", Content::Other("OpenEXR")),
    (b"\x28\xb5\x2f\xfd", Content::Other("Zstandard")),
    (b"BZh", Content::Other("bzip2")),
    (b"\xfd7zXZ\0", Content::Other("xz")),
    (b"PK\x03\x04", Content::Other("ZIP")),
    (b"PAR1", Content::Other("Parquet")),
    (b"\x89HDF\r\n\x1a\n", Content::Other("HDF5")),
];

/// What a file is by its first [`SNIFF_BYTES`] bytes; `None` when they say nothing.
#[must_use]
pub fn sniff(first: &[u8]) -> Option<Content> {
    if let Some((_, content)) = MAGICS.iter().find(|(magic, _)| first.starts_with(magic)) {
        return Some(*content);
    }
    match first {
        // P1 to P6 are read; after the digit comes white space or a comment, or else any text may begin like that.
        [b'P', b'1'..=b'6', b' ' | b'\t' | b'\r' | b'\n' | b'#', ..] => Some(Content::Picture(PictureFile::Pnm)),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Content::Other("WebP")),
        _ => None,
    }
}

/// What the first bytes of a stream say of its compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniffed {
    /// It is compressed.
    Packed(Packing),
    /// It is not.
    Plain,
    /// There are too few of them.
    Unknown,
}

/// First bytes of compressed streams: gzip with its only method, a frame of Zstandard.
const PACKED: [(&[u8], Packing); 2] = [(b"\x1f\x8b\x08", Packing::Gzip), (b"\x28\xb5\x2f\xfd", Packing::Zstandard)];

/// First byte of 16 magic numbers of frames of Zstandard that are to be skipped, and the other three.
const SKIPPED: (std::ops::RangeInclusive<u8>, &[u8]) = (0x50..=0x5f, b"\x2a\x4d\x18");

/// Bytes that [`packing`] needs.
pub const PACKING_BYTES: usize = 4;

/// Whether a stream is compressed, by its first bytes.
#[must_use]
pub fn packing(first: &[u8]) -> Sniffed {
    if let Some((_, packing)) = PACKED.iter().find(|(magic, _)| first.starts_with(magic)) {
        return Sniffed::Packed(*packing);
    }
    let is_skipped = match first {
        [byte, rest @ ..] if SKIPPED.0.contains(byte) => {
            let len = rest.len().min(SKIPPED.1.len());
            rest.get(..len) == SKIPPED.1.get(..len)
        }
        _ => false,
    };
    if is_skipped && first.len() >= PACKING_BYTES {
        return Sniffed::Packed(Packing::Zstandard);
    }
    if is_skipped || PACKED.iter().any(|(magic, _)| magic.starts_with(first)) {
        Sniffed::Unknown
    } else {
        Sniffed::Plain
    }
}

/// First and last bytes of a Parquet file.
pub const PARQUET: &[u8; 4] = b"PAR1";

/// Bytes of the shortest Parquet file: its marks, and the length of what describes it.
pub const PARQUET_BYTES: u64 = 12;

/// What of a Parquet file no text begins with, so that a pipe that does brings one: the mark, and the first byte of a page.
pub const PARQUET_PIPE: &[u8; 5] = b"PAR1\x15";

/// How files of that name are compressed, by its extension.
#[must_use]
pub fn packing_of(path: &Path) -> Option<Packing> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "gz" => Some(Packing::Gzip),
        "zst" => Some(Packing::Zstandard),
        _ => None,
    }
}

/// Whether files of that name are Parquet.
#[must_use]
pub fn is_parquet_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(picture_file_of("PNG"), Some(PictureFile::Png));
        assert_eq!(picture_file_of("jpeg"), Some(PictureFile::Jpeg));
        assert_eq!(picture_file_of("npy"), None);
        assert_eq!(image_kind(Path::new("a/b.ppm")), Some(ImageKind::Converted(PictureFile::Pnm)));
        assert_eq!(image_kind(Path::new("b.npy")), Some(ImageKind::Npy));
        assert_eq!(image_kind(Path::new("b.raw")), Some(ImageKind::Raw));
        assert_eq!(image_kind(Path::new("b.tiff")), None);
        assert_eq!(image_kind(Path::new("png")), None);
        for file in [PictureFile::Png, PictureFile::Jpeg, PictureFile::Pnm] {
            assert_eq!(picture_file_of(extension_of(file)), Some(file));
        }
    }

    #[test]
    fn compressed_streams() {
        assert_eq!(packing(b"\x1f\x8b\x08\0"), Sniffed::Packed(Packing::Gzip));
        assert_eq!(packing(b"\x28\xb5\x2f\xfd\0"), Sniffed::Packed(Packing::Zstandard));
        assert_eq!(packing(b"\x5e\x2a\x4d\x18"), Sniffed::Packed(Packing::Zstandard));
        for first in [&b""[..], b"\x1f", b"\x1f\x8b", b"\x28\xb5\x2f", b"\x50", b"P\x2a\x4d"] {
            assert_eq!(packing(first), Sniffed::Unknown, "{first:?}");
        }
        for first in [&b"1"[..], b"\x1f\x8c", b"\x1f\x8b\x07", b"P5", b"P\x2a\x4d\x17", b"\x60\x2a\x4d\x18", b"(\xb5 "]
        {
            assert_eq!(packing(first), Sniffed::Plain, "{first:?}");
        }
        assert_eq!(packing_of(Path::new("a.txt.GZ")), Some(Packing::Gzip));
        assert_eq!(packing_of(Path::new("a.zst")), Some(Packing::Zstandard));
        assert_eq!(packing_of(Path::new("gz")), None);
        assert!(is_parquet_name(Path::new("a.Parquet")) && !is_parquet_name(Path::new("parquet")));
    }

    #[test]
    fn contents() {
        assert_eq!(sniff(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), Some(Content::Picture(PictureFile::Png)));
        assert_eq!(sniff(b"P5\n2 2\n255\n"), Some(Content::Picture(PictureFile::Pnm)));
        assert_eq!(sniff(b"P5,price,5"), None);
        assert_eq!(sniff(b"\x1f\x8b\x08"), Some(Content::Gzip));
        assert_eq!(sniff(b"RIFF\x10\0\0\0WEBPVP8 "), Some(Content::Other("WebP")));
        assert_eq!(sniff(b""), None);
        assert!(MAGICS.iter().all(|(magic, _)| magic.len() <= SNIFF_BYTES));
    }
}
