//! Gaussian blur. Setting `sigma`, in pixels.
//!
//! radius = ceil(3 × sigma). For x from −radius to radius, e(x) = exp(−(x × x) / (2 × sigma × sigma)), correctly rounded
//! to f64 (see `exp`); the weight w(x) is e(x) divided by the sum of all e, added from left to right, starting with 0.
//! First every row, then every column of what came out: Σ w(x) × pixel(x), added from left to right (from top to bottom),
//! starting with 0, in f64 throughout. Pixels beyond an edge are those of the edge. At the end integers are rounded half
//! up (`floor(v + 0.5)`) and clamped to their type, f32 is rounded to nearest. All channels alike.

mod blur;
mod exp;
mod weights;

use taskhost_kernel::prelude::*;

use weights::Weights;

static WEIGHTS: Setup<Weights> = Setup::new();

struct GaussianBlur;

impl Kernel for GaussianBlur {
    fn describe() -> Description {
        Description::new("Gaussian blur, edge pixels replicated.").setting(
            "sigma",
            "2",
            "Standard deviation in pixels; the radius is ceil(3 sigma).",
        )
    }

    fn start() -> Result<()> {
        WEIGHTS.fill(Weights::new(config::parse("sigma")?)?);
        Ok(())
    }
}

impl ImageFilter for GaussianBlur {
    fn prepare(input: Format) -> Result<Plan> {
        Ok(Plan::strips(WEIGHTS.get().radius(), input))
    }

    fn filter(tile: &Tile) -> Result<Vec<u8>> {
        with_number!(tile.image.sample, T => blur::blur::<T>(tile, WEIGHTS.get()))
    }
}

taskhost_kernel::export!(GaussianBlur as image);
