//! What the crate `parquet` uses of the crate `zstd`, in Rust and not in C: what is decompressed is a stranger's, and the build of
//! the library in C asks for a feature of `cc` with which wasmtime would be compiled anew. See `[patch]` in `Cargo.toml`.

/// Compression and decompression of whole pages.
pub mod bulk {
    use std::io::{self, Cursor};
    use std::marker::PhantomData;

    use ruzstd::decoding::FrameDecoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    /// Compresses at the only level there is.
    #[derive(Debug)]
    pub struct Compressor<'d>(PhantomData<&'d [u8]>);

    impl Compressor<'_> {
        /// A compressor.
        ///
        /// # Errors
        /// Never.
        pub fn new(_level: i32) -> io::Result<Self> {
            Ok(Self(PhantomData))
        }

        /// Appends what becomes of `source`, and returns its length.
        ///
        /// # Errors
        /// Never.
        pub fn compress_to_buffer(&mut self, source: &[u8], to: &mut Cursor<&mut Vec<u8>>) -> io::Result<usize> {
            let packed = compress_to_vec(source, CompressionLevel::Fastest);
            io::Write::write_all(to, &packed)?;
            Ok(packed.len())
        }
    }

    /// Decompresses.
    #[derive(Debug)]
    pub struct Decompressor<'d>(PhantomData<&'d [u8]>);

    impl Decompressor<'_> {
        /// A decompressor.
        ///
        /// # Errors
        /// Never.
        pub fn new() -> io::Result<Self> {
            Ok(Self(PhantomData))
        }

        /// Appends what becomes of `source`, no more than there is room for without allocating, and returns its length.
        ///
        /// # Errors
        /// When `source` is damaged, or there is too little room.
        pub fn decompress_to_buffer(&mut self, source: &[u8], to: &mut Cursor<&mut Vec<u8>>) -> io::Result<usize> {
            let at = usize::try_from(to.position()).map_err(io::Error::other)?;
            let buffer = &mut **to.get_mut();
            buffer.resize(buffer.capacity(), 0);
            let made = FrameDecoder::new().decode_all(source, buffer.get_mut(at..).unwrap_or_default());
            buffer.truncate(at + made.as_ref().copied().unwrap_or(0));
            made.map_err(|error| io::Error::other(error.to_string()))
        }
    }
}

/// What can be said of something compressed, and of its size.
pub mod zstd_safe {
    /// Why the size of something is not known.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ContentSizeError;

    /// The size that a frame says its content has; of no frame is it looked for.
    ///
    /// # Errors
    /// Never.
    pub fn get_frame_content_size(_source: &[u8]) -> Result<Option<u64>, ContentSizeError> {
        Ok(None)
    }

    /// Bytes that are enough for whatever becomes of so many.
    #[must_use]
    pub const fn compress_bound(bytes: usize) -> usize {
        // Blocks that cannot be compressed are stored, with three bytes each; and a header.
        bytes.saturating_add(bytes >> 8).saturating_add(64)
    }
}
