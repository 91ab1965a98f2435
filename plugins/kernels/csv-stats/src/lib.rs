//! Rows and a sum over one column of CSV files with a header line (`--header`). Setting `column`.
//!
//! Each row adds `value × value + 4950` (in f64, to the sum of its block, which starts at 0); blocks are joined in the tree
//! that the input fixes, each join adding its parts in order, starting with 0. The output is `rows<TAB>sum`, the sum
//! printed by Rust's `{}`.
//!
//! Fields are split at commas. A field may stand in quotes, within which a comma is part of it and `""` is one quote; a
//! line may not end inside quotes. A `\r` at the end of a line and empty lines are skipped. The value is read by Rust's
//! `f64::from_str`, so it has no spaces around it.

mod fields;

use taskhost_kernel::prelude::*;

struct CsvStats;

static COLUMN: Setup<String> = Setup::new();

impl Kernel for CsvStats {
    fn describe() -> Description {
        Description::new("Rows and sum of value^2 + 4950 over one CSV column; needs --header.")
            .split("blocks:1MiB")
            .merge("reduce")
            .setting("column", "value", "Name of the column, as it stands in the header line.")
    }

    fn start() -> Result<()> {
        COLUMN.fill(config::require("column")?);
        Ok(())
    }
}

/// What is known of some rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Total {
    rows: u64,
    sum: f64,
}

impl Total {
    /// Little-endian: rows, sum.
    fn to_bytes(self) -> Vec<u8> {
        [self.rows.to_le_bytes(), self.sum.to_le_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (Some((rows, sum)), 16) = (bytes.split_first_chunk(), bytes.len()) else {
            return Err(Error::failed("a partial result does not have 16 bytes"));
        };
        let sum = sum.first_chunk().expect("8 bytes are left of 16");
        Ok(Self { rows: u64::from_le_bytes(*rows), sum: f64::from_le_bytes(*sum) })
    }
}

impl Map for CsvStats {
    fn process(item: &[u8]) -> Result<Vec<u8>> {
        let Some(header) = item::header() else {
            reject!("the column is looked up in the header line: give --header");
        };
        let column = fields::column(&header, COLUMN.get())?;
        Ok(total(item, column)?.to_bytes())
    }
}

impl Reduce for CsvStats {
    fn combine(parts: &[Vec<u8>]) -> Result<Vec<u8>> {
        let mut total = Total::default();
        for part in parts {
            let part = Total::from_bytes(part)?;
            total.rows += part.rows;
            total.sum += part.sum;
        }
        Ok(total.to_bytes())
    }

    fn finish(total: Vec<u8>) -> Result<Vec<u8>> {
        let Total { rows, sum } = Total::from_bytes(&total)?;
        Ok(format!("{rows}\t{sum}\n").into_bytes())
    }
}

taskhost_kernel::export!(CsvStats as reduce);

fn total(block: &[u8], column: usize) -> Result<Total> {
    let quotes = memchr::memchr_iter(b'"', block).count();
    if quotes % 2 == 1 {
        reject!("an odd number of quotes ({quotes}): a quoted field that goes on in another line is not supported");
    }
    let mut total = Total::default();
    let mut rest = block;
    let mut number = 0_u64;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        number += 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let value = if quotes == 0 { fields::plain(line, column) } else { fields::quoted(line, column) };
        let value = value.and_then(|field| fields::number(&field)).map_err(|problem| {
            Error::invalid_input(format!("line {number} of the block, `{}`: {problem}", fields::shown(line)))
        })?;
        total.rows += 1;
        total.sum += value * value + 4950.0;
    }
    Ok(total)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use taskhost_kernel::testing;

    fn run(header: &str, block: &str) -> Result<Total> {
        COLUMN.fill("value".into());
        testing::set_header(Some(header.as_bytes()));
        CsvStats::process(block.as_bytes()).and_then(|bytes| Total::from_bytes(&bytes))
    }

    fn refused(header: &str, block: &str) -> String {
        match run(header, block) {
            Err(Error::InvalidInput(text)) => text,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn rows_and_sum_of_a_plain_block() {
        let block: String = (0..1000).map(|row| format!("{row},{},x\n", f64::from(row) / 7.0)).collect();
        let mut sum = 0.0;
        for row in 0..1000 {
            let value: f64 = (f64::from(row) / 7.0).to_string().parse().unwrap();
            sum += value.powi(2) + 4950.0;
        }
        assert_eq!(run("id,value,name", &block), Ok(Total { rows: 1000, sum }));
    }

    #[test]
    fn line_ends_and_quotes() {
        let expected = Ok(Total { rows: 3, sum: 4.0 + 9.0 + 2.25 + 3.0 * 4950.0 });
        assert_eq!(run("a,value", "x,2\r\n\r\n\ny,3\nz,1.5"), expected);
        assert_eq!(run("\u{feff}\"a\",\"value\"\r", "\"x, \"\"y\"\"\",2\n\"\",\"3\"\n,1.5\n"), expected);
        assert_eq!(run("value", ""), Ok(Total::default()));
    }

    #[test]
    fn problems_name_the_line() {
        assert!(refused("a,b", "1,2").contains("`value`"));
        assert!(refused("a,value", "1,2\n\n3").starts_with("line 3 of the block, `3`: "));
        assert!(refused("a,value", "1,2\n1,x\n").starts_with("line 2 of the block, `1,x`: `x` is not a number"));
        assert!(refused("a,value", "1,\n").contains("`` is not a number"));
        assert!(refused("a,value", "1, 2\n").contains("` 2` is not a number"));
        assert!(refused("a,value", "\"1,2\n3,4\n").starts_with("an odd number of quotes (1)"));
        assert!(refused("a,value", "\"1,2\n3\",4\n").contains("ends inside quotes"));
    }

    #[test]
    fn without_a_header_the_flag_is_named() {
        testing::set_header(None);
        let error = CsvStats::process(b"1,2\n").unwrap_err();
        assert!(error.text().contains("--header"));
    }

    #[test]
    fn parts_are_added_in_order() {
        let parts: Vec<Vec<u8>> = [0.1, 0.2, 0.3, 1e16].map(|sum| Total { rows: 2, sum }.to_bytes()).to_vec();
        let total = CsvStats::combine(&parts).unwrap();
        assert_eq!(Total::from_bytes(&total), Ok(Total { rows: 8, sum: 0.0 + 0.1 + 0.2 + 0.3 + 1e16 }));
        let small = CsvStats::combine(&parts[..2]).unwrap();
        assert_eq!(CsvStats::finish(small).unwrap(), b"4\t0.30000000000000004\n");
        assert_eq!(CsvStats::finish(CsvStats::combine(&[]).unwrap()).unwrap(), b"0\t0\n");
        assert!(CsvStats::combine(&[vec![0; 15]]).is_err());
    }
}
