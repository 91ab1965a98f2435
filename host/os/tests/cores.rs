//! The topology of machines that were recorded, each as a text of `path: content` lines in `topologies/`.

use std::fs;
use std::path::{Path, PathBuf};

use taskhost_os::cores::{CpuSet, Topology, Workers};

/// Lays out a recorded machine and reads it with the affinity `cpus`.
fn machine(name: &str, cpus: &str) -> Topology {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/topologies").join(name);
    let root = tempfile::tempdir().expect("a temporary folder");
    for line in fs::read_to_string(manifest).expect("recorded").lines().filter(|line| !line.starts_with('#')) {
        let (path, content) = line.split_once(": ").expect("path: content");
        // `{0-3}` in a path stands for a file of each; `{}` in the content for the same number.
        match path.split_once('{') {
            None => add(root.path().join(path), &content.replace("\\n", "\n")),
            Some((before, rest)) => {
                let (numbers, after) = rest.split_once('}').expect("closed");
                for number in CpuSet::parse(numbers).expect("a list").iter() {
                    let content = content.replace("{}", &number.to_string());
                    add(root.path().join(format!("{before}{number}{after}")), &content);
                }
            }
        }
    }
    Topology::read(root.path(), &CpuSet::parse(cpus).expect("a list"))
}

fn add(path: PathBuf, content: &str) {
    fs::create_dir_all(path.parent().expect("below the root")).expect("a temporary folder");
    fs::write(path, format!("{content}\n")).expect("a temporary folder");
}

fn pinned(cpus: &[u32]) -> Vec<Option<u32>> {
    cpus.iter().copied().map(Some).collect()
}

#[test]
fn smt_desktop() {
    let topology = machine("smt-desktop.txt", "0-15");
    assert_eq!(topology.physical().len(), 8);
    assert_eq!(topology.logical_count(), 16);
    assert_eq!(topology.physical()[3].cpus, [3, 11]);
    assert_eq!(topology.plan(Workers::Physical), pinned(&[0, 1, 2, 3, 4, 5, 6, 7]));
    let logical = topology.plan(Workers::Logical);
    assert_eq!(logical[8..], pinned(&[8, 9, 10, 11, 12, 13, 14, 15])[..]);
    assert_eq!(topology.plan(Workers::Exactly(18))[15..], [Some(15), None, None]);
    assert_eq!(topology.describe(8), "8 workers on 8 physical cores (16 logical)");
}

/// Whoever sees no more than these cpus finds cores of one thread each: whatever is claimed, or pinned nowhere, two are never
/// on siblings.
#[test]
fn workers_of_strangers_never_share_a_core() {
    for (name, cpus, cores) in
        [("smt-desktop.txt", "0-15", 8), ("two-sockets.txt", "0-15", 8), ("hybrid.txt", "0-11", 8)]
    {
        let topology = machine(name, cpus);
        for workers in [Workers::Physical, Workers::Exactly(1), Workers::Exactly(cores)] {
            let apart = topology.apart(workers).expect(name);
            let list: Vec<String> = apart.iter().map(|cpu| cpu.to_string()).collect();
            let seen = machine(name, &list.join(","));
            assert_eq!((seen.physical().len(), seen.logical_count()), (cores, cores), "{name}");
            assert!(
                topology
                    .physical()
                    .iter()
                    .all(|core| core.cpus.iter().filter(|cpu| apart.contains(**cpu)).count() == 1)
            );
        }
        // Whoever insists on more is told that some share one.
        assert_eq!(topology.apart(Workers::Exactly(cores + 1)), None, "{name}");
        assert_eq!(topology.apart(Workers::Logical), None, "{name}");
    }
    let bare = machine("bare-vm.txt", "0-3");
    assert_eq!(bare.apart(Workers::Logical).map(|cpus| cpus.len()), Some(bare.logical_count()));
}

#[test]
fn an_affinity_mask_takes_cores_away() {
    let topology = machine("smt-desktop.txt", "0,8,9,10");
    assert_eq!(topology.physical().len(), 3);
    assert_eq!(topology.plan(Workers::Physical), pinned(&[0, 9, 10]));
    assert_eq!(topology.plan(Workers::Logical), pinned(&[0, 9, 10, 8]));
    assert_eq!(topology.describe(1), "1 worker on 3 physical cores (4 logical)");
}

#[test]
fn two_sockets_take_turns() {
    let topology = machine("two-sockets.txt", "0-15");
    // Sockets are numbered in turn on this machine: even cpus are in one, odd ones in the other; core ids repeat.
    assert_eq!(topology.physical().len(), 8);
    assert_eq!(topology.plan(Workers::Exactly(4)), pinned(&[0, 1, 2, 3]));
    let packages: Vec<i32> = topology.physical().iter().map(|core| core.package).collect();
    assert_eq!(packages, [0, 1, 0, 1, 0, 1, 0, 1]);
}

#[test]
fn two_sockets_with_cpus_numbered_one_socket_after_the_other() {
    let topology = machine("two-sockets-blocks.txt", "0-7");
    assert_eq!(topology.plan(Workers::Exactly(4)), pinned(&[0, 4, 1, 5]));
}

#[test]
fn hybrid_performance_cores_come_first() {
    let topology = machine("hybrid.txt", "0-11");
    assert_eq!(topology.physical().len(), 8);
    assert_eq!(topology.logical_count(), 12);
    assert_eq!(topology.plan(Workers::Physical), pinned(&[0, 2, 4, 6, 8, 9, 10, 11]));
    assert_eq!(topology.plan(Workers::Logical)[8..], pinned(&[1, 3, 5, 7])[..]);
}

#[test]
fn big_little_in_order_of_capacity() {
    let topology = machine("big-little.txt", "0-7");
    assert_eq!(topology.plan(Workers::Physical), pinned(&[7, 4, 5, 6, 0, 1, 2, 3]));
}

#[test]
fn dense_cores_come_last_and_favoured_ones_are_not_crowded() {
    let topology = machine("dense-cores.txt", "0-5");
    // Two cores clock a little higher than their like, two much lower.
    assert_eq!(topology.plan(Workers::Physical), pinned(&[2, 3, 4, 5, 0, 1]));
}

#[test]
fn offline_cpus_are_left_out() {
    let topology = machine("offline.txt", "0-7");
    assert_eq!(topology.logical_count(), 5);
    assert_eq!(topology.plan(Workers::Physical), pinned(&[0, 1, 3]));
    assert_eq!(topology.plan(Workers::Logical), pinned(&[0, 1, 3, 4, 7]));
}

#[test]
fn a_quota_of_one_and_a_half_cpus_makes_two_workers() {
    let topology = machine("container-quota.txt", "0-7");
    assert_eq!(topology.plan(Workers::Physical).len(), 2);
    assert_eq!(topology.plan(Workers::Logical).len(), 2);
    assert_eq!(topology.plan(Workers::Exactly(5)).len(), 5);
    assert_eq!(topology.describe(2), "2 workers on 8 physical cores, limited to 1.5 cpus");
}

#[test]
fn a_quota_further_up_counts() {
    let topology = machine("quota-v1-parent.txt", "0-7");
    assert_eq!(topology.plan(Workers::Physical).len(), 3);
}

#[test]
fn a_container_with_a_cpuset() {
    let topology = machine("container-cpuset.txt", "0-7");
    assert_eq!(topology.plan(Workers::Physical), pinned(&[2, 3]));
    assert_eq!(topology.describe(2), "2 workers on 2 physical cores (3 logical)");
}

#[test]
fn a_machine_without_topology_files() {
    let topology = machine("bare-vm.txt", "0-3");
    assert_eq!(topology.plan(Workers::Physical), pinned(&[0, 1, 2, 3]));
    assert_eq!(topology.describe(4), "4 workers on 4 physical cores");
}

#[test]
fn this_machine() {
    let topology = Topology::current();
    assert!(topology.logical_count() >= topology.physical().len());
    assert!(!topology.plan(Workers::Physical).is_empty());
}
