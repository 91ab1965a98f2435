//! How far the samples above and below each sample differ: a filter that needs one row of context on each side.

use taskhost_kernel::prelude::*;

struct Edges;

impl Kernel for Edges {
    fn describe() -> Description {
        Description::new("Differences between the rows above and below.")
    }
}

impl ImageFilter for Edges {
    fn prepare(input: Format) -> Result<Plan> {
        if input.sample != Sample::U8 {
            reject!("expected samples of 8 bits");
        }
        Ok(Plan::strips(1, input))
    }

    fn filter(tile: &Tile) -> Result<Vec<u8>> {
        let view = tile.view::<u8>(1)?;
        let last = tile.image.height - 1;
        let rows = tile.own_rows().flat_map(|row| {
            let (above, below) = (view.row(row.saturating_sub(1)), view.row((row + 1).min(last)));
            above.iter().zip(below).map(|(up, down)| up.abs_diff(*down))
        });
        Ok(rows.collect())
    }
}

taskhost_kernel::export!(Edges as image);
