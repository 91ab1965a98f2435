//! `taskhost bench`: how a kernel scales from one worker to many, which size of batches suits it, and what an item costs.
//! Every figure comes from ordinary runs of this program whose results are counted and dropped.

mod measure;
mod page;
mod plot;

use anyhow::Result;
use taskhost_os::cores::{Topology, Workers};
use taskhost_protocol::kernel::CompileOptions;
use taskhost_protocol::message::Sandbox;

use crate::args::BenchArguments;
use crate::exit_code::{Exit, Failure};
use crate::report;
use crate::start::{Starting, start};
use crate::{invoke, kernel};

use measure::{Runner, Sample};

/// Sizes of batches that are tried when the user names none: factors of 16, since only their magnitude matters.
const BATCHES: [u64; 4] = [1, 16, 256, 4096];

/// The median run of one setting, and how far the others were from it.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Setting {
    pub(crate) workers: u32,
    /// Items in a batch; none is what the pool chooses.
    pub(crate) batch: Option<u64>,
    /// The run whose time is the median.
    pub(crate) median: Sample,
    /// Wall time of the fastest run, in seconds.
    pub(crate) fastest: f64,
    /// Wall time of the slowest run, in seconds.
    pub(crate) slowest: f64,
}

/// All that was measured.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Findings {
    pub(crate) version: u32,
    pub(crate) taskhost: &'static str,
    pub(crate) kernel: String,
    pub(crate) machine: String,
    pub(crate) date: String,
    pub(crate) runs: u32,
    /// One to many workers, with batches as the pool chooses.
    pub(crate) scaling: Vec<Setting>,
    /// Sizes of batches, with the most workers.
    pub(crate) batches: Vec<Setting>,
}

impl Findings {
    /// How many times faster than one worker.
    pub(crate) fn speed_up(&self, setting: &Setting) -> f64 {
        self.first().map_or(1.0, |first| first.median.wall / setting.median.wall.max(1e-9))
    }

    /// Speed-up for each worker: 1 is ideal.
    pub(crate) fn wall_efficiency(&self, setting: &Setting) -> f64 {
        self.speed_up(setting) / f64::from(setting.workers)
    }

    /// CPU time of one worker over that of all: 1 when many do no more than one.
    pub(crate) fn cpu_efficiency(&self, setting: &Setting) -> f64 {
        self.first().map_or(1.0, |first| first.median.cpu / setting.median.cpu.max(1e-9))
    }

    fn first(&self) -> Option<&Setting> {
        self.scaling.first()
    }
}

/// Measures, and shows what was found.
pub(crate) fn run(arguments: &BenchArguments) -> Result<Exit> {
    let kernel = kernel::find(&arguments.kernel)?;
    let name = kernel.name.clone();
    let options = CompileOptions { kind: invoke::kind(arguments.kind, None), ..CompileOptions::default() };
    // It is compiled here, so that no run has to.
    let is_picture = {
        let (pool, _) = start(Starting::to_ask(kernel, options, Sandbox::Auto))?;
        pool.kernel().exports.image_filter
    };
    let most = arguments.workers.unwrap_or_else(|| {
        let cores = Topology::current().plan(Workers::Physical).len();
        u32::try_from(cores).unwrap_or(u32::MAX)
    });
    let runner = Runner::new(arguments, is_picture)?;
    let scaling = measured(&runner, arguments.runs, counts(most).into_iter().map(|workers| (workers, None)).collect())?;
    let items = scaling.first().map_or(0, |setting| setting.median.items);
    let sizes: Vec<u64> = if arguments.batch.is_empty() {
        // Batches that would leave workers without any say nothing.
        BATCHES.into_iter().filter(|size| *size == 1 || size * u64::from(most) <= items).collect()
    } else {
        arguments.batch.clone()
    };
    // The rows of a picture are cut as the plan of its kernel says.
    let sizes = if is_picture && arguments.batch.is_empty() { Vec::new() } else { sizes };
    let mut batches = measured(&runner, arguments.runs, sizes.into_iter().map(|size| (most, Some(size))).collect())?;
    batches.extend(scaling.last().cloned());
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let findings = Findings {
        version: 1,
        taskhost: env!("CARGO_PKG_VERSION"),
        kernel: name,
        machine: report::html::machine(),
        date: report::html::date(since),
        runs: arguments.runs,
        scaling,
        batches,
    };
    if let Some(path) = &arguments.plot {
        std::fs::write(path, plot::draw(&findings))
            .map_err(|error| Failure::input(format!("--plot {} cannot be written: {error}", path.display())))?;
    }
    if arguments.json {
        return Ok(report::line(&serde_json::to_string_pretty(&findings)?));
    }
    Ok(report::text(&page::text(&findings)))
}

/// Numbers of workers to be measured: all of a few, and of many the powers of two.
fn counts(most: u32) -> Vec<u32> {
    (1..=most).filter(|count| *count <= 4 || count.is_power_of_two() || *count == most).collect()
}

/// Measures settings in turn, A B C A B C, so that what else the machine does falls on all alike.
fn measured(runner: &Runner<'_>, runs: u32, settings: Vec<(u32, Option<u64>)>) -> Result<Vec<Setting>, Failure> {
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); settings.len()];
    for round in 0..=runs {
        for (setting, samples) in settings.iter().zip(&mut samples) {
            let sample = runner.run(setting.0, setting.1)?;
            // The first fills caches.
            if round > 0 {
                samples.push(sample);
            }
        }
    }
    let found = settings.into_iter().zip(samples).map(|((workers, batch), mut samples)| {
        samples.sort_by(|a, b| a.wall.total_cmp(&b.wall));
        let median = samples[samples.len() / 2].clone();
        let (fastest, slowest) = (samples[0].wall, samples[samples.len() - 1].wall);
        Setting { workers, batch, median, fastest, slowest }
    });
    Ok(found.collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What four workers of a perfect machine would be found to do, but for the last.
    pub(crate) fn findings() -> Findings {
        let setting = |workers: u32, wall: f64| Setting {
            workers,
            batch: None,
            median: Sample { wall, cpu: 4.0, items: 1000, batches: 100, call: 3.6, copy: 0.1, ..Sample::default() },
            fastest: wall * 0.9,
            slowest: wall * 1.1,
        };
        Findings {
            version: 1,
            taskhost: "0.1.0",
            kernel: "a <kernel>".into(),
            machine: "a processor & a system".into(),
            date: "2000-01-01 00:00 UTC".into(),
            runs: 3,
            scaling: vec![setting(1, 4.0), setting(2, 2.0), setting(4, 1.25)],
            batches: vec![Setting { batch: Some(16), ..setting(4, 2.0) }, setting(4, 1.25)],
        }
    }

    #[test]
    fn a_few_workers_are_all_measured_and_of_many_some() {
        assert_eq!(counts(1), [1]);
        assert_eq!(counts(3), [1, 2, 3]);
        assert_eq!(counts(12), [1, 2, 3, 4, 8, 12]);
    }

    #[test]
    fn efficiency_is_what_comes_of_each_worker() {
        let findings = findings();
        let last = &findings.scaling[2];
        assert!((findings.speed_up(last) - 3.2).abs() < 1e-9);
        assert!((findings.wall_efficiency(last) - 0.8).abs() < 1e-9);
        assert!((findings.cpu_efficiency(last) - 1.0).abs() < 1e-9);
    }
}
