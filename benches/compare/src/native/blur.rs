//! The Gaussian blur: every row, then every column, in f64; beyond an edge its pixels go on.

use crate::pixel::Pixel;
use crate::strips::{Filter, Strip};

/// Samples that are summed together, for vectors.
const LANES: usize = 16;

pub(crate) struct Blur {
    weights: Vec<f64>,
}

impl Blur {
    pub(crate) fn new(sigma: f64) -> Self {
        let radius = (3.0 * sigma).ceil() as i32;
        let mut weights: Vec<f64> =
            (-radius..=radius).map(|x| (-f64::from(x * x) / (2.0 * sigma * sigma)).exp()).collect();
        let sum: f64 = weights.iter().fold(0.0, |sum, weight| sum + weight);
        for weight in &mut weights {
            *weight /= sum;
        }
        Self { weights }
    }

    fn sum(&self, rows: &[&[f64]], out: &mut [f64]) {
        let whole = out.len() / LANES * LANES;
        for at in (0..whole).step_by(LANES) {
            let mut sums = [0.0; LANES];
            for (row, weight) in rows.iter().zip(&self.weights) {
                for (sum, sample) in sums.iter_mut().zip(&row[at..][..LANES]) {
                    *sum += weight * sample;
                }
            }
            out[at..][..LANES].copy_from_slice(&sums);
        }
        for at in whole..out.len() {
            out[at] = rows.iter().zip(&self.weights).fold(0.0, |sum, (row, weight)| sum + weight * row[at]);
        }
    }

    /// A row with its edges repeated on both sides, blurred from left to right.
    fn across<T: Pixel>(&self, row: &[T], channels: usize) -> Vec<f64> {
        let margin = self.halo() * channels;
        let edge = |at: usize| row[at].to_f64();
        let mut padded: Vec<f64> = (0..margin).map(|at| edge(at % channels)).collect();
        padded.extend(row.iter().map(|sample| sample.to_f64()));
        padded.extend((0..margin).map(|at| edge(row.len() - channels + at % channels)));
        let shifted: Vec<&[f64]> =
            (0..self.weights.len()).map(|shift| &padded[shift * channels..][..row.len()]).collect();
        let mut out = vec![0.0; row.len()];
        self.sum(&shifted, &mut out);
        out
    }
}

impl Filter for Blur {
    fn halo(&self) -> usize {
        self.weights.len() / 2
    }

    fn filter<T: Pixel>(&self, strip: &Strip<'_, T>, made: &mut Vec<T>) {
        let rows = strip.samples.len() / strip.row_samples;
        let across: Vec<Vec<f64>> = (0..rows).map(|y| self.across(strip.row(strip.top + y), strip.channels)).collect();
        let mut column = vec![0.0; strip.row_samples];
        for y in strip.first..strip.last {
            let near = |offset: usize| (y + offset).saturating_sub(self.halo()).min(strip.height - 1) - strip.top;
            let rows: Vec<&[f64]> = (0..self.weights.len()).map(|offset| across[near(offset)].as_slice()).collect();
            self.sum(&rows, &mut column);
            made.extend(column.iter().map(|value| T::rounded(*value)));
        }
    }
}
