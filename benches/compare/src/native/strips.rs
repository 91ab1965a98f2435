//! A filter over a picture in a file: strips of rows, each read with the rows around it, filtered, and written to its place.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use crate::pixel::Pixel;
use crate::{Outcome, number};

/// Bytes of a strip: it stays in a core's cache from the read to the write.
const STRIP: usize = 1 << 20;

pub(crate) struct Picture {
    input: File,
    output: File,
    width: usize,
    height: usize,
    is_float: bool,
}

impl Picture {
    pub(crate) fn new(input: &str, output: &str, rest: &[&str]) -> Result<Self, Box<dyn std::error::Error>> {
        let [width, height, sample, _] = rest else { return Err("WIDTH HEIGHT f64|rgb THREADS is missing".into()) };
        Ok(Self {
            input: File::open(input)?,
            output: File::create(output)?,
            width: number(width)?,
            height: number(height)?,
            is_float: *sample == "f64",
        })
    }
}

/// Rows of a picture, and where they lie in it.
pub(crate) struct Strip<'a, T> {
    /// Samples of the rows from `top`.
    pub(crate) samples: &'a [T],
    pub(crate) top: usize,
    /// The rows to be made.
    pub(crate) first: usize,
    pub(crate) last: usize,
    /// Of the whole picture.
    pub(crate) height: usize,
    pub(crate) row_samples: usize,
    pub(crate) channels: usize,
}

impl<T> Strip<'_, T> {
    pub(crate) fn row(&self, y: usize) -> &[T] {
        &self.samples[(y - self.top) * self.row_samples..][..self.row_samples]
    }
}

pub(crate) trait Filter: Sync {
    /// Rows that it needs on each side.
    fn halo(&self) -> usize;
    /// Adds the rows that are to be made.
    fn filter<T: Pixel>(&self, strip: &Strip<'_, T>, made: &mut Vec<T>);
}

pub(crate) fn run(picture: &Picture, filter: &impl Filter) -> Outcome {
    if picture.is_float { of_type::<f64>(picture, filter, 1) } else { of_type::<u8>(picture, filter, 3) }
}

fn of_type<T: Pixel>(picture: &Picture, filter: &impl Filter, channels: usize) -> Outcome {
    let row_samples = picture.width * channels;
    let row_bytes = row_samples * T::BYTES;
    // Allocated at once, which makes the writes faster.
    rustix::fs::fallocate(
        &picture.output,
        rustix::fs::FallocateFlags::empty(),
        0,
        (row_bytes * picture.height) as u64,
    )?;
    let rows = (STRIP / row_bytes).max(1);
    let strips = (0..picture.height.div_ceil(rows)).into_par_iter();
    // Buffers of each thread are used again and again.
    let buffers = || (Vec::new(), Vec::new(), Vec::new());
    strips.try_for_each_init(buffers, |(bytes, samples, made), number| {
        let (first, last) = (number * rows, ((number + 1) * rows).min(picture.height));
        let top = first.saturating_sub(filter.halo());
        let bottom = (last + filter.halo()).min(picture.height);
        bytes.resize((bottom - top) * row_bytes, 0);
        picture.input.read_exact_at(bytes, (top * row_bytes) as u64)?;
        T::read(bytes, samples);
        let strip = Strip { samples, top, first, last, height: picture.height, row_samples, channels };
        made.clear();
        filter.filter(&strip, made);
        let written = &mut bytes[..(last - first) * row_bytes];
        T::write(made, written);
        picture.output.write_all_at(written, (first * row_bytes) as u64)
    })?;
    Ok(())
}
