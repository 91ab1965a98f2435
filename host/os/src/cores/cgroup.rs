//! What control groups leave of the machine: the cpuset, and the quota of CPU time, of this group and those above it.

use std::fmt;

use super::cpu_set::CpuSet;
use super::tree::Tree;

/// CPU time that may be used in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Microseconds of CPU time …
    time: u64,
    /// … in each this many microseconds; never 0.
    period: u64,
}

impl Quota {
    /// `None` when `period` is 0.
    fn new(time: u64, period: u64) -> Option<Self> {
        (period > 0).then_some(Self { time, period })
    }

    /// How many workers it can keep busy, rounded up, at least 1.
    #[must_use]
    pub fn cpus(self) -> usize {
        usize::try_from(self.time.div_ceil(self.period)).unwrap_or(usize::MAX).max(1)
    }

    fn is_below(self, other: Self) -> bool {
        u128::from(self.time) * u128::from(other.period) < u128::from(other.time) * u128::from(self.period)
    }
}

impl fmt::Display for Quota {
    /// `1.5 cpus`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = u128::from(self.time) * 100 / u128::from(self.period);
        write!(f, "{}", hundredths / 100)?;
        match (hundredths / 10 % 10, hundredths % 10) {
            (0, 0) => {}
            (tenths, 0) => write!(f, ".{tenths}")?,
            (tenths, rest) => write!(f, ".{tenths}{rest}")?,
        }
        f.write_str(if hundredths == 100 { " cpu" } else { " cpus" })
    }
}

/// What the control groups of this process allow. `None` is no limit.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) cpus: Option<CpuSet>,
    pub(super) quota: Option<Quota>,
}

impl Limits {
    /// Reads them, of version 1 and 2 alike; a machine may have both.
    pub(super) fn read(tree: &Tree) -> Self {
        let mut limits = Self::default();
        for (controller, folders) in own_folders(tree) {
            limits.add(tree, &controller, &folders);
        }
        limits
    }

    /// Adds the limits of one hierarchy; `folders` go from the process's own group up to the root.
    fn add(&mut self, tree: &Tree, controller: &str, folders: &[String]) {
        if matches!(controller, "" | "cpuset") {
            // The nearest is the narrowest: the effective set is inside those above.
            let files = if controller.is_empty() {
                &["cpuset.cpus.effective"][..]
            } else {
                &["cpuset.effective_cpus", "cpuset.cpus"]
            };
            let mut paths = folders.iter().flat_map(|folder| files.iter().map(move |file| format!("{folder}/{file}")));
            let found = paths.find_map(|path| CpuSet::parse(&tree.text(&path)?).filter(|set| !set.is_empty()));
            self.cpus = found.or(self.cpus.take());
        }
        for folder in folders {
            let quota = match controller {
                "" => quota_v2(tree, folder),
                "cpu" => quota_v1(tree, folder),
                _ => None,
            };
            if let Some(quota) = quota.filter(|quota| self.quota.is_none_or(|least| quota.is_below(least))) {
                self.quota = Some(quota);
            }
        }
    }
}

/// The groups of this process: for each controller of version 1, and under the empty name for version 2, the folder of
/// its own group and those of the groups above it.
pub(crate) fn own_folders(tree: &Tree) -> Vec<(String, Vec<String>)> {
    let mounts = Mount::all(&tree.text("/proc/self/mountinfo").unwrap_or_default());
    let mut found = Vec::new();
    for line in tree.text("/proc/self/cgroup").unwrap_or_default().lines() {
        // `hierarchy:controllers:path`; version 2 has no controllers.
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        for controller in controllers.split(',') {
            if let Some(mount) = mounts.iter().find(|mount| mount.has(controller)) {
                found.push((controller.to_owned(), mount.folders(path)));
            }
        }
    }
    found
}

/// `cpu.max`: `150000 100000`, or `max 100000` for no limit.
fn quota_v2(tree: &Tree, folder: &str) -> Option<Quota> {
    let text = tree.text(&format!("{folder}/cpu.max"))?;
    let (time, period) = text.split_once(' ')?;
    Quota::new(time.parse().ok()?, period.parse().ok()?)
}

/// Two files; the time is -1 for no limit.
fn quota_v1(tree: &Tree, folder: &str) -> Option<Quota> {
    let time: i64 = tree.value(&format!("{folder}/cpu.cfs_quota_us"))?;
    Quota::new(u64::try_from(time).ok()?, tree.value(&format!("{folder}/cpu.cfs_period_us"))?)
}

/// One mounted hierarchy.
struct Mount {
    /// The group that is seen at the mount point.
    root: String,
    point: String,
    /// The controllers of version 1; the empty name for version 2.
    controllers: Vec<String>,
}

impl Mount {
    /// The control-group mounts of a `mountinfo` file.
    fn all(mountinfo: &str) -> Vec<Self> {
        mountinfo.lines().filter_map(Self::parse).collect()
    }

    fn parse(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, point) = (left.next()?.to_owned(), left.next()?.to_owned());
        let mut right = right.split(' ');
        let controllers = match right.next()? {
            "cgroup2" => vec![String::new()],
            "cgroup" => right.nth(1)?.split(',').map(str::to_owned).collect(),
            _ => return None,
        };
        Some(Self { root, point, controllers })
    }

    fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|own| own == controller)
    }

    /// The folders of the group `path` and of those above it, as far as they are seen here.
    fn folders(&self, path: &str) -> Vec<String> {
        // In a container the mount may show a part of the hierarchy only; a path outside it is taken for its root.
        let below = if self.root == "/" { Some(path) } else { path.strip_prefix(self.root.as_str()) };
        let mut rest = below.unwrap_or_default().trim_end_matches('/');
        let mut folders = Vec::new();
        if !rest.split('/').any(|part| part == "..") {
            while !rest.is_empty() {
                folders.push(format!("{}{rest}", self.point));
                rest = rest.rfind('/').and_then(|slash| rest.get(..slash)).unwrap_or_default();
            }
        }
        folders.push(self.point.clone());
        folders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_rounded_up() {
        let quota = |time, period| Quota::new(time, period).expect("a period");
        assert_eq!(quota(150_000, 100_000).cpus(), 2);
        assert_eq!(quota(100_000, 100_000).cpus(), 1);
        assert_eq!(quota(1_000, 100_000).cpus(), 1);
        assert!(Quota::new(1, 0).is_none());
        assert_eq!(quota(150_000, 100_000).to_string(), "1.5 cpus");
        assert_eq!(quota(100_000, 100_000).to_string(), "1 cpu");
        assert_eq!(quota(25_000, 100_000).to_string(), "0.25 cpus");
    }

    #[test]
    fn a_group_is_found_below_its_mount() {
        let mount = Mount { root: "/".into(), point: "/sys/fs/cgroup".into(), controllers: vec![] };
        assert_eq!(mount.folders("/a/b"), ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"]);
        assert_eq!(mount.folders("/"), ["/sys/fs/cgroup"]);
        assert_eq!(mount.folders("/../x"), ["/sys/fs/cgroup"]);
        let inside = Mount { root: "/docker/1".into(), point: "/cg".into(), controllers: vec![] };
        assert_eq!(inside.folders("/docker/1/a"), ["/cg/a", "/cg"]);
        assert_eq!(inside.folders("/elsewhere"), ["/cg"]);
    }
}
