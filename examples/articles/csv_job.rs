//! Rows and a sum over the CSV files of a folder, a file for each task.

use std::fs;
use std::path::{Path, PathBuf};

use taskhost::Pool;

use super::path;

pub(crate) fn run(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<PathBuf>>>()?;
    files.sort();
    let pool = Pool::new()?;
    let csv_sum = pool.kernel(path("csv-sum.wasm"))?;
    let (mut rows, mut sum) = (0, 0.0);
    // Files are read as they are needed, a few ahead.
    let contents = files.iter().map(|file| fs::read(file).unwrap_or_default());
    for (file, result) in files.iter().zip(csv_sum.map_bytes(contents).read_ahead(8)) {
        let result = String::from_utf8(result.map_err(|error| format!("{}: {error}", file.display()))?)?;
        let (rows_of_file, sum_of_file) = result.split_once('\t').ok_or("no tab")?;
        rows += rows_of_file.parse::<u64>()?;
        sum += sum_of_file.parse::<f64>()?;
    }
    println!("{rows}\t{sum}");
    Ok(())
}
