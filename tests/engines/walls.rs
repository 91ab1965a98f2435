//! The walls around workers on the machines of a cluster: as full as elsewhere, or as little as is insisted on.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::thread;

use taskhost_os::container::{Refusal, refuse};

use super::cluster::{Cluster, Kind, SQUASHED, cluster};
use super::{input, local};
use crate::harness::{Outcome, Place, Program, not_for_this_user, skipped};

/// A user without rights, who owns what nobody else does.
const NOBODY: u32 = 65534;

/// A user who is in no list.
const STRANGER: u32 = 1_952_000_111;

/// The state of a layer, as `taskhost doctor` has it.
fn is_live(doctor: &serde_json::Value, layer: &str) -> bool {
    let layers = doctor["sandbox"]["layers"].as_array().unwrap();
    layers.iter().find(|state| state["name"] == layer).unwrap()["live"] == true
}

/// A folder that belongs to nobody, with these rights, and with the input of these tests.
fn shared(place: &Place, rights: u32) {
    input(place);
    fs::create_dir_all(place.path("shared")).unwrap();
    fs::copy(place.path("input"), place.path("shared/input")).unwrap();
    for name in ["shared", "shared/input"] {
        chown(place.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    fs::set_permissions(place.path("shared"), fs::Permissions::from_mode(rights)).unwrap();
}

/// The program, as root to whom the files of others are closed.
fn squashed(place: &Place, arguments: &str) -> Program {
    let root = Program::of(SQUASHED[0].as_ref(), &place.path("")).argument(SQUASHED[1]);
    root.argument(env!("CARGO_BIN_EXE_taskhost")).arguments(arguments)
}

/// A run that insists on all walls.
fn insisting(cluster: &Cluster, more: &str) -> Program {
    input(&cluster.place);
    cluster.taskhost(&format!("run grep -c pattern=7 input -o out --sandbox full --engine slurm --shards 2 -q {more}"))
}

#[test]
fn a_node_has_the_walls_of_its_machine() {
    let Some(cluster) = cluster("a_node_has_the_walls_of_its_machine", Kind::Plain) else { return };
    let here = cluster.place.taskhost("doctor --json").run().success();
    let here: serde_json::Value = serde_json::from_slice(&here.stdout).unwrap();
    let there = cluster.doctor();
    assert_eq!(there["sandbox"]["layers"], here["sandbox"]["layers"]);
    if there["sandbox"]["full"]["works"] != true {
        return skipped("a_node_has_the_walls_of_its_machine", "this machine does not have all walls");
    }
    insisting(&cluster, "").run().success();
    assert!(cluster.place.read("out") == local(&cluster.place));
}

#[test]
fn a_node_without_namespaces_is_refused_where_all_walls_are_insisted_on() {
    let test = "a_node_without_namespaces_is_refused_where_all_walls_are_insisted_on";
    let Some(cluster) = cluster(test, Kind::WithoutNamespaces) else { return };
    let doctor = cluster.doctor();
    assert!(!is_live(&doctor, "namespaces") && is_live(&doctor, "system-call filter"), "{doctor}");
    assert_eq!(doctor["sandbox"]["full"]["works"], false);
    assert_eq!(doctor["sandbox"]["auto"]["works"], true);
    let said = insisting(&cluster, "--rounds 1").run().code(6).stderr;
    assert!(
        said.contains("after 2 rounds") && said.contains("--sandbox full needs around the workers: namesp"),
        "{said}"
    );
    assert!(!cluster.place.path("out").exists());
    // Whoever does not insist has what there is.
    cluster.taskhost("run grep -c pattern=7 input -o kept --engine slurm --shards 2 -q").run().success();
    assert!(cluster.place.read("kept") == local(&cluster.place));
}

#[test]
fn a_shard_refuses_where_a_wall_is_missing_that_its_plan_insists_on() {
    let place = Place::new();
    input(&place);
    let planned = place.taskhost("plan grep -c pattern=7 input --sandbox full -o run.plan --shards 2 -q").run();
    if planned.code == 6 {
        let test = "a_shard_refuses_where_a_wall_is_missing_that_its_plan_insists_on";
        return skipped(test, "this machine does not have all walls");
    }
    planned.success();
    for refusal in [Refusal::Namespaces, Refusal::Landlock] {
        let narrowed = || {
            // For this thread alone, and what it starts.
            refuse(&[refusal]).unwrap();
            place.taskhost("shard run --plan run.plan --index 0").run()
        };
        let outcome: Outcome = thread::scope(|scope| scope.spawn(narrowed).join().unwrap());
        let said = outcome.code(6).stderr;
        assert!(said.contains("that --sandbox full needs around the workers"), "{said}");
    }
    let said = place.taskhost("merge --plan run.plan").run().code(5).stderr;
    assert!(said.contains("2 of 2 shards have no whole part: 0, 1"), "{said}");
}

#[test]
fn shared_storage_may_take_root_for_nobody() {
    let test = "shared_storage_may_take_root_for_nobody";
    let Some(cluster) = cluster(test, Kind::Squashed) else { return };
    let place = &cluster.place;
    let run = "run grep -c pattern=7 shared/input -o shared/out --engine slurm --shards 2 --rounds 0 -q";
    // To root as to everybody: nothing can be made there.
    shared(place, 0o755);
    let said = squashed(place, "run grep -c pattern=7 shared/input -o shared/out -q").run().code(5).stderr;
    assert!(said.contains("shared") && said.contains("Permission denied"), "{said}");
    let said = cluster.with_slurm(squashed(place, run)).run().code(5).stderr;
    assert!(said.contains("shared") && said.contains("Permission denied"), "{said}");
    // Everybody may.
    shared(place, 0o777);
    let outcome = cluster.with_slurm(squashed(place, &format!("{run} --sandbox full"))).run();
    if outcome.code == 6 {
        return skipped(test, "this machine does not have all walls");
    }
    outcome.success();
    assert!(place.read("shared/out") == local(place));
    // What only its owner may read is named.
    fs::set_permissions(place.path("shared/input"), fs::Permissions::from_mode(0o600)).unwrap();
    let said = cluster.with_slurm(squashed(place, &run.replace("shared/out", "shared/other"))).run().code(5).stderr;
    assert!(said.contains("shared/input") && said.contains("Permission denied"), "{said}");
}

#[test]
fn a_user_without_a_home_has_all_walls() {
    let test = "a_user_without_a_home_has_all_walls";
    let Some(cluster) = cluster(test, Kind::Plain) else { return };
    let place = &cluster.place;
    shared(place, 0o755);
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    // On the node there is nothing in the environment but what Slurm says: neither HOME nor a cache.
    let run =
        "run grep -c pattern=7 shared/input -o shared/out --sandbox full --engine slurm --shards 2 -q -- --export=NIL";
    let outcome = cluster.taskhost(run).by_user(NOBODY).without("HOME").without("XDG_CACHE_HOME").run();
    if outcome.stderr.contains("Permission denied") {
        return not_for_this_user(test, &format!("nobody cannot read what is needed: {}", outcome.stderr));
    }
    outcome.success();
    assert!(place.read("shared/out") == local(place));
}

#[test]
fn a_user_that_nobody_knows_can_run_shards() {
    let test = "a_user_that_nobody_knows_can_run_shards";
    if !rustix::process::geteuid().is_root() {
        return not_for_this_user(test, "this is not root");
    }
    let place = Place::new();
    shared(&place, 0o777);
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    for home in [None, Some("/nowhere/at/all")] {
        let _ = fs::remove_dir_all(place.path("shared/run.plan.parts"));
        let as_stranger = |arguments: &str| {
            let program = place.taskhost(arguments).by_user(STRANGER);
            let program = ["HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"].into_iter().fold(program, Program::without);
            match home {
                Some(home) => program.env("HOME", home),
                None => program,
            }
        };
        let planned = as_stranger("plan grep -c pattern=7 shared/input -o shared/run.plan --shards 2 -q").run();
        if planned.stderr.contains("Permission denied") {
            return not_for_this_user(test, &format!("others cannot read what is needed: {}", planned.stderr));
        }
        planned.success();
        for index in 0..2 {
            as_stranger(&format!("shard run --plan shared/run.plan --index {index}")).run().success();
        }
        let merged = as_stranger("merge --plan shared/run.plan -q").run().success();
        assert!(merged.stdout == local(&place));
    }
}
