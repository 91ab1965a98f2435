//! `taskhost check`: each finding by a kernel with that fault planted, and kernels that have none.

mod planted;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::{Outcome, Place};

use planted::{Kernel, PLANTED};

/// Codes of the findings, in order.
fn codes(outcome: &Outcome) -> Vec<String> {
    let found: Value = serde_json::from_slice(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    found["findings"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap().to_owned()).collect()
}

fn kernel(place: &Place, kernel: &Kernel) -> PathBuf {
    match kernel {
        Kernel::Named(name) => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/kernels/{name}.wat")),
        Kernel::Text(text) => place.write("planted.wat", text()),
        Kernel::Bytes(bytes) => place.write("planted.wasm", bytes()),
    }
}

#[test]
fn every_planted_fault_is_found() {
    for planted in PLANTED {
        let place = Place::new();
        place.write("sample", planted.sample);
        let file = kernel(&place, &planted.kernel);
        let check = place.taskhost("check --json").argument(file).arguments(planted.flags).run();
        let found = codes(&check);
        assert!(found.iter().any(|code| code == planted.code), "{}: {found:?}\n{}", planted.code, check.stderr);
        let errors = check.stdout.windows(19).filter(|text| text == b"\"severity\": \"error\"").count();
        assert_eq!(check.code, if errors > 0 { 4 } else { 0 }, "{}", planted.code);
    }
}

#[test]
fn every_documented_finding_has_a_planted_fault() {
    let page = include_str!("../docs/check.md");
    let documented: BTreeSet<String> =
        page.lines().filter_map(|line| Some(line.strip_prefix("## ")?.split_once(": ")?.0.to_owned())).collect();
    let planted: BTreeSet<String> = PLANTED.iter().map(|planted| planted.code.to_owned()).collect();
    assert_eq!(planted, documented);
}

#[test]
fn kernels_that_keep_the_contract_pass() {
    let place = Place::new();
    let kernels =
        ["echo", "invert", "primes", "primes --merge reduce", "wordcount", "mandelbrot", "sobel", "gaussian-blur"];
    for kernel in kernels {
        let check = place.taskhost("check --json").arguments(kernel).run().success();
        assert_eq!(codes(&check), Vec::<String>::new(), "{kernel}: {}", check.text());
    }
}

#[test]
fn a_person_is_told_what_to_do() {
    let place = Place::new();
    place.write("counts.wat", planted::counts());
    let check = place.taskhost("check counts.wat").run().code(4);
    let text = check.text();
    for line in [
        "counts.wat: raw, run with --split lines --merge lines",
        "good     it gives the same bytes twice",
        "error    TH012: It keeps something from item to item",
        "(docs/check.md#th012-it-keeps-something-from-item-to-item)",
        "it breaks the contract: 1 error",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

/// All runs fail alike, which is no praise.
#[test]
fn a_sample_that_never_works_shows_nothing_good() {
    let place = Place::new();
    let check = place.taskhost("check csv-stats").run().success();
    assert!(check.text().contains("warning  TH042: ") && !check.text().contains("\ngood "), "{}", check.text());
    place.write("table.csv", "a,b\n1,2\n3,4\n5,6\n7,8\n9,10\n");
    let check = place.taskhost("check csv-stats --header --input table.csv --config column=a").run().success();
    assert!(check.text().contains("good     parts can be joined in any groups"), "{}", check.text());
}

#[test]
fn what_the_user_has_to_give_is_no_finding() {
    let place = Place::new();
    let check = place.taskhost("check grep").run().code(2);
    assert!(check.stderr.contains("pattern"), "{}", check.stderr);
    place.taskhost("check echo --input nowhere").run().code(5);
    place.taskhost("check nothing.wasm").run().code(5);
}
