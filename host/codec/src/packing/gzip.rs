//! gzip: members one after the other, as the `gzip` and `bgzip` commands write them.

use std::io::{self, BufRead, Write};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

use super::counted::Counted;

/// Decompresses all members. Zeros behind the last one are what fills a tape's block; anything else is an error.
pub(super) fn unpack(from: &mut Counted<impl BufRead>, to: &mut impl Write) -> io::Result<()> {
    loop {
        io::copy(&mut GzDecoder::new(&mut *from), to)?;
        if skip_zeros(from)? {
            return Ok(());
        }
    }
}

/// Compresses into one member, which tells neither time nor name: the same bytes give the same file.
pub(super) fn pack(from: &mut Counted<impl BufRead>, to: &mut impl Write) -> io::Result<()> {
    let mut encoder = GzEncoder::new(to, Compression::default());
    io::copy(from, &mut encoder)?;
    encoder.finish().map(drop)
}

/// Whether nothing but zeros is left. No member begins with one.
fn skip_zeros(from: &mut Counted<impl BufRead>) -> io::Result<bool> {
    loop {
        let bytes = from.fill_buf()?;
        if bytes.is_empty() {
            return Ok(true);
        }
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let is_all = zeros == bytes.len();
        from.consume(zeros);
        if !is_all {
            return if zeros == 0 { Ok(false) } else { Err(io::Error::other("something follows the zeros behind it")) };
        }
    }
}
