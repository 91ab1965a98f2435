//! Rows of the Mandelbrot set: for each line `y`, `width` little-endian u16 counts. Settings `width`, `height`,
//! `iterations`. The rows together are a raw u16 picture.
//!
//! The picture shows [-2.5, 1] × [-1, 1], sampled at the centres of its pixels, all in f64:
//!
//! ```text
//! re = -2.5 + 3.5 * (x + 0.5) / width
//! im = -1.0 + 2.0 * (y + 0.5) / height
//! ```
//!
//! (multiplied, then divided, then added). z starts at 0; as long as fewer than `iterations` were done and
//! `zr * zr + zi * zi <= 4`, z becomes `(zr * zr - zi * zi + re, 2 * zr * zi + im)`, in this order of operations:
//! `(zr² - zi²) + re` and `(2 × zr) × zi + im`. The count is the number of iterations done: `iterations` inside the set.

use taskhost_kernel::prelude::*;

/// Pixels computed together: two 128-bit vectors of each quantity hide some of each other's latency and fit the
/// registers.
const LANES: usize = 4;

/// Iterations between two looks at whether any point is left.
const STEPS: u16 = 8;

#[derive(Clone, Copy, Debug)]
struct Picture {
    width: u32,
    height: u32,
    iterations: u16,
}

static PICTURE: Setup<Picture> = Setup::new();

struct Mandelbrot;

impl Kernel for Mandelbrot {
    fn describe() -> Description {
        Description::new("Iteration counts of the Mandelbrot set (little-endian u16) for each row number.")
            .split("lines")
            .merge("concat")
            .setting("width", "800", "Pixels across.")
            .setting("height", "600", "Pixels down.")
            .setting("iterations", "1000", "Where to stop, at most 65535.")
    }

    fn start() -> Result<()> {
        let picture = Picture {
            width: config::parse("width")?,
            height: config::parse("height")?,
            iterations: config::parse("iterations")?,
        };
        if picture.width == 0 || picture.height == 0 {
            return Err(Error::failed("--config width and height must be at least 1"));
        }
        PICTURE.fill(picture);
        Ok(())
    }
}

impl Map for Mandelbrot {
    fn process(item: &[u8]) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        Self::append(item, &mut out)?;
        Ok(out)
    }

    fn append(item: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let picture = PICTURE.get();
        let y = parse_row(item, picture.height)?;
        row(*picture, y, out);
        Ok(())
    }
}

taskhost_kernel::export!(Mandelbrot as map);

fn parse_row(item: &[u8], height: u32) -> Result<u32> {
    match std::str::from_utf8(item.trim_ascii()).ok().and_then(|text| text.parse().ok()) {
        Some(y) if y < height => Ok(y),
        Some(y) => reject!("row {y} is not in the picture: its height is {height} (--config height=…)"),
        None => reject!("expected the number of a row, found `{}`", item.escape_ascii()),
    }
}

fn row(picture: Picture, y: u32, out: &mut Vec<u8>) {
    let im = -1.0 + 2.0 * (f64::from(y) + 0.5) / f64::from(picture.height);
    out.reserve(2 * picture.width as usize);
    let mut x = 0;
    while x < picture.width {
        let mut re = [0.0; LANES];
        for (lane, re) in (x..).zip(&mut re) {
            *re = -2.5 + 3.5 * (f64::from(lane) + 0.5) / f64::from(picture.width);
        }
        let counts = iterate(re, im, picture.iterations);
        for (count, _) in counts.iter().zip(x..picture.width) {
            out.extend_from_slice(&count.to_le_bytes());
        }
        x = x.saturating_add(LANES as u32);
    }
}

/// The counts of a few points. A point that has left goes on unseen, which changes nothing: its count stands still.
fn iterate(re: [f64; LANES], im: f64, iterations: u16) -> [u16; LANES] {
    let mut zr = [0.0; LANES];
    let mut zi = [0.0; LANES];
    // All ones while a point is inside, so that a comparison of vectors can be used as it is.
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
    counts.map(|count| u16::try_from(count).expect("counts are at most `iterations`"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    /// The definition, one point at a time.
    fn count(re: f64, im: f64, iterations: u16) -> u16 {
        let (mut zr, mut zi, mut done) = (0.0_f64, 0.0_f64, 0);
        while done < iterations && zr * zr + zi * zi <= 4.0 {
            (zr, zi) = (zr * zr - zi * zi + re, 2.0 * zr * zi + im);
            done += 1;
        }
        done
    }

    #[test]
    fn rows_equal_the_definition() {
        for (width, height, iterations) in [(1, 1, 1), (7, 5, 0), (101, 33, 300), (64, 10, 65_535)] {
            for y in 0..height {
                let mut out = Vec::new();
                row(Picture { width, height, iterations }, y, &mut out);
                let expected: Vec<u8> = (0..width)
                    .map(|x| -2.5 + 3.5 * (f64::from(x) + 0.5) / f64::from(width))
                    .flat_map(|re| {
                        count(re, -1.0 + 2.0 * (f64::from(y) + 0.5) / f64::from(height), iterations).to_le_bytes()
                    })
                    .collect();
                assert_eq!(out, expected, "row {y} of {width}x{height}");
            }
        }
    }

    #[test]
    fn the_middle_is_inside_and_the_corner_leaves_at_once() {
        let mut out = Vec::new();
        row(Picture { width: 7, height: 3, iterations: 99 }, 1, &mut out);
        assert_eq!(out[..2], 1_u16.to_le_bytes(), "-2.25 leaves after one iteration");
        assert_eq!(out[10..12], 99_u16.to_le_bytes(), "0.25 never leaves");
    }

    #[test]
    fn lines_are_row_numbers() {
        assert_eq!(parse_row(b" 12\r", 20), Ok(12));
        for line in [b"20".as_slice(), b"", b"-1", b"x"] {
            assert!(matches!(parse_row(line, 20), Err(Error::InvalidInput(_))));
        }
    }

    #[test]
    fn settings_are_read_at_the_start() {
        for (name, value) in [("width", "3"), ("height", "2"), ("iterations", "50")] {
            taskhost_kernel::testing::set_config(name, value);
        }
        Mandelbrot::start().unwrap();
        assert_eq!(Mandelbrot::process(b"1").unwrap().len(), 6);
    }
}
