//! Rows of a CSV file and a sum over them: a whole file is an item. A kernel of `examples/articles`.

use taskhost_kernel::{Error, Result, kernel, reject};

/// Rows of a CSV file, and the sum of `value² + (0 + 1 + … + 99)` over its column `value`.
#[kernel(split = "whole", merge = "lines")]
fn csv_sum(item: &[u8]) -> Result<Vec<u8>> {
    let Ok(text) = std::str::from_utf8(item) else { reject!("it is no text") };
    let mut lines = text.lines().enumerate();
    let column = lines.next().and_then(|(_, header)| fields(header).position(|name| name == "value"));
    let Some(column) = column else { reject!("there is no column `value`") };
    let (mut rows, mut sum) = (0_u64, 0.0);
    for (index, line) in lines.filter(|(_, line)| !line.is_empty()) {
        let value = fields(line).nth(column).and_then(|field| field.parse::<f64>().ok());
        let value =
            value.ok_or_else(|| Error::invalid_input(format!("line {}, `{line}`: no number is there", index + 1)))?;
        rows += 1;
        sum += value * value + f64::from((0..100_u32).sum::<u32>());
    }
    Ok(format!("{rows}\t{sum}").into_bytes())
}

/// The fields of a line. A comma in quotes is part of one.
fn fields(line: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    line.split(move |character| {
        is_quoted ^= character == '"';
        character == ',' && !is_quoted
    })
}
