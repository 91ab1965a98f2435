//! The cores of a pool: a plan for its workers, and claims that keep other pools of this machine off them.

use super::{Topology, Workers};
use crate::lease::{Lease, RuntimeFolder};

/// The cores of a pool.
#[derive(Debug)]
pub struct ClaimedCores {
    /// All that there are.
    pub topology: Topology,
    /// One entry for each worker: the cpu it is pinned to.
    pub plan: Vec<Option<u32>>,
    /// Why workers are not pinned, when that was asked for.
    pub unpinned: Option<String>,
    /// Given up when this is dropped.
    _leases: Vec<Lease>,
}

impl ClaimedCores {
    /// Plans the workers and, when they are to be pinned, claims their cpus: free ones first. A worker whose cpu is taken is
    /// not pinned, nor is any where no claims can be made, since two pools on one core are worse than none in its place.
    #[must_use]
    pub fn claim(workers: Workers, pin: bool) -> Self {
        let topology = Topology::current();
        let mut plan = topology.plan(workers);
        if !pin {
            plan.fill(None);
            return Self { topology, plan, unpinned: None, _leases: Vec::new() };
        }
        let wanted: Vec<u32> = plan.iter().copied().flatten().collect();
        // All cpus that could be had, those of the plan first: a second pool takes what is free.
        let others = topology.physical().iter().flat_map(|core| core.cpus.iter().copied());
        let preferred: Vec<u32> = wanted.iter().copied().chain(others.filter(|cpu| !wanted.contains(cpu))).collect();
        let (leases, unpinned) = match RuntimeFolder::open() {
            Ok(folder) => {
                let leases = folder.claim(&preferred, wanted.len());
                let taken = wanted.len() - leases.len();
                let why = format!("{taken} of {} cores are taken by another run", wanted.len());
                (leases, (taken > 0).then_some(why))
            }
            Err(error) => (Vec::new(), Some(format!("no claims on cores can be made ({error})"))),
        };
        let mut claimed = leases.iter().map(Lease::cpu);
        for core in &mut plan {
            *core = core.and_then(|_| claimed.next());
        }
        Self { topology, plan, unpinned, _leases: leases }
    }
}
