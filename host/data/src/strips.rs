//! Cutting a picture into tiles of whole rows: which bytes each tile reads, and where its result goes.

use taskhost_protocol::limits::{ITEM_BYTES, PICTURE_BYTES, TILE_BYTES};
use taskhost_protocol::picture::{Cut, Format, PicturePlan};
use taskhost_protocol::work::Rows;

/// Why a picture cannot be filtered as planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No pixels.
    #[error("a picture of {0} has no samples")]
    Empty(Format),
    /// Over [`PICTURE_BYTES`].
    #[error("a picture of {0} is over the limit of {PICTURE_BYTES} bytes")]
    TooLarge(Format),
    /// Strips, and a result of another height.
    #[error(
        "the kernel cuts into strips, but makes {made} rows out of {given}; only a plan of `whole` may change the height"
    )]
    Height {
        /// Rows of the input.
        given: u32,
        /// Rows of the result.
        made: u32,
    },
    /// One call would need more than an item may have.
    #[error("one {what} of a picture of {format} has {bytes} bytes, over the limit of {ITEM_BYTES} for one call")]
    CallTooLarge {
        /// What a call gets: a tile, or the whole picture.
        what: &'static str,
        /// The format it is of.
        format: Format,
        /// How much it is.
        bytes: u64,
    },
}

/// One call of `filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Row of the picture at which the own rows begin.
    pub first_row: u32,
    /// Own rows.
    pub rows: u32,
    /// Context rows before them.
    pub above: u32,
    /// Context rows behind them.
    pub below: u32,
    /// First byte to be read, counted from row 0 of the picture.
    pub read_at: u64,
    /// Bytes to be read: context rows and own rows.
    pub read_bytes: u64,
    /// Where the result goes, counted from row 0 of the result.
    pub write_at: u64,
    /// Bytes of the result.
    pub write_bytes: u64,
}

/// Checks what `prepare` said about a picture of format `input`.
///
/// # Errors
/// When the picture cannot be filtered that way.
pub fn check_plan(input: Format, plan: &PicturePlan) -> Result<(), PlanError> {
    for format in [input, plan.output] {
        match format.bytes() {
            Some(0) => return Err(PlanError::Empty(format)),
            Some(bytes) if bytes <= PICTURE_BYTES => {}
            _ => return Err(PlanError::TooLarge(format)),
        }
    }
    let (what, in_rows, out_rows) = match plan.cut {
        Cut::Whole => ("call", u64::from(input.height), u64::from(plan.output.height)),
        Cut::Strips { .. } if plan.output.height != input.height => {
            return Err(PlanError::Height { given: input.height, made: plan.output.height });
        }
        Cut::Strips { halo } => {
            let own = u64::from(rows_per_tile(input, plan));
            ("tile", (own + 2 * u64::from(halo)).min(u64::from(input.height)), own)
        }
    };
    for (format, rows) in [(input, in_rows), (plan.output, out_rows)] {
        let bytes = row_bytes(format).saturating_mul(rows);
        if bytes > ITEM_BYTES {
            return Err(PlanError::CallTooLarge { what, format, bytes });
        }
    }
    Ok(())
}

/// Rows of a picture that hold about `target` bytes of input: at least one, all of them under a plan of `whole`. For
/// the coordinator, to size batches.
#[must_use]
pub fn rows_for(input: Format, plan: &PicturePlan, target: u64) -> u32 {
    match plan.cut {
        Cut::Whole => input.height,
        Cut::Strips { .. } => clamp_rows(target / row_bytes(input).max(1), input.height),
    }
}

/// Own rows of a tile: as many as keep the tile with its context, and its result, within [`TILE_BYTES`]; but when the
/// halo is that large, as many as the halo, or else most of the work would be context.
fn rows_per_tile(input: Format, plan: &PicturePlan) -> u32 {
    let Cut::Strips { halo } = plan.cut else { return input.height };
    let halo = u64::from(halo);
    let fitting_input = (TILE_BYTES / row_bytes(input).max(1)).saturating_sub(2 * halo);
    let fitting_output = TILE_BYTES / row_bytes(plan.output).max(1);
    clamp_rows(fitting_input.max(halo).min(fitting_output), input.height)
}

/// `rows` between 1 and `height`.
fn clamp_rows(rows: u64, height: u32) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX).clamp(1, height.max(1))
}

/// Bytes of a row. Saturated where they do not fit, which [`check_plan`] refuses.
fn row_bytes(format: Format) -> u64 {
    format.row_bytes().unwrap_or(u64::MAX)
}

/// The tiles that make `rows`, in order. The plan has passed [`check_plan`].
pub fn tiles(rows: &Rows) -> impl Iterator<Item = Tile> + use<> {
    tiles_up_to(rows, u32::MAX)
}

/// The same with at most `most` own rows to a tile, at least one: to find out which row it is that fails. Under a plan
/// of `whole` there is one tile all the same.
pub fn tiles_up_to(rows: &Rows, most: u32) -> impl Iterator<Item = Tile> + use<> {
    let Rows { format, plan, first, count, .. } = *rows;
    let (in_row, out_row) = (row_bytes(format), row_bytes(plan.output));
    let per_tile = rows_per_tile(format, &plan).min(most.max(1));
    let end = first.saturating_add(count).min(format.height);
    let mut next = first;
    std::iter::from_fn(move || {
        if next >= end {
            return None;
        }
        let Cut::Strips { halo } = plan.cut else {
            next = end;
            return Some(Tile {
                first_row: 0,
                rows: format.height,
                above: 0,
                below: 0,
                read_at: 0,
                read_bytes: format.bytes().unwrap_or(u64::MAX),
                write_at: 0,
                write_bytes: plan.output.bytes().unwrap_or(u64::MAX),
            });
        };
        let first_row = next;
        let rows = per_tile.min(end - first_row);
        next += rows;
        let above = halo.min(first_row);
        let below = halo.min(format.height - next);
        Some(Tile {
            first_row,
            rows,
            above,
            below,
            read_at: u64::from(first_row - above).saturating_mul(in_row),
            read_bytes: (u64::from(above) + u64::from(rows) + u64::from(below)).saturating_mul(in_row),
            write_at: u64::from(first_row).saturating_mul(out_row),
            write_bytes: u64::from(rows).saturating_mul(out_row),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use taskhost_protocol::ids::{SlotId, SourceId};
    use taskhost_protocol::picture::Sample;

    fn format(width: u32, height: u32, channels: u32, sample: Sample) -> Format {
        Format { width, height, channels, sample }
    }

    fn rows(format: Format, plan: PicturePlan, first: u32, count: u32) -> Rows {
        Rows { source: SourceId(0), slot: SlotId(0), at: 0, format, plan, first, count }
    }

    #[test]
    fn a_small_picture_is_one_tile() {
        let grey = format(10, 10, 1, Sample::U8);
        let plan = PicturePlan { cut: Cut::Strips { halo: 1 }, output: format(10, 10, 1, Sample::U16) };
        let all: Vec<Tile> = tiles(&rows(grey, plan, 0, 10)).collect();
        let whole = Tile {
            first_row: 0,
            rows: 10,
            above: 0,
            below: 0,
            read_at: 0,
            read_bytes: 100,
            write_at: 0,
            write_bytes: 200,
        };
        assert_eq!(all, [whole]);
        let middle: Vec<Tile> = tiles(&rows(grey, plan, 4, 2)).collect();
        let tile = Tile {
            first_row: 4,
            rows: 2,
            above: 1,
            below: 1,
            read_at: 30,
            read_bytes: 40,
            write_at: 80,
            write_bytes: 40,
        };
        assert_eq!(middle, [tile]);
    }

    #[test]
    fn tiles_of_a_row_each_have_the_same_context() {
        let grey = format(10, 10, 1, Sample::U8);
        let plan = PicturePlan { cut: Cut::Strips { halo: 2 }, output: grey };
        let single: Vec<Tile> = tiles_up_to(&rows(grey, plan, 1, 3), 1).collect();
        assert_eq!(single.iter().map(|tile| (tile.first_row, tile.rows)).collect::<Vec<_>>(), [(1, 1), (2, 1), (3, 1)]);
        assert_eq!((single[0].above, single[0].below, single[0].read_at, single[0].read_bytes), (1, 2, 0, 40));
        assert_eq!((single[2].above, single[2].below, single[2].read_at, single[2].read_bytes), (2, 2, 10, 50));
    }

    #[test]
    fn a_whole_plan_has_one_tile_of_everything() {
        let grey = format(10, 10, 1, Sample::U8);
        let plan = PicturePlan { cut: Cut::Whole, output: format(5, 4, 3, Sample::U8) };
        assert_eq!(tiles_up_to(&rows(grey, plan, 0, 10), 1).count(), 1);
        let all: Vec<Tile> = tiles(&rows(grey, plan, 0, 10)).collect();
        assert_eq!((all.len(), all[0].read_bytes, all[0].write_bytes), (1, 100, 60));
        assert_eq!(rows_for(grey, &plan, 1), 10);
    }

    #[test]
    fn plans_that_cannot_be() {
        let input = format(10, 10, 1, Sample::U8);
        let strips = |output| PicturePlan { cut: Cut::Strips { halo: 1 }, output };
        assert_eq!(check_plan(input, &strips(input)), Ok(()));
        let flat = format(10, 5, 1, Sample::U8);
        assert_eq!(check_plan(input, &strips(flat)), Err(PlanError::Height { given: 10, made: 5 }));
        assert!(matches!(check_plan(input, &strips(format(0, 10, 1, Sample::U8))), Err(PlanError::Empty(_))));
        let huge = format(u32::MAX, 10, u32::MAX, Sample::F64);
        assert!(matches!(check_plan(input, &strips(huge)), Err(PlanError::TooLarge(_))));
        let tall = format(40_000, 40_000, 1, Sample::U8);
        let whole = PicturePlan { cut: Cut::Whole, output: tall };
        assert!(matches!(check_plan(tall, &whole), Err(PlanError::CallTooLarge { .. })));
        assert_eq!(check_plan(tall, &strips(tall)), Ok(()));
        let context = PicturePlan { cut: Cut::Strips { halo: u32::MAX }, output: tall };
        assert!(matches!(check_plan(tall, &context), Err(PlanError::CallTooLarge { .. })));
    }

    proptest! {
        #[test]
        fn tiles_make_each_row_once(
            width in 1u32..100_000, height in 1u32..3000, halo in 0u32..50, first in 0u32..3000, count in 0u32..3000,
        ) {
            let picture = format(width, height, 3, Sample::U16);
            let plan = PicturePlan { cut: Cut::Strips { halo }, output: format(width, height, 1, Sample::F32) };
            let (in_row, out_row) = (u64::from(width) * 6, u64::from(width) * 4);
            let mut next = first;
            for tile in tiles(&rows(picture, plan, first, count)) {
                prop_assert_eq!(tile.first_row, next);
                prop_assert!(tile.rows > 0);
                next += tile.rows;
                prop_assert!(next <= height);
                prop_assert_eq!(tile.above, halo.min(tile.first_row));
                prop_assert_eq!(tile.below, halo.min(height - next));
                prop_assert_eq!(tile.read_at, u64::from(tile.first_row - tile.above) * in_row);
                prop_assert_eq!(tile.read_bytes, u64::from(tile.above + tile.rows + tile.below) * in_row);
                prop_assert_eq!(tile.write_at, u64::from(tile.first_row) * out_row);
                prop_assert_eq!(tile.write_bytes, u64::from(tile.rows) * out_row);
                let small = u64::from(2 * halo + halo.max(1)) * in_row;
                prop_assert!(tile.read_bytes <= TILE_BYTES.max(small));
            }
            prop_assert_eq!(next, (first + count).min(height).max(first));
        }
    }
}
