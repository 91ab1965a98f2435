//! Computes what is kept of a row of a CSV file: the second stage of `examples/pipeline`.

use taskhost_kernel::{Result, kernel, reject};

/// Makes `{"id":ID,"result":VALUE² + (0 + 1 + … + 99)}` of a row `ID,VALUE,…`.
#[kernel(split = "lines", merge = "lines")]
fn csv_transform(item: &[u8]) -> Result<Vec<u8>> {
    let text = std::str::from_utf8(item).unwrap_or_default();
    let mut fields = text.split(',');
    let id = fields.next().and_then(|id| id.trim().parse::<u64>().ok());
    let value = fields.next().and_then(|value| value.trim().parse::<f64>().ok());
    let (Some(id), Some(value)) = (id, value) else {
        reject!("`{}` is no row `ID,VALUE,…`", item.escape_ascii());
    };
    let result = value * value + f64::from((0..100_u32).sum::<u32>());
    Ok(format!("{{\"id\":{id},\"result\":{result}}}").into_bytes())
}
