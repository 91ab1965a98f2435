//! Each kind of result, in one, three and seven shards: every file has the bytes of a run on one machine.

use std::fmt::Write as _;

use super::{Planned, words};
use crate::harness::Place;
use crate::native::Numbers;

/// In how many shards.
const WAYS: [u32; 3] = [1, 3, 7];

/// Runs `run` here and in shards, with a result of this name, and compares every file.
#[track_caller]
fn same(place: &Place, run: &str, result: &str) {
    place.write("here/.folder", "");
    place.taskhost(&format!("run {run} -q -o here/{result}")).run().success();
    for ways in WAYS {
        place.write("there/.folder", "");
        let planned = Planned::new(place, &format!("{run} --result there/{result}"), ways);
        assert_eq!(planned.shards, ways, "{run}");
        planned.run_all().merge().success();
        let of = |folder: &str| -> Vec<(String, Vec<u8>)> {
            let files = place.files().into_iter();
            let names = files.filter_map(|name| Some(name.strip_prefix(folder)?.strip_prefix('/')?.to_owned()));
            names.map(|name| (name.clone(), place.read(&format!("{folder}/{name}")))).collect()
        };
        let (here, there) = (of("here"), of("there"));
        assert!(here.len() > 1, "{here:?}");
        let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&there), names(&here), "{run}, {ways}");
        assert!(there == here, "{run}, in {ways} shards");
        for folder in ["there", "run.plan.parts"] {
            std::fs::remove_dir_all(place.path(folder)).unwrap();
        }
    }
    std::fs::remove_dir_all(place.path("here")).unwrap();
}

#[test]
fn pictures() {
    let place = Place::new();
    place.write("input.raw", Numbers::new(41).bytes(3 * 61 * 50));
    let geometry = "--size 61x50 --channels 3";
    // Strips that need the rows around them, and results of another size than the input's.
    for kernel in ["sobel", "gaussian-blur -c sigma=2.5", "grayscale"] {
        same(&place, &format!("{kernel} input.raw {geometry}"), "out.raw");
        same(&place, &format!("{kernel} input.raw {geometry}"), "out.npy");
    }
}

#[test]
fn a_picture_of_floating_point_numbers_with_a_header() {
    let place = Place::new();
    let mut numbers = Numbers::new(42);
    let samples: Vec<u8> = (0..40 * 30).flat_map(|_| (numbers.below(1 << 20) as f64 / 3.0).to_le_bytes()).collect();
    place.write("input.raw", samples);
    place
        .taskhost("run gaussian-blur -c sigma=1.5 input.raw --size 40x30 --sample f64 -q -o input.npy")
        .run()
        .success();
    same(&place, "sobel input.npy", "out.npy");
    same(&place, "sobel input.npy", "out.raw");
}

#[test]
fn items_that_are_filtered() {
    let place = Place::new();
    place.write("a", words(1500));
    place.write("b", words(900));
    same(&place, "grep -c pattern=w1 a b", "out");
}

#[test]
fn records_and_chunks() {
    let place = Place::new();
    // The last one is shorter.
    place.write("input", Numbers::new(43).bytes(700 * 29 + 3));
    same(&place, "invert --split chunks:29 input", "out");
    place.write("input", Numbers::new(44).bytes(700 * 29));
    same(&place, "invert --split records:29 input input", "out");
}

#[test]
fn lines() {
    let place = Place::new();
    let mut text = String::new();
    let mut numbers = Numbers::new(45);
    for _ in 0..700 {
        let low = numbers.below(5000);
        writeln!(text, "{low} {}", low + numbers.below(300)).unwrap();
    }
    // The last line has no end.
    place.write("input", text.trim_end());
    same(&place, "primes input", "out");
    same(&place, "echo --split lines --merge concat input", "out");
}

#[test]
fn sums_of_floating_point_numbers() {
    let place = Place::new();
    let mut numbers = Numbers::new(46);
    for name in ["a", "b", "c"] {
        let mut table = String::from("value,other\n");
        for _ in 0..900 {
            writeln!(table, "{},{}", numbers.next() as f64 / 1e7, numbers.below(1000) as f64 / 7.0).unwrap();
        }
        place.write(name, &table);
    }
    same(&place, "csv-stats --header --split blocks:300 a b c", "out");
    same(&place, "csv-stats --header --split blocks:700 b", "out");
}

#[test]
fn a_folder_of_files() {
    let place = Place::new();
    for number in 0..11 {
        place.write(&format!("in/{}/{number}.txt", number % 3), words(number * 20));
    }
    same(&place, "wordcount in", "");
    same(&place, "wordcount in", "{stem}-{name}.tsv");
}

#[test]
fn a_folder_of_pictures() {
    let place = Place::new();
    for number in 0..8_u32 {
        let (width, height) = (20 + number, 30 - number);
        let header = format!("P5\n{width} {height}\n255\n").into_bytes();
        let samples = Numbers::new(47 + u64::from(number)).bytes((width * height) as usize);
        place.write(&format!("in/{number}.pgm"), [header, samples].concat());
    }
    same(&place, "sobel in", "{stem}.png");
}
