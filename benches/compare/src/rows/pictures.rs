//! Filters over pictures: Sobel and Gaussian blur.

use std::io;

use crate::row::{Row, Target};
use crate::setup::Setup;

const RAYON: &str = "native Rust + rayon, 2 threads";
const EXECUTOR: &str = "Python, ProcessPoolExecutor(2)";

/// Python takes seconds for what everything else does in milliseconds; the first way is the one that a target is for.
const PYTHON_ROUNDS: [(&str, usize); 3] = [("executor", 3), ("pool", 1), ("joblib", 1)];

/// `sample` is `f64` or `rgb` (three u8). Python filters the small f64 pictures only: the others would take it minutes.
pub(crate) fn row(setup: &Setup, filter: &str, side: u64, sample: &str) -> io::Result<Row> {
    let side = setup.size(side, side / 10);
    let is_small = side <= 2000 && (setup.is_full || side <= 200);
    let is_float = sample == "f64";
    let input = if is_float { floats(setup, side)? } else { setup.noise(3 * side * side)? };
    let kernel = if filter == "blur" { "gaussian-blur" } else { filter };
    let output = setup.file("filtered");
    let size = format!("{side} {side} {sample}");
    let flags = format!(
        "run -q -j 2 {kernel} --size {side}x{side} --sample {}",
        if is_float { "f64" } else { "u8 --channels 3" }
    );
    let settings = if filter == "blur" { "--config sigma=2" } else { "" };
    let mut contenders =
        vec![setup.taskhost().arguments(&flags).arguments(settings).argument(&input).argument("-o").argument(&output)];
    for (name, threads) in [("native Rust, 1 thread", "1"), (RAYON, "2")] {
        let native = setup.native(name).arguments(filter).argument(&input).argument(&output);
        contenders.push(native.arguments(&size).arguments(threads));
    }
    // The blur takes its setting before it starts.
    if filter == "sobel" {
        for (name, profile) in [("wasmtime in one process", "plain"), ("wasmtime in one process, epochs", "epochs")] {
            let contender = setup.in_process(name, "picture", kernel, profile);
            contenders.push(contender.argument(&input).argument(&output).arguments(&size));
        }
    }
    if is_float && is_small {
        for (kind, rounds) in PYTHON_ROUNDS {
            let contender = setup.python(kind, &format!("{filter}.py")).arguments("2").argument(&input);
            contenders.push(contender.argument(&output).arguments(&format!("{side} {side}")).rounds(rounds));
        }
    }
    let targets = match (filter, sample, is_small) {
        ("sobel", "f64", true) => vec![Target::faster_than(EXECUTOR, 300.0)],
        ("sobel", "f64", false) => vec![Target::time_over(RAYON, 1.25)],
        _ => Vec::new(),
    };
    let what = if is_float { "f64" } else { "u8 RGB" };
    Ok(Row {
        work: format!("{filter}, {side}×{side} {what}, from file to file; whole processes"),
        contenders: contenders.into_iter().map(|contender| contender.writes(&output)).collect(),
        targets,
    })
}

/// Random numbers in [0, 1).
fn floats(setup: &Setup, side: u64) -> io::Result<std::path::PathBuf> {
    use std::io::Write as _;

    setup.input(&format!("floats-{side}"), |file| {
        let mut noise = crate::setup::Noise::new();
        (0..side * side).try_for_each(|_| {
            let fraction = (noise.next() >> 11) as f64 / (1_u64 << 53) as f64;
            file.write_all(&fraction.to_le_bytes())
        })
    })
}
