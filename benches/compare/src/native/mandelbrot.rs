//! Rows of the Mandelbrot set over [-2.5, 1] × [-1, 1]: little-endian u16 counts of iterations.

use std::fs;
use std::hint::black_box;
use std::process::Command;

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use crate::Outcome;

/// Points computed together, and iterations between two looks at whether any is left: what the kernel does.
const LANES: usize = 4;
const STEPS: u16 = 8;

pub(crate) fn run(output: &str, width: u32, height: u32, iterations: u16) -> Outcome {
    let rows: Vec<Vec<u8>> = (0..height).into_par_iter().map(|y| row(y, (width, height), iterations)).collect();
    Ok(fs::write(output, rows.concat())?)
}

pub(crate) fn burn(width: u32, height: u32, iterations: u16, rows: impl Iterator<Item = u32>) {
    for y in rows {
        black_box(row(y, (width, height), iterations));
    }
}

/// Two copies of this program, each with every other row.
pub(crate) fn in_two_processes(size: &[&str]) -> Outcome {
    let start = |part: &str| Command::new(std::env::current_exe()?).arg("burn").args(size).args([part, "2"]).spawn();
    let mut children = [start("0")?, start("1")?];
    for child in &mut children {
        if !child.wait()?.success() {
            return Err("half of it failed".into());
        }
    }
    Ok(())
}

fn row(y: u32, (width, height): (u32, u32), iterations: u16) -> Vec<u8> {
    let im = -1.0 + 2.0 * (f64::from(y) + 0.5) / f64::from(height);
    let mut out = Vec::with_capacity(2 * width as usize);
    for x in (0..width).step_by(LANES) {
        let mut re = [0.0; LANES];
        for (lane, re) in (x..).zip(&mut re) {
            *re = -2.5 + 3.5 * (f64::from(lane) + 0.5) / f64::from(width);
        }
        let counts = iterate(re, im, iterations);
        for (count, _) in counts.iter().zip(x..width) {
            out.extend_from_slice(&(*count as u16).to_le_bytes());
        }
    }
    out
}

fn iterate(re: [f64; LANES], im: f64, iterations: u16) -> [u64; LANES] {
    let (mut zr, mut zi) = ([0.0; LANES], [0.0; LANES]);
    let mut inside = [u64::MAX; LANES];
    let mut counts = [0_u64; LANES];
    let mut left = iterations;
    while left > 0 && inside != [0; LANES] {
        let steps = left.min(STEPS);
        for _ in 0..steps {
            for lane in 0..LANES {
                let (squared_re, squared_im) = (zr[lane] * zr[lane], zi[lane] * zi[lane]);
                inside[lane] &= if squared_re + squared_im <= 4.0 { u64::MAX } else { 0 };
                counts[lane] = counts[lane].wrapping_sub(inside[lane]);
                zi[lane] = 2.0 * zr[lane] * zi[lane] + im;
                zr[lane] = squared_re - squared_im + re[lane];
            }
        }
        left -= steps;
    }
    counts
}
