//! What `doctor` finds out. Its fields are the JSON that `--json` prints.

use std::path::Path;

use serde::Serialize;
use taskhost_os::cgroup_leaf::Leaves;
use taskhost_os::cores::{Reasons, Topology, Workers};
use taskhost_os::exe;
use taskhost_os::machine::{self, Memory};
use taskhost_os::sandbox::{self, Layer};
use taskhost_os::spawn::can_give_users;

use super::folders::{CacheState, RuntimeState};
use super::start_up::StartUp;

/// Raised when a field changes its meaning or goes.
pub(super) const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
pub(super) struct Health {
    pub(super) version: u32,
    pub(super) taskhost: &'static str,
    /// Tells this build from others; hexadecimal.
    pub(super) build: String,
    /// The release of the running Linux.
    pub(super) kernel: String,
    pub(super) cores: Cores,
    pub(super) memory: MemoryState,
    pub(super) limits: Vec<LimitState>,
    pub(super) sandbox: Sandbox,
    pub(super) start_up: StartUp,
    pub(super) cache: CacheState,
    pub(super) runtime_folder: RuntimeState,
    /// What could be done about what is missing.
    pub(super) advice: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Cores {
    pub(super) physical: usize,
    pub(super) logical: usize,
    /// Workers of a run that does not say how many.
    pub(super) workers: usize,
    pub(super) packages: usize,
    /// Logical cpus that are on, that this process was left, that its control group may use.
    pub(super) online: Option<usize>,
    pub(super) affinity: usize,
    pub(super) group: Option<usize>,
    /// `1.5 cpus`, where control groups limit the time.
    pub(super) quota: Option<String>,
    pub(super) why: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct MemoryState {
    pub(super) total_bytes: Option<u64>,
    pub(super) available_bytes: Option<u64>,
    /// Where control groups limit it.
    pub(super) group_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct LimitState {
    pub(super) name: &'static str,
    pub(super) is_bytes: bool,
    /// `null` is no limit.
    pub(super) value: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Sandbox {
    pub(super) layers: Vec<LayerState>,
    /// What a run with `--sandbox auto` does here, and one with `--sandbox full`.
    pub(super) auto: PolicyState,
    pub(super) full: PolicyState,
    /// Whether each worker is a user of its own.
    pub(super) own_users: bool,
    /// Whether this process was given control groups to make others in, for its workers.
    pub(super) own_groups: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct LayerState {
    pub(super) name: &'static str,
    pub(super) live: bool,
    /// What is worth knowing, or why it is not live.
    pub(super) note: String,
}

#[derive(Debug, Serialize)]
pub(super) struct PolicyState {
    pub(super) works: bool,
    pub(super) what: String,
}

impl Health {
    /// Looks at everything. Starts some workers.
    pub(super) fn examine() -> Self {
        // Before workers are started, which fill the cache.
        let cache = CacheState::look();
        let start_up = StartUp::measure();
        let mut health = Self {
            version: VERSION,
            taskhost: env!("CARGO_PKG_VERSION"),
            build: build(),
            kernel: machine::kernel_release(),
            cores: cores(),
            memory: memory(),
            limits: limits(),
            sandbox: Sandbox::look(&start_up),
            start_up,
            cache,
            runtime_folder: RuntimeState::look(),
            advice: Vec::new(),
        };
        health.advice = super::advice::about(&health);
        health
    }
}

fn build() -> String {
    exe::identity().map_or_else(
        |error| format!("unknown ({error})"),
        |identity| identity.iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
    )
}

fn cores() -> Cores {
    let (topology, reasons) = (Topology::current(), Reasons::current());
    let physical = topology.physical().len();
    let logical = topology.logical_count();
    let workers = topology.plan(Workers::Physical).len();
    let packages: std::collections::BTreeSet<i32> = topology.physical().iter().map(|core| core.package).collect();
    let (online, affinity) = (reasons.online.as_ref().map(|set| set.len()), reasons.affinity.len());
    let group = reasons.group.as_ref().map(|set| set.len());
    let mut why = Vec::new();
    if let Some(online) = online {
        why.push(format!("{online} logical on this machine"));
    }
    if online.is_none_or(|online| affinity < online) {
        why.push(format!("{affinity} left to this process (affinity)"));
    }
    if let Some(group) = group.filter(|group| online.is_none_or(|online| *group < online)) {
        why.push(format!("{group} left by its control group (cpuset)"));
    }
    why.push(match logical {
        _ if logical == physical => "one thread on each core".to_owned(),
        _ => format!("{logical} threads on {physical} cores; a worker has a core to itself"),
    });
    if let Some(quota) = reasons.quota {
        why.push(format!("the time of {quota} (quota of its control group)"));
    }
    let quota = reasons.quota.map(|quota| quota.to_string());
    Cores { physical, logical, workers, packages: packages.len(), online, affinity, group, quota, why }
}

fn memory() -> MemoryState {
    let Memory { total, available, group } = Memory::current();
    MemoryState { total_bytes: total, available_bytes: available, group_bytes: group }
}

fn limits() -> Vec<LimitState> {
    let state = |limit: machine::Limit| LimitState { name: limit.name, is_bytes: limit.is_bytes, value: limit.value };
    machine::limits().into_iter().map(state).collect()
}

impl Sandbox {
    fn look(start_up: &StartUp) -> Self {
        let layers: Vec<LayerState> = sandbox::probe()
            .into_iter()
            .map(|finding| {
                // What a worker really lacked counts more than what the machine seems to offer.
                let lacking = start_up.missing.iter().find(|missing| missing.layer == finding.layer);
                let (live, note) = match (lacking, finding.offer) {
                    (Some(missing), _) => (false, missing.reason.clone()),
                    (None, Ok(note)) => (true, note),
                    (None, Err(reason)) => (false, reason),
                };
                LayerState { name: finding.layer.name(), live, note }
            })
            .collect();
        let missing: Vec<&str> = layers.iter().filter(|layer| !layer.live).map(|layer| layer.name).collect();
        let auto = match (&start_up.problem, missing.as_slice()) {
            (Some(problem), _) => PolicyState { works: false, what: problem.clone() },
            (None, []) => PolicyState { works: true, what: "runs with every layer".into() },
            (None, missing) => PolicyState { works: true, what: format!("runs without {}", missing.join(", ")) },
        };
        let full = match (&start_up.problem, missing.as_slice()) {
            (_, [first, ..]) => {
                PolicyState { works: false, what: format!("refuses to run (exit 6): {first} is missing") }
            }
            (Some(problem), []) => PolicyState { works: false, what: problem.clone() },
            (None, []) => PolicyState { works: true, what: "runs with every layer".into() },
        };
        Self { layers, auto, full, own_users: can_give_users(), own_groups: Leaves::open().is_some() }
    }

    /// Whether the least that `auto` asks for is not there.
    pub(super) fn lacks_what_auto_needs(&self) -> bool {
        let needed = [Layer::SystemCalls, Layer::NoNewPrivileges].map(Layer::name);
        self.layers.iter().any(|layer| !layer.live && needed.contains(&layer.name))
    }
}

/// A path as JSON and the table have it.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}
