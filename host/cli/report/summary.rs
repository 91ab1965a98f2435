//! The line at the end of a run, and what may be said about it.

use std::fmt::Write as _;
use std::time::Duration;

use taskhost_data::duration::human_duration;
use taskhost_data::size::human_size;
use taskhost_os::sandbox::Layer;
use taskhost_pool::runner::RunReport;

use super::{count, note};
use taskhost_os::cores::ClaimedCores;

/// Runs shorter than this need no advice on how to be faster.
const WORTH_ADVICE: Duration = Duration::from_secs(1);

/// What the summary is made from.
pub(crate) struct Summary<'a> {
    pub(crate) report: &'a RunReport,
    pub(crate) cores: &'a ClaimedCores,
    /// From the first instruction of the program.
    pub(crate) wall: Duration,
    pub(crate) left_out: u64,
    /// Failed items, and inputs that could not be run.
    pub(crate) lost: u64,
    /// Whether inputs were cut into items, not pictures into rows.
    pub(crate) in_items: bool,
    pub(crate) counters: &'a std::collections::BTreeMap<String, u64>,
}

impl Summary<'_> {
    /// CPU time of all workers.
    pub(crate) fn cpu(&self) -> Duration {
        self.report.workers.iter().map(|worker| worker.cpu).sum()
    }

    /// CPU time over wall time: how many cores were busy on average.
    pub(crate) fn speed_up(&self) -> f64 {
        self.cpu().as_secs_f64() / self.wall.as_secs_f64().max(1e-9)
    }

    /// Execute workers that were ever there.
    fn workers(&self) -> usize {
        self.report.workers.iter().filter(|worker| worker.role == "execute").count().min(self.cores.plan.len())
    }

    fn line(&self) -> String {
        let progress = &self.report.progress;
        let mut text = count(progress.items, "item");
        if self.lost > 0 {
            let _ = write!(text, ", {} failed", self.lost);
        }
        if self.left_out > 0 {
            let _ = write!(text, ", {} left out", self.left_out);
        }
        let _ = write!(
            text,
            ", {} in, {} out, {}, {}, speed-up {:.2}",
            human_size(progress.input),
            human_size(progress.output),
            human_duration(self.wall),
            self.cores.topology.describe(self.workers()),
            self.speed_up()
        );
        text
    }

    /// Prints the summary and what goes with it.
    pub(crate) fn print(&self) {
        for (name, amount) in self.counters {
            note(&format!("{}: {amount}", super::escape(name)));
        }
        note(&self.line());
        let (items, workers) = (self.report.progress.items, self.cores.plan.len());
        if self.in_items && items > 0 && items < workers as u64 && self.wall > WORTH_ADVICE {
            note(&format!(
                "there were fewer items than workers ({items} for {workers}), so some had nothing to do; a finer --split \
                 such as lines, blocks or chunks would give them work, if the kernel can take such items"
            ));
        }
        if let Some(why) = &self.cores.unpinned {
            note(&format!("not every worker was pinned to a core: {why}"));
        }
        let missing = self.report.missing.len();
        if missing == Layer::ALL.len() {
            note("the workers had no walls around them (--sandbox off): only the kernel's own sandbox kept it in");
        } else if missing > 0 {
            let missing: Vec<String> = self.report.missing.iter().map(ToString::to_string).collect();
            note(&format!(
                "this machine does not allow every wall around the workers; missing: {}",
                missing.join(", ")
            ));
        }
    }
}
