//! Which physical cores there are: /sys/devices/system/cpu.

use std::collections::BTreeMap;

use super::Core;
use super::cpu_set::CpuSet;
use super::tree::Tree;

/// Speed of a core of which nothing is known, and of the fastest kind of a machine. ARM's scale.
const FULL_SPEED: u32 = 1024;

/// Speed given to Intel's efficient cores, which say only that they are such: between the two kinds it is the order
/// that counts.
const EFFICIENT_SPEED: u32 = 512;

/// Cores whose highest frequency is within this many percent of the highest of all are of one kind: processors give
/// single cores a few percent more ("favoured cores"), which is no reason to crowd one package.
const SAME_KIND_PERCENT: u64 = 80;

/// The usable cores in the order of preference.
pub(super) fn cores(tree: &Tree, affinity: &CpuSet, cgroup: Option<&CpuSet>) -> Vec<Core> {
    let online = list(tree, "/sys/devices/system/cpu/online");
    let mut usable = online.map_or_else(|| affinity.clone(), |online| affinity.narrowed_to(&online));
    if let Some(cgroup) = cgroup {
        usable = usable.narrowed_to(cgroup);
    }
    let speeds = Speeds::read(tree, &usable);
    let mut groups: BTreeMap<u32, Core> = BTreeMap::new();
    for cpu in usable.iter() {
        // A core is known by its lowest cpu, usable or not: core ids repeat between packages and dies.
        let first = siblings(tree, cpu).and_then(|siblings| siblings.iter().next()).unwrap_or(cpu);
        let core = groups.entry(first).or_insert_with(|| Core {
            cpus: Vec::new(),
            package: tree.value(&format!("{}/topology/physical_package_id", folder(cpu))).unwrap_or(0),
            speed: speeds.of(tree, cpu),
        });
        core.cpus.push(cpu);
    }
    in_order_of_preference(groups.into_values().collect())
}

/// Fast before slow; among equally fast ones, the packages take turns.
fn in_order_of_preference(cores: Vec<Core>) -> Vec<Core> {
    let mut turns: BTreeMap<(u32, i32), usize> = BTreeMap::new();
    let mut keyed: Vec<_> = cores
        .into_iter()
        .map(|core| {
            let turn = turns.entry((core.speed, core.package)).or_default();
            *turn += 1;
            ((std::cmp::Reverse(core.speed), *turn, core.package), core)
        })
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, core)| core).collect()
}

fn folder(cpu: u32) -> String {
    format!("/sys/devices/system/cpu/cpu{cpu}")
}

fn list(tree: &Tree, path: &str) -> Option<CpuSet> {
    CpuSet::parse(&tree.text(path)?).filter(|set| !set.is_empty())
}

/// The cpus that share a core with `cpu`, itself included.
fn siblings(tree: &Tree, cpu: u32) -> Option<CpuSet> {
    let topology = format!("{}/topology", folder(cpu));
    // The second name is the one before Linux 5.2.
    list(tree, &format!("{topology}/core_cpus_list"))
        .or_else(|| list(tree, &format!("{topology}/thread_siblings_list")))
        .filter(|siblings| siblings.contains(cpu))
}

/// What the machine says of how fast its cores are.
struct Speeds {
    /// Intel hybrid: the efficient cores.
    efficient: CpuSet,
    /// The highest frequency of any usable core, in kHz; 0 when unknown.
    highest: u64,
}

impl Speeds {
    fn read(tree: &Tree, usable: &CpuSet) -> Self {
        let highest = usable.iter().filter_map(|cpu| frequency(tree, cpu)).max().unwrap_or(0);
        Self { efficient: list(tree, "/sys/devices/cpu_atom/cpus").unwrap_or_default(), highest }
    }

    fn of(&self, tree: &Tree, cpu: u32) -> u32 {
        // ARM: relative performance at the highest frequency, 1024 for the fastest.
        if let Some(capacity) = tree.value::<u32>(&format!("{}/cpu_capacity", folder(cpu))) {
            return capacity;
        }
        if !self.efficient.is_empty() {
            return if self.efficient.contains(cpu) { EFFICIENT_SPEED } else { FULL_SPEED };
        }
        // Others, such as AMD's dense cores, show it in the frequency only.
        match frequency(tree, cpu) {
            Some(own) if own.saturating_mul(100) < self.highest.saturating_mul(SAME_KIND_PERCENT) => {
                let scaled = own.saturating_mul(u64::from(FULL_SPEED)) / self.highest;
                u32::try_from(scaled).unwrap_or(FULL_SPEED)
            }
            _ => FULL_SPEED,
        }
    }
}

/// The highest frequency of a cpu in kHz.
fn frequency(tree: &Tree, cpu: u32) -> Option<u64> {
    tree.value(&format!("{}/cpufreq/cpuinfo_max_freq", folder(cpu)))
}
