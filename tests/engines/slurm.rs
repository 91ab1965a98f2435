//! Against Slurm itself: two nodes, and what may happen to them.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use super::cluster::{Cluster, Kind, cluster, ends_well};
use super::{input, local};
use crate::harness::{Program, eventually};
use crate::native::Numbers;

/// What a node that is lost takes: Slurm asks it for some seconds, and has others wait before they take over.
const PATIENCE: Duration = Duration::from_secs(300);

/// A run that takes some seconds on two nodes: each item takes a millisecond.
fn slow(cluster: &Cluster, lines: u64) -> (Program, String) {
    let text: String = (0..lines).map(|line| format!("{line}\n")).collect();
    cluster.place.write("lines", &text);
    let kernel = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kernels/slow-echo.wat");
    let run = format!("run {kernel} --split lines lines -o out --engine slurm --shards 4 -q");
    (cluster.taskhost(&run).within(PATIENCE), text)
}

#[test]
fn the_bytes_are_those_of_a_run_here() {
    let Some(cluster) = cluster("the_bytes_are_those_of_a_run_here", Kind::Plain) else { return };
    let place = &cluster.place;
    place.write("picture.raw", Numbers::new(31).bytes(3 * 200 * 150));
    let sobel = "run sobel picture.raw --size 200x150 --channels 3 -q";
    place.taskhost(&format!("{sobel} -o here.raw")).run().success();
    cluster.taskhost(&format!("{sobel} -o out.raw --engine slurm --shards 5")).run().success();
    assert!(place.read("out.raw") == place.read("here.raw"));
    input(place);
    let count = "run wordcount --split blocks:600 input -q";
    let here = place.taskhost(count).run().success().stdout;
    let outcome = cluster.taskhost(&format!("{count} -o out --engine slurm --shards 3 -- --comment=x")).run().success();
    assert!(place.read("out") == here, "{}", outcome.stderr);
    cluster.taskhost("run grep -c pattern=7 input -o kept --engine slurm -q").run().success();
    assert!(place.read("kept") == local(place));
}

#[test]
fn an_element_that_is_killed_is_run_again() {
    let Some(cluster) = cluster("an_element_that_is_killed_is_run_again", Kind::Plain) else { return };
    let (run, lines) = slow(&cluster, 8000);
    let running = run.start();
    cluster.shard(1).signal(Signal::KILL);
    ends_well(running);
    assert!(cluster.place.text("out") == lines);
}

#[test]
fn a_node_that_is_killed_is_done_without() {
    let Some(cluster) = cluster("a_node_that_is_killed_is_done_without", Kind::Plain) else { return };
    let (run, lines) = slow(&cluster, 8000);
    let running = run.start();
    cluster.shard(0);
    cluster.shard(1);
    cluster.kill_node(2);
    ends_well(running);
    assert!(cluster.place.text("out") == lines);
}

#[test]
fn one_command_bears_all_of_it_at_once() {
    let Some(cluster) = cluster("one_command_bears_all_of_it_at_once", Kind::Plain) else { return };
    let (run, lines) = slow(&cluster, 12_000);
    let running = run.start();
    cluster.shard(0).signal(Signal::KILL);
    cluster.shard(1);
    // Somebody looks on from elsewhere.
    let other = cluster.taskhost("attach out.plan").within(PATIENCE).start();
    cluster.kill_node(2);
    ends_well(running);
    assert!(cluster.place.text("out") == lines);
    ends_well(other);
    assert!(!cluster.place.path("out.plan").exists() && !cluster.place.path("out.plan.parts").exists());
}

#[test]
fn what_slurm_would_refuse_beside_the_users_own_words_is_left_out() {
    let test = "what_slurm_would_refuse_beside_the_users_own_words_is_left_out";
    let Some(cluster) = cluster(test, Kind::Plain) else { return };
    input(&cluster.place);
    let run = "run grep -c pattern=7 input -o out --engine slurm --shards 2 --memory 300MiB -j 1 -q --";
    cluster.taskhost(&format!("{run} --threads-per-core=1 --mem-per-cpu=900M")).run().success();
    assert!(cluster.place.read("out") == local(&cluster.place));
    // Nothing is left of what was refused: it can be typed again.
    let said = cluster.taskhost(&format!("{run} --partition=nowhere")).run().code(1).stderr;
    assert!(said.contains("sbatch says: ") && said.contains("invalid partition"), "{said}");
    cluster.taskhost(run).run().success();
}

#[test]
fn a_shard_that_is_run_twice_is_merged_once() {
    let Some(cluster) = cluster("a_shard_that_is_run_twice_is_merged_once", Kind::Apart) else { return };
    let (run, lines) = slow(&cluster, 24_000);
    let running = run.start();
    let shards = [cluster.shard(0), cluster.shard(1)];
    let on_second = |shard: &&crate::harness::Process| {
        let environment = fs::read(format!("/proc/{}/environ", shard.id)).unwrap();
        environment.split(|byte| *byte == 0).any(|entry| entry == b"SLURMD_NODENAME=n2")
    };
    let index = shards.iter().position(|shard| on_second(&shard)).expect("the second node has work");
    cluster.must(&["cut", "2"]);
    // Whoever is cut off does not know it, and goes on; held up, it is still at it when the other begins.
    shards[index].signal(Signal::STOP);
    let number = format!("SLURM_ARRAY_TASK_ID={index}");
    eventually("the shard runs elsewhere", || !cluster.processes(&[&number, "SLURMD_NODENAME=n1"]).is_empty());
    shards[index].signal(Signal::CONT);
    ends_well(running);
    assert!(cluster.place.text("out") == lines);
    cluster.must(&["join", "2"]);
}

#[test]
fn cancelling_leaves_nothing_in_the_queue_and_one_can_come_back() {
    let test = "cancelling_leaves_nothing_in_the_queue_and_one_can_come_back";
    let Some(cluster) = cluster(test, Kind::Plain) else { return };
    let (run, lines) = slow(&cluster, 8000);
    let running = run.start();
    cluster.shard(0);
    running.process.signal(Signal::INT);
    running.end().code(130);
    eventually("an empty queue", || cluster.ask("squeue", &["--noheader"]).trim().is_empty());
    assert!(!cluster.place.path("out").exists());
    cluster.taskhost("attach out.plan -q").within(PATIENCE).run().success();
    assert!(cluster.place.text("out") == lines);
}

#[test]
fn too_little_memory_is_said_and_not_tried_again() {
    let Some(cluster) = cluster("too_little_memory_is_said_and_not_tried_again", Kind::Plain) else { return };
    if !cluster.script(&["limits"]).status.success() {
        // Not even root can help it: that is a matter of how the system was started.
        return crate::harness::not_for_this_user(
            "too_little_memory_is_said_and_not_tried_again",
            "jobs are not held to their memory here: there is no memory controller of the first version of control groups",
        );
    }
    let bomb = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kernels/memory-bomb.wat");
    cluster.place.write("line", "1\n");
    // There is enough for a coordinator, which says which item it was.
    let run = format!("run {bomb} --split lines line -o out --engine slurm --shards 1 -q -- --mem=100M");
    let said = cluster.taskhost(&run).run().code(3).stderr;
    assert!(said.contains("line, item 0") && said.contains("the machine ran out of memory"), "{said}");
    // There is not: Slurm alone knows.
    input(&cluster.place);
    let run = "run grep -c pattern=7 input -o kept --engine slurm --shards 2 -q -- --mem=3M";
    let said = cluster.taskhost(run).run().code(7).stderr;
    assert!(
        said.contains("had too little memory; ask for more: -- --mem=SIZE") && said.contains("after 1 round"),
        "{said}"
    );
}

#[test]
fn a_part_that_is_damaged_is_made_anew() {
    let Some(cluster) = cluster("a_part_that_is_damaged_is_made_anew", Kind::Plain) else { return };
    let (run, lines) = slow(&cluster, 12_000);
    let running = run.start();
    eventually("the first part", || !cluster.parts().is_empty());
    let part = cluster.parts().remove(0);
    let mut bytes = fs::read(&part).unwrap();
    bytes[7] ^= 0x10;
    fs::write(&part, bytes).unwrap();
    ends_well(running);
    assert!(cluster.place.text("out") == lines);
}

#[test]
fn a_controller_that_is_started_again_goes_on() {
    let Some(cluster) = cluster("a_controller_that_is_started_again_goes_on", Kind::Plain) else { return };
    let (run, lines) = slow(&cluster, 12_000);
    let running = run.start();
    cluster.shard(0);
    let controller = cluster.daemon("control");
    controller.signal(Signal::KILL);
    assert!(controller.is_gone_within(Duration::from_secs(20)));
    cluster.must(&["control"]);
    ends_well(running);
    assert!(cluster.place.text("out") == lines);
}
