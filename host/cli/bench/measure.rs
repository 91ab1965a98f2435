//! One run of this program, measured: its own report says what it took.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use serde::Serialize;
use serde_json::Value;

use crate::args::BenchArguments;
use crate::exit_code::{Exit, Failure};

/// What one run took. Times are seconds; those of workers are sums over all of them.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Sample {
    /// From the start of the program to the end of its work.
    pub(crate) wall: f64,
    /// CPU time of the workers.
    pub(crate) cpu: f64,
    /// CPU time of the coordinator.
    pub(crate) coordinator: f64,
    pub(crate) items: u64,
    pub(crate) batches: u64,
    pub(crate) start_up: f64,
    pub(crate) call: f64,
    pub(crate) copy: f64,
    pub(crate) merge: f64,
    /// Finding items and keeping books, and messages.
    pub(crate) dispatch: f64,
    pub(crate) wait: f64,
}

/// Runs this program.
pub(super) struct Runner<'a> {
    program: PathBuf,
    arguments: &'a BenchArguments,
    is_picture: bool,
}

impl<'a> Runner<'a> {
    pub(super) fn new(arguments: &'a BenchArguments, is_picture: bool) -> Result<Self, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::new(Exit::Host, format!("this program cannot be found: {error}")))?;
        Ok(Self { program, arguments, is_picture })
    }

    /// One run, with so many workers and items in a batch.
    pub(super) fn run(&self, workers: u32, batch: Option<u64>) -> Result<Sample, Failure> {
        let mut command = Command::new(&self.program);
        command.arg("run").arg(&self.arguments.kernel).args(&self.arguments.inputs);
        command.args(["--quiet", "--report", "-", "--workers", &workers.to_string()]);
        if let Some(kind) = self.arguments.kind.as_ref().and_then(clap::ValueEnum::to_possible_value) {
            command.args(["--kind", kind.get_name()]);
        }
        if let Some(batch) = batch {
            command.args(["--batch", &batch.to_string()]);
        }
        // A picture always has a result.
        command.args(if self.is_picture { ["--output", "/dev/null"] } else { ["--merge", "discard"] });
        command.args::<_, &OsString>(&self.arguments.flags);
        let output = command
            .output()
            .map_err(|error| Failure::new(Exit::Host, format!("this program cannot be started: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim().trim_start_matches("error: ");
            let exit = output.status.code().and_then(|code| u8::try_from(code).ok());
            return Err(Failure::new(exit.and_then(Exit::from_code).unwrap_or(Exit::Host), said));
        }
        let report = serde_json::from_slice::<Value>(&output.stdout).map_err(|_| {
            Failure::usage("a run of it prints more than its report: leave out flags that are about output".to_owned())
        })?;
        Ok(sample(&report))
    }
}

fn sample(report: &Value) -> Sample {
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let workers = report["workers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let sum = |name: &str| workers.iter().map(|worker| number(&worker["seconds"][name])).sum::<f64>();
    Sample {
        wall: number(&report["wall_seconds"]),
        cpu: number(&report["cpu_seconds"]),
        coordinator: number(&report["coordinator"]["cpu_seconds"]),
        // A picture is one item of the run, but its rows are what is cut into batches.
        items: workers.iter().filter_map(|worker| worker["items"].as_u64()).sum(),
        batches: workers.iter().filter_map(|worker| worker["batches"].as_u64()).sum(),
        start_up: sum("start_up"),
        call: sum("call"),
        copy: sum("copy"),
        merge: sum("merge"),
        dispatch: sum("dispatch") + sum("other"),
        wait: sum("wait"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_summed_up() {
        let worker = r#"{"items": 5, "batches": 2, "seconds": {"call": 1.0, "dispatch": 0.25, "other": 0.25}}"#;
        let report = format!(r#"{{"wall_seconds": 2.5, "cpu_seconds": 3, "workers": [{worker}, {worker}]}}"#);
        let sample = sample(&serde_json::from_str(&report).expect("JSON"));
        assert_eq!((sample.items, sample.batches), (10, 4));
        assert_eq!([sample.wall, sample.cpu, sample.call, sample.dispatch, sample.wait], [2.5, 3.0, 2.0, 1.0, 0.0]);
    }
}
