//! The prebuilt kernels of `plugins/dist`, as guest toolchains really make them.

use std::path::Path;

use taskhost_engine::{HostContext, Input, Instance, Tile, compile};
use taskhost_protocol::fault::Fault;
use taskhost_protocol::kernel::{CompileOptions, Kind};
use taskhost_protocol::limits::WorkerLimits;
use taskhost_protocol::picture::{Cut, Format, Sample};

use crate::support::{load, result, results};

fn kernel(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/dist").join(name).with_extension("wasm");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn started(name: &str, settings: &[(&str, &str)]) -> Instance {
    let settings = settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect::<Vec<_>>();
    let host = HostContext { settings: settings.into(), ..HostContext::default() };
    let loaded = load(&kernel(name), WorkerLimits::default()).expect("it loads");
    let mut instance = loaded.instantiate(host).expect("it instantiates");
    instance.start().expect("it starts");
    instance
}

const NAMES: [&str; 11] = [
    "csv-stats",
    "echo",
    "gaussian-blur",
    "grayscale",
    "grep",
    "invert",
    "mandelbrot",
    "primes",
    "resize",
    "sobel",
    "wordcount",
];

#[test]
fn all_of_them_are_components_that_import_no_wasi() {
    for name in NAMES {
        let info = compile(&kernel(name), CompileOptions::default()).expect(name).info;
        assert_eq!(info.kind, Kind::Component, "{name}");
        assert!(info.import_names.iter().all(|import| import.starts_with("taskhost:kernel/")), "{name}");
    }
}

#[test]
fn primes_counts_adds_up_and_refuses() {
    let mut primes = started("primes", &[]);
    assert_eq!(result(&mut primes, b"2 100").as_deref(), Ok(b"25".as_slice()));
    assert!(matches!(result(&mut primes, b"two"), Err(Fault::InvalidInput(_))));
    let description = primes.describe().expect("it answers").expect("it describes");
    assert_eq!(description.split, "lines");
    let total = primes.combine(&[b"25", b"17"]).expect("it combines");
    assert_eq!(primes.finish(&total).as_deref(), Ok(b"42\n".as_slice()));
}

#[test]
fn grep_keeps_lines_that_match_one_by_one_and_packed() {
    let mut grep = started("grep", &[("pattern", "^b+$")]);
    assert_eq!(results(&mut grep, b"bbb"), Ok(vec![b"bbb".to_vec()]));
    assert_eq!(results(&mut grep, b"abb"), Ok(vec![]));
}

#[test]
fn echo_gives_back_what_it_gets() {
    let mut echo = started("echo", &[]);
    for item in [b"".as_slice(), b"x", &[1; 5 << 20]] {
        assert_eq!(result(&mut echo, item).as_deref(), Ok(item));
    }
}

#[test]
fn sobel_finds_an_edge() {
    let mut sobel = started("sobel", &[]);
    let format = Format { width: 4, height: 4, channels: 1, sample: Sample::U8 };
    let plan = sobel.prepare(format).expect("it takes grey pictures");
    assert_eq!((plan.cut, plan.output), (Cut::Strips { halo: 1 }, format));
    let samples = [[0, 0, 9, 9]; 4].concat();
    let tile = Tile { image: format, first_row: 0, rows: 4, above: 0, below: 0 };
    let mut rows = Vec::new();
    let mut sink = |result: &[u8]| {
        rows.extend_from_slice(result);
        Ok(())
    };
    assert_eq!(sobel.filter(tile, Input::Bytes(&samples), 16, &mut sink), Ok(()));
    assert_eq!(rows, [[0; 4], [0, 36, 36, 0], [0, 36, 36, 0], [0; 4]].concat());
}
