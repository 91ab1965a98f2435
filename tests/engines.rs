//! Runs on a cluster's own scheduler: the bytes of a run on one machine, whatever befalls the cluster.

mod cluster;
mod fake;
mod python;
mod slurm;
mod walls;

use crate::harness::Place;
use crate::native::Numbers;

/// Writes the input of most of these tests.
fn input(place: &Place) {
    let mut numbers = Numbers::new(21);
    let lines: String = (0..4000).map(|_| format!("{}\n", numbers.below(100_000))).collect();
    place.write("input", lines);
}

/// What a run on one machine makes of it.
fn local(place: &Place) -> Vec<u8> {
    place.taskhost("run grep -c pattern=7 input -q").run().success().stdout
}
