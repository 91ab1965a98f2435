//! Says whether a row of a CSV file is what it should be: the first stage of `examples/pipeline`.

use taskhost_kernel::{Result, kernel, reject};

/// Passes on rows `ID,VALUE,…` of which the first is a whole number and the second a finite one.
#[kernel(split = "lines", merge = "lines")]
fn csv_validate(item: &[u8]) -> Result<Vec<u8>> {
    let row = item.trim_ascii_end();
    let text = std::str::from_utf8(row).unwrap_or_default();
    let mut fields = text.split(',');
    let (Some(id), Some(value)) = (fields.next(), fields.next()) else {
        reject!("`{}` is no row of two columns or more", row.escape_ascii());
    };
    if id.parse::<u64>().is_err() {
        reject!("`{}` is no whole number, as an id is", id.escape_debug());
    }
    if !value.parse::<f64>().is_ok_and(f64::is_finite) {
        reject!("`{}` is no finite number, as a value is", value.escape_debug());
    }
    Ok(row.to_vec())
}
