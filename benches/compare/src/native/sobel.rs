//! The horizontal Sobel gradient, zero on the border.

use crate::pixel::Pixel;
use crate::strips::{Filter, Strip};

pub(crate) struct Sobel;

impl Filter for Sobel {
    fn halo(&self) -> usize {
        1
    }

    fn filter<T: Pixel>(&self, strip: &Strip<'_, T>, made: &mut Vec<T>) {
        made.resize((strip.last - strip.first) * strip.row_samples, T::default());
        for (y, out) in (strip.first..strip.last).zip(made.chunks_exact_mut(strip.row_samples)) {
            if y > 0 && y + 1 < strip.height {
                row([strip.row(y - 1), strip.row(y), strip.row(y + 1)], strip.channels, out);
            }
        }
    }
}

fn row<T: Pixel>(rows: [&[T]; 3], channels: usize, out: &mut [T]) {
    let Some(inner) = out.len().checked_sub(2 * channels) else { return };
    let [a, c, e] = rows.map(|row| &row[..inner]);
    let [b, d, f] = rows.map(|row| &row[2 * channels..][..inner]);
    let out = &mut out[channels..][..inner];
    for x in 0..inner {
        out[x] = T::gradient([a[x], b[x], c[x], d[x], e[x], f[x]]);
    }
}
