//! Work that is bound by computing: primes, and the Mandelbrot set, whose rows differ in cost.

use std::io::{self, Write as _};
use std::path::PathBuf;

use crate::row::{Row, Target};
use crate::setup::Setup;

const RAYON: &str = "native Rust + rayon, 2 threads";

/// What the articles count, in the lines that a user would write.
pub(crate) fn primes_of_the_articles(setup: &Setup) -> io::Result<Row> {
    let mut row = primes_below(setup, setup.size(100_000, 20_000))?;
    for kind in ["executor", "pool", "joblib"] {
        let python =
            setup.python(kind, "primes.py").arguments("2").argument(ranges(setup, setup.size(100_000, 20_000))?);
        row.contenders.push(python.argument(setup.file("primes")).writes(&setup.file("primes")));
    }
    row.targets.clear();
    Ok(row)
}

pub(crate) fn primes(setup: &Setup) -> io::Result<Row> {
    primes_below(setup, setup.size(5_000_000, 200_000))
}

fn primes_below(setup: &Setup, high: u32) -> io::Result<Row> {
    let ranges = ranges(setup, high)?;
    let output = setup.file("primes");
    let native = |name: &str, threads: &str| {
        setup.native(name).arguments("primes").argument(&ranges).argument(&output).arguments(threads).writes(&output)
    };
    let in_process = |name: &str, profile: &str| {
        let contender = setup.in_process(name, "items", "primes", profile).argument(&ranges);
        // It does not add what the lines give.
        contender.argument(&output).arguments("lines").writes(&output).not_compared()
    };
    let ours = setup.taskhost().arguments("run -q -j 2 primes --merge reduce").argument(&ranges).argument("-o");
    Ok(Row {
        work: format!("primes below {high}, counted by trial division, a thousand numbers a line; whole processes"),
        contenders: vec![
            ours.argument(&output).writes(&output),
            native("native Rust, 1 thread", "1"),
            native(RAYON, "2"),
            in_process("wasmtime in one process", "plain"),
            in_process("wasmtime in one process, epochs", "epochs"),
        ],
        targets: vec![Target::time_over(RAYON, 1.15)],
    })
}

fn ranges(setup: &Setup, high: u32) -> io::Result<PathBuf> {
    setup.input(&format!("ranges-{high}"), |file| {
        (0..high).step_by(1000).try_for_each(|low| writeln!(file, "{low} {}", low + 1000))
    })
}

/// Small enough for Python.
pub(crate) fn mandelbrot_small(setup: &Setup) -> io::Result<Row> {
    let (width, height) = setup.size((384, 216), (96, 54));
    let mut row = mandelbrot_of(setup, width, height)?;
    let output = setup.file("mandelbrot");
    for kind in ["executor", "pool", "joblib"] {
        let python = setup.python(kind, "mandelbrot.py").arguments("2").argument(&output).writes(&output);
        row.contenders.push(python.arguments(&format!("{width} {height} 1000")).rounds(3));
    }
    row.targets.clear();
    Ok(row)
}

pub(crate) fn mandelbrot(setup: &Setup) -> io::Result<Row> {
    let (width, height) = setup.size((3840, 2160), (384, 216));
    mandelbrot_of(setup, width, height)
}

fn mandelbrot_of(setup: &Setup, width: u32, height: u32) -> io::Result<Row> {
    let rows = rows(setup, height)?;
    let output = setup.file("mandelbrot");
    let settings = format!("width={width} height={height} iterations=1000");
    let flags: String = settings.split(' ').map(|setting| format!(" --config {setting}")).collect();
    let native = |name: &str, threads: u32| {
        let contender = setup.native(name).arguments("mandelbrot").argument(&output);
        contender.arguments(&format!("{width} {height} 1000 {threads}")).writes(&output)
    };
    let in_process = |name: &str, profile: &str| {
        let contender = setup.in_process(name, "items", "mandelbrot", profile).argument(&rows).argument(&output);
        contender.arguments("lines").arguments(&settings).writes(&output)
    };
    let ours = setup.taskhost().arguments("run -q -j 2 mandelbrot").arguments(&flags).argument(&rows).argument("-o");
    Ok(Row {
        work: format!("Mandelbrot, {width}×{height}, 1000 iterations, a row an item; whole processes"),
        contenders: vec![
            ours.argument(&output).writes(&output),
            native("native Rust, 1 thread", 1),
            native(RAYON, 2),
            in_process("wasmtime in one process", "plain"),
            in_process("wasmtime in one process, epochs", "epochs"),
        ],
        targets: vec![Target::time_over(RAYON, 1.15)],
    })
}

pub(crate) fn rows(setup: &Setup, height: u32) -> io::Result<PathBuf> {
    setup.input(&format!("rows-{height}"), |file| (0..height).try_for_each(|y| writeln!(file, "{y}")))
}
