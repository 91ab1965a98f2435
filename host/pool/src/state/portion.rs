//! Portions of pictures: which rows are to be run, and where their results go.

use taskhost_protocol::picture::{Cut, Format, PicturePlan};

/// The rows of one of several pictures of a format that are to be run, of those that are counted over all of them. A
/// picture that is not cut is run as a whole where its first row is.
pub(crate) fn own_rows(rows: Option<(u64, u64)>, format: Format, cut: Cut, plane: u32) -> (u32, u32) {
    let Some((start, end)) = rows else { return (0, format.height) };
    let before = u64::from(plane) * u64::from(format.height);
    if cut == Cut::Whole {
        return if (start..end).contains(&before) { (0, format.height) } else { (0, 0) };
    }
    let within = |row: u64| u32::try_from(row.saturating_sub(before)).unwrap_or(u32::MAX).min(format.height);
    (within(start), within(end))
}

/// Offset of the result of a row among the results of all pictures.
pub(crate) fn place(plan: PicturePlan, plane: u32, row: u32) -> u64 {
    let before = u64::from(plane) * plan.output.bytes().unwrap_or(0);
    let row = if plan.cut == Cut::Whole { 0 } else { u64::from(row) * plan.output.row_bytes().unwrap_or(0) };
    before + row
}

/// How long the results of the rows are that are to be run.
pub(crate) fn result_bytes(rows: Option<(u64, u64)>, format: Format, plan: PicturePlan, planes: u32) -> u64 {
    let picture = plan.output.bytes().unwrap_or(u64::MAX);
    if rows.is_none() {
        return picture.saturating_mul(u64::from(planes));
    }
    let row = plan.output.row_bytes().unwrap_or(u64::MAX);
    let bytes = |plane| match own_rows(rows, format, plan.cut, plane) {
        (first, end) if first >= end => 0,
        _ if plan.cut == Cut::Whole => picture,
        (first, end) => row.saturating_mul(u64::from(end - first)),
    };
    (0..planes).map(bytes).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use taskhost_protocol::picture::Sample;

    use super::*;

    const FORMAT: Format = Format { width: 3, height: 10, channels: 1, sample: Sample::U8 };

    #[test]
    fn rows_are_counted_over_all_pictures() {
        let cut = Cut::Strips { halo: 1 };
        let rows = |plane| own_rows(Some((7, 23)), FORMAT, cut, plane);
        assert_eq!([rows(0), rows(1), rows(2)], [(7, 10), (0, 10), (0, 3)]);
        assert_eq!(own_rows(Some((0, 7)), FORMAT, cut, 1), (0, 0));
        assert_eq!(own_rows(None, FORMAT, cut, 1), (0, 10));
        let plan = PicturePlan { cut, output: FORMAT };
        assert_eq!(result_bytes(Some((7, 23)), FORMAT, plan, 3), 16 * 3);
        assert_eq!(place(plan, 1, 2) - place(plan, 0, 7), 5 * 3);
    }

    #[test]
    fn a_picture_that_is_not_cut_belongs_to_its_first_row() {
        let rows = |plane| own_rows(Some((7, 23)), FORMAT, Cut::Whole, plane);
        assert_eq!([rows(0), rows(1), rows(2)], [(0, 0), (0, 10), (0, 10)]);
        let plan = PicturePlan { cut: Cut::Whole, output: FORMAT };
        assert_eq!(result_bytes(Some((7, 23)), FORMAT, plan, 3), 2 * 30);
    }
}
