//! Pictures, and the filters over them as their definitions are written.

use super::Numbers;

/// Types of samples, by their names on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sample {
    U8,
    U16,
    I16,
    U32,
    I32,
    F32,
    F64,
}

impl Sample {
    pub(crate) const ALL: [Self; 7] = [Self::U8, Self::U16, Self::I16, Self::U32, Self::I32, Self::F32, Self::F64];

    pub(crate) fn name(self) -> &'static str {
        ["u8", "u16", "i16", "u32", "i32", "f32", "f64"][self as usize]
    }

    /// `data type` of an ENVI header.
    pub(crate) fn envi(self) -> u32 {
        [1, 12, 2, 13, 3, 4, 5][self as usize]
    }

    /// Least and largest value; `None` for floats.
    fn range(self) -> Option<(f64, f64)> {
        match self {
            Self::U8 => Some((0.0, u8::MAX.into())),
            Self::U16 => Some((0.0, u16::MAX.into())),
            Self::I16 => Some((i16::MIN.into(), i16::MAX.into())),
            Self::U32 => Some((0.0, u32::MAX.into())),
            Self::I32 => Some((i32::MIN.into(), i32::MAX.into())),
            Self::F32 | Self::F64 => None,
        }
    }
}

/// A picture. Every type of sample fits into f64 exactly.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: usize,
    pub(crate) sample: Sample,
    pub(crate) values: Vec<f64>,
}

impl Picture {
    /// A picture that looks like noise.
    pub(crate) fn noise((width, height): (usize, usize), channels: usize, sample: Sample) -> Self {
        let mut numbers = Numbers::new((width * 31 + height * 7 + channels) as u64);
        let mut value = || match sample.range() {
            Some((least, most)) => least + numbers.below((most - least) as u64 + 1) as f64,
            None if sample == Sample::F32 => f64::from((numbers.next() as f32) / 1e9),
            None => numbers.next() as f64 / 1e7 - 1e6,
        };
        let values = (0..width * height * channels).map(|_| value()).collect();
        Self { width, height, channels, sample, values }
    }

    pub(crate) fn from_u8((width, height): (usize, usize), channels: usize, samples: &[u8]) -> Self {
        assert_eq!(samples.len(), width * height * channels);
        let values = samples.iter().map(|value| f64::from(*value)).collect();
        Self { width, height, channels, sample: Sample::U8, values }
    }

    /// Its samples, little-endian.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let values = self.values.iter();
        match self.sample {
            Sample::U8 => values.map(|value| *value as u8).collect(),
            Sample::U16 => values.flat_map(|value| (*value as u16).to_le_bytes()).collect(),
            Sample::I16 => values.flat_map(|value| (*value as i16).to_le_bytes()).collect(),
            Sample::U32 => values.flat_map(|value| (*value as u32).to_le_bytes()).collect(),
            Sample::I32 => values.flat_map(|value| (*value as i32).to_le_bytes()).collect(),
            Sample::F32 => values.flat_map(|value| (*value as f32).to_le_bytes()).collect(),
            Sample::F64 => values.flat_map(|value| value.to_le_bytes()).collect(),
        }
    }

    fn at(&self, x: usize, y: usize, channel: usize) -> f64 {
        self.values[(y * self.width + x) * self.channels + channel]
    }

    /// The sample at a place that may lie outside, where the edge goes on.
    fn near(&self, x: isize, y: isize, channel: usize) -> f64 {
        let clamp = |place: isize, length: usize| place.clamp(0, length as isize - 1) as usize;
        self.at(clamp(x, self.width), clamp(y, self.height), channel)
    }

    /// A picture of another size or other channels, computed sample by sample.
    fn map(
        &self,
        (width, height, channels): (usize, usize, usize),
        value: impl Fn(usize, usize, usize) -> f64,
    ) -> Self {
        let mut values = Vec::with_capacity(width * height * channels);
        for y in 0..height {
            for x in 0..width {
                values.extend((0..channels).map(|channel| value(x, y, channel)));
            }
        }
        Self { width, height, channels, sample: self.sample, values }
    }

    fn same_size(&self, value: impl Fn(usize, usize, usize) -> f64) -> Self {
        self.map((self.width, self.height, self.channels), value)
    }

    /// Integers are rounded half up and kept within their type.
    fn rounded(&self, value: f64) -> f64 {
        match self.sample.range() {
            Some((least, most)) => (value + 0.5).floor().clamp(least, most),
            None => value,
        }
    }

    /// Correlation with [[1,0,-1],[2,0,-2],[1,0,-1]], zero on the border.
    pub(crate) fn sobel(&self) -> Self {
        const WEIGHTS: [[f64; 3]; 3] = [[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]];
        self.same_size(|x, y, channel| {
            if x == 0 || y == 0 || x + 1 == self.width || y + 1 == self.height {
                return 0.0;
            }
            let mut sum = 0.0;
            for (dy, row) in WEIGHTS.iter().enumerate() {
                for (dx, weight) in row.iter().enumerate() {
                    sum += weight * self.at(x + dx - 1, y + dy - 1, channel);
                }
            }
            self.sample.range().map_or(sum, |(_, most)| sum.abs().min(most))
        })
    }

    /// Rows first, then columns, in f64 throughout.
    pub(crate) fn blur(&self, sigma: f64) -> Self {
        let radius = (3.0 * sigma).ceil() as isize;
        let weight = |x: isize| (-((x * x) as f64) / (2.0 * sigma * sigma)).exp();
        let sum: f64 = (-radius..=radius).map(weight).sum();
        let weights: Vec<(isize, f64)> = (-radius..=radius).map(|x| (x, weight(x) / sum)).collect();
        let across = self.same_size(|x, y, channel| {
            weights.iter().map(|(dx, weight)| weight * self.near(x as isize + dx, y as isize, channel)).sum()
        });
        across.same_size(|x, y, channel| {
            let down = weights.iter().map(|(dy, weight)| weight * across.near(x as isize, y as isize + dy, channel));
            self.rounded(down.sum())
        })
    }

    /// 0.299 R + 0.587 G + 0.114 B.
    pub(crate) fn grayscale(&self) -> Self {
        self.map((self.width, self.height, 1), |x, y, _| {
            self.rounded(0.299 * self.at(x, y, 0) + 0.587 * self.at(x, y, 1) + 0.114 * self.at(x, y, 2))
        })
    }

    /// A whole number of times smaller: the mean of what each new pixel covers.
    pub(crate) fn smaller(&self, times: usize) -> Self {
        self.map((self.width / times, self.height / times, self.channels), |x, y, channel| {
            let covered = (0..times * times).map(|at| self.at(x * times + at % times, y * times + at / times, channel));
            self.rounded(covered.sum::<f64>() / (times * times) as f64)
        })
    }

    /// Twice as large: between the centres of the four nearest pixels.
    pub(crate) fn doubled(&self) -> Self {
        self.map((2 * self.width, 2 * self.height, self.channels), |x, y, channel| {
            // The nearest pixel, and the next one on the other side.
            let (near_x, near_y) = ((x / 2) as isize, (y / 2) as isize);
            let (far_x, far_y) = (near_x + 2 * (x % 2) as isize - 1, near_y + 2 * (y % 2) as isize - 1);
            let row = |y: isize| 0.75 * self.near(near_x, y, channel) + 0.25 * self.near(far_x, y, channel);
            self.rounded(0.75 * row(near_y) + 0.25 * row(far_y))
        })
    }
}
