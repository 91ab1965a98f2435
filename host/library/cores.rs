//! The cores of a pool: a plan for its workers, and claims that keep other pools of this machine off them.

use taskhost_os::cores::{Topology, Workers};
use taskhost_os::lease::{Lease, RuntimeFolder};

/// The cores of a pool.
#[derive(Debug)]
pub(crate) struct Cores {
    /// One entry for each worker: the cpu it is pinned to.
    pub(crate) plan: Vec<Option<u32>>,
    /// Given up with the pool.
    _leases: Vec<Lease>,
}

impl Cores {
    /// Plans the workers, and claims their cpus: free ones first. A worker whose cpu is taken is not pinned, nor is any
    /// where no claims can be made, since two pools on one core are worse than none in its place.
    pub(crate) fn plan(workers: Workers, pin: bool) -> Self {
        let topology = Topology::current();
        let mut plan = topology.plan(workers);
        let leases = match RuntimeFolder::open() {
            Ok(folder) if pin => {
                let wanted: Vec<u32> = plan.iter().copied().flatten().collect();
                let others = topology.physical().iter().flat_map(|core| core.cpus.iter().copied());
                let preferred: Vec<u32> =
                    wanted.iter().copied().chain(others.filter(|cpu| !wanted.contains(cpu))).collect();
                folder.claim(&preferred, wanted.len())
            }
            _ => Vec::new(),
        };
        let mut claimed = leases.iter().map(Lease::cpu);
        for core in &mut plan {
            *core = core.and_then(|_| claimed.next());
        }
        Self { plan, _leases: leases }
    }
}
