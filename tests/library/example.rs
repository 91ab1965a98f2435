//! The program of `examples/embed`, as it stands, in a process of its own.

use std::process::Command;

use crate::Scenario;

#[path = "../../examples/embed/main.rs"]
mod embed;

pub(crate) const SCENARIOS: &[Scenario] = &[("the_example_counts_primes", the_example_counts_primes)];

/// Makes this program that one.
pub(crate) const ARGUMENT: &str = "--embed";

pub(crate) fn live() {
    embed::main().expect("nothing goes wrong");
}

fn the_example_counts_primes() {
    let program = std::env::current_exe().expect("this program has a file");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/embed");
    let output = Command::new(program).arg(ARGUMENT).current_dir(folder).output().expect("it can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("numbers");
    let counts: Vec<u64> = text.lines().map(|line| line.parse().expect("a number")).collect();
    assert_eq!((counts.len(), counts[..3].to_vec()), (1000, vec![25, 21, 16]));
    assert_eq!(counts.iter().sum::<u64>(), 9592);
}
