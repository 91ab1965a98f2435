//! Zstandard: frames one after the other, and those to be skipped, as the `zstd` and `pzstd` commands write them.

use std::io::{self, BufRead, Read, Write};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::encoding::{CompressionLevel, FrameCompressor};
use taskhost_protocol::limits::PACKING_WINDOW;

use super::counted::Counted;

/// Decompresses all frames.
pub(super) fn unpack(from: &mut Counted<impl BufRead>, to: &mut impl Write) -> io::Result<()> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(PACKING_WINDOW);
    while !from.is_at_end()? {
        match decoder.init(&mut *from) {
            Ok(()) => frame(&mut decoder, from, to)?,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let skipped = io::copy(&mut from.take(length.into()), &mut io::sink())?;
                if skipped < length.into() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Err(error) => return Err(plain(error, from)),
        }
    }
    Ok(())
}

/// Decompresses the frame of which the header was read.
fn frame(decoder: &mut FrameDecoder, from: &mut Counted<impl BufRead>, to: &mut impl Write) -> io::Result<()> {
    loop {
        let is_done = decoder.decode_blocks(&mut *from, BlockDecodingStrategy::UptoBlocks(1));
        let is_done = is_done.map_err(|error| plain(error, from))?;
        while decoder.can_collect() > 0 {
            decoder.collect_to_writer(&mut *to)?;
        }
        if is_done {
            break;
        }
    }
    match (decoder.get_checksum_from_data(), decoder.get_calculated_checksum()) {
        (Some(stored), Some(computed)) if stored != computed => Err(io::Error::other("the checksum is another")),
        _ => Ok(()),
    }
}

/// The decoder's error, or that there was no more to decode.
fn plain(error: FrameDecoderError, from: &mut Counted<impl BufRead>) -> io::Error {
    if from.is_at_end().unwrap_or(false) {
        return io::ErrorKind::UnexpectedEof.into();
    }
    // Its message names each step that failed, the first one last.
    io::Error::other(error.to_string())
}

/// Compresses into one frame, with a checksum.
pub(super) fn pack(from: &mut Counted<impl BufRead>, to: &mut impl Write) -> io::Result<()> {
    // The compressor takes errors for impossible. Of those of the reader and of `to` a note is kept elsewhere.
    let (mut source, mut drain) =
        (NeverFails { inner: from, has_failed: false }, NeverFails { inner: to, has_failed: false });
    let mut compressor = FrameCompressor::new(CompressionLevel::Fastest);
    compressor.set_source(&mut source);
    compressor.set_drain(&mut drain);
    compressor.compress();
    drop(compressor);
    if source.has_failed || drain.has_failed { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
}

/// Ends quietly where the other end fails.
struct NeverFails<T> {
    inner: T,
    has_failed: bool,
}

impl<R: Read> Read for NeverFails<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.inner.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.has_failed = true;
                    return Ok(0);
                }
                read => return read,
            }
        }
    }
}

impl<W: Write> Write for NeverFails<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.has_failed && self.inner.write_all(bytes).is_err() {
            self.has_failed = true;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
