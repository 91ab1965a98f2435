//! Work that is bound by memory: inverting, and copying record by record.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rayon::iter::{IntoParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};
use rustix::fs::FallocateFlags;

use crate::Outcome;

/// Bytes that are read, changed and written at a time: they stay in a core's cache.
const CHUNK: usize = 1 << 18;

pub(crate) fn invert(input: &str, output: &str) -> Outcome {
    in_chunks(input, output, CHUNK, |read, written| {
        for (read, written) in read.iter().zip(written) {
            *written = 255 - read;
        }
    })
}

/// Each record by itself, as a function that takes a slice would see it.
pub(crate) fn copy(input: &str, output: &str, size: usize) -> Outcome {
    in_chunks(input, output, CHUNK / size * size, |read, written| {
        for (read, written) in read.chunks(size).zip(written.chunks_mut(size)) {
            written.copy_from_slice(std::hint::black_box(read));
        }
    })
}

fn in_chunks(input: &str, output: &str, chunk: usize, change: impl Fn(&[u8], &mut [u8]) + Sync) -> Outcome {
    let (input, output) = (File::open(input)?, File::create(output)?);
    let len = input.metadata()?.len();
    // Allocated at once, which makes the writes faster.
    rustix::fs::fallocate(&output, FallocateFlags::empty(), 0, len)?;
    let chunks = (0..len.div_ceil(chunk as u64)).into_par_iter();
    chunks.try_for_each_init(
        || (vec![0; chunk], vec![0; chunk]),
        |(read, written), number| {
            let at = number * chunk as u64;
            let size = (len - at).min(chunk as u64) as usize;
            input.read_exact_at(&mut read[..size], at)?;
            change(&read[..size], &mut written[..size]);
            output.write_all_at(&written[..size], at)
        },
    )?;
    Ok(())
}

/// Every file of a folder.
pub(crate) fn invert_all(folder: &Path, output: &Path) -> Outcome {
    fs::create_dir_all(output)?;
    let files = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    files.par_iter().try_for_each(|file| {
        let mut bytes = fs::read(file.path())?;
        for byte in &mut bytes {
            *byte = 255 - *byte;
        }
        fs::write(output.join(file.file_name()), bytes)
    })?;
    Ok(())
}
