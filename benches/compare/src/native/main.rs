//! The work of the rows as people write it in Rust: one thread, or rayon. Every program here reads and writes by position and
//! computes exactly what the kernel does, so that all results are the same bytes.
//!
//! ```text
//! native sobel|blur INPUT OUTPUT WIDTH HEIGHT f64|rgb THREADS
//! native primes RANGES OUTPUT THREADS
//! native mandelbrot OUTPUT WIDTH HEIGHT ITERATIONS THREADS
//! native burn WIDTH HEIGHT ITERATIONS PART PARTS    (the same without output: rows PART, PART + PARTS, …)
//! native burn-in-two WIDTH HEIGHT ITERATIONS        (two processes at once, each half of the rows)
//! native invert INPUT OUTPUT THREADS
//! native copy INPUT OUTPUT SIZE THREADS             (each record of SIZE bytes by itself)
//! native files FOLDER OUTPUT THREADS                (inverts every file)
//! ```

mod blur;
mod bytes;
mod mandelbrot;
mod pixel;
mod primes;
mod sobel;
mod strips;

use std::error::Error;
use std::path::Path;
use std::str::FromStr;

use strips::Picture;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["sobel", input, output, rest @ ..] => {
            in_threads(rest, || strips::run(&Picture::new(input, output, rest)?, &sobel::Sobel))
        }
        ["blur", input, output, rest @ ..] => {
            in_threads(rest, || strips::run(&Picture::new(input, output, rest)?, &blur::Blur::new(2.0)))
        }
        ["primes", input, output, threads] => in_threads(&[threads], || primes::run(input, output)),
        ["mandelbrot", output, width, height, iterations, threads] => {
            in_threads(&[threads], || mandelbrot::run(output, number(width)?, number(height)?, number(iterations)?))
        }
        ["burn", width, height, iterations, part, parts] => {
            let rows = (number(part)?..number(height)?).step_by(number(parts)?);
            mandelbrot::burn(number(width)?, number(height)?, number(iterations)?, rows);
            Ok(())
        }
        ["burn-in-two", size @ ..] => mandelbrot::in_two_processes(size),
        ["invert", input, output, threads] => in_threads(&[threads], || bytes::invert(input, output)),
        ["copy", input, output, size, threads] => in_threads(&[threads], || bytes::copy(input, output, number(size)?)),
        ["files", folder, output, threads] => {
            in_threads(&[threads], || bytes::invert_all(Path::new(folder), Path::new(output)))
        }
        _ => Err("see the head of this program's source for what it takes".into()),
    }
}

/// Runs in a pool of as many threads as the last word says.
fn in_threads(words: &[&str], run: impl FnOnce() -> Outcome + Send) -> Outcome {
    let threads = number(words.last().ok_or("the number of threads is missing")?)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    // An error that can be sent from the thread it happened on is one in words.
    Ok(pool.install(|| run().map_err(|error| error.to_string()))?)
}

fn number<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("`{word}` is no number that fits here"))
}
