//! `--report FILE.json`: what happened, for programs.

use serde::Serialize;
use taskhost_pool::event::JobFailure;
use taskhost_pool::runner::WorkerTimes;

use super::{Before, Reporter, Summary, before, describe};

/// Raised when a field changes its meaning or goes.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    taskhost: &'a str,
    command: Vec<String>,
    kernel: Kernel<'a>,
    exit_code: u8,
    /// What was done before this process began. Items, failures, input and output are of the whole run, everything else of this
    /// process.
    earlier: Option<before::Facts>,
    /// The name of the limit of the whole run that was hit.
    limit: Option<&'static str>,
    items: u64,
    input_bytes: u64,
    output_bytes: u64,
    jobs: u64,
    failed_jobs: u64,
    failed_items: u64,
    verdicts: &'a std::collections::BTreeMap<String, u64>,
    skipped_inputs: u64,
    wall_seconds: f64,
    cpu_seconds: f64,
    speed_up: f64,
    counters: &'a std::collections::BTreeMap<String, u64>,
    run_seconds: f64,
    coordinator: Coordinator,
    workers: Vec<Worker<'a>>,
    missing_sandbox_layers: Vec<String>,
    failures: Vec<Failure>,
}

#[derive(Serialize)]
struct Kernel<'a> {
    name: &'a str,
    blake3: String,
    kind: &'a str,
    compiled: bool,
}

#[derive(Serialize)]
struct Worker<'a> {
    id: u32,
    role: &'a str,
    core: Option<u32>,
    cpu_seconds: f64,
    max_resident_bytes: u64,
    death: Option<&'a str>,
    batches: u64,
    items: u64,
    /// Where the time of its life went.
    seconds: Seconds,
}

#[derive(Serialize)]
struct Seconds {
    lifetime: f64,
    start_up: f64,
    call: f64,
    copy: f64,
    merge: f64,
    other: f64,
    dispatch: f64,
    wait: f64,
}

impl Seconds {
    fn of(times: &WorkerTimes) -> Self {
        Self {
            lifetime: times.lifetime.as_secs_f64(),
            start_up: times.start_up.as_secs_f64(),
            call: times.call.as_secs_f64(),
            copy: times.copy.as_secs_f64(),
            merge: times.merge.as_secs_f64(),
            other: times.other.as_secs_f64(),
            dispatch: times.dispatch.as_secs_f64(),
            wait: times.wait.as_secs_f64(),
        }
    }
}

#[derive(Serialize)]
struct Coordinator {
    cpu_seconds: f64,
    write_seconds: f64,
}

#[derive(Serialize)]
struct Failure {
    job: String,
    source: Option<String>,
    item: Option<u64>,
    offset: Option<u64>,
    message: String,
}

/// What is known of the kernel.
pub(crate) struct KernelFacts<'a> {
    pub(crate) name: &'a str,
    pub(crate) digest: String,
    pub(crate) kind: &'a str,
    pub(crate) compiled: bool,
}

/// The report as text.
pub(crate) fn render(
    summary: &Summary<'_>,
    before: Option<Before>,
    kernel: &KernelFacts<'_>,
    reporter: &Reporter,
    exit_code: u8,
) -> String {
    let progress = &summary.report.progress;
    let failures = reporter.jobs.iter().filter_map(|job| {
        let failure = job.failure.as_ref()?;
        let item = match &failure.failure {
            JobFailure::Item(item) => Some((item.number, item.place.offset)),
            _ => None,
        };
        Some(Failure {
            job: job.name.clone(),
            source: failure.source.clone(),
            item: item.and_then(|(number, _)| number),
            offset: item.map(|(_, offset)| offset),
            message: describe(job, failure),
        })
    });
    let is_over_limit = |job: &taskhost_pool::job::JobReport| {
        job.failure.as_ref().is_some_and(|failure| matches!(failure.failure, JobFailure::OutputLimit(_)))
    };
    let workers = summary.report.workers.iter().map(|worker| Worker {
        id: worker.id,
        role: worker.role,
        core: worker.core,
        cpu_seconds: worker.cpu.as_secs_f64(),
        max_resident_bytes: worker.max_resident,
        death: worker.death.as_deref(),
        batches: worker.times.batches,
        items: worker.times.items,
        seconds: Seconds::of(&worker.times),
    });
    let report = Report {
        version: VERSION,
        taskhost: env!("CARGO_PKG_VERSION"),
        command: crate::words::shown(),
        kernel: Kernel {
            name: kernel.name,
            blake3: kernel.digest.clone(),
            kind: kernel.kind,
            compiled: kernel.compiled,
        },
        exit_code,
        earlier: before.map(Before::facts),
        limit: reporter.jobs.iter().any(is_over_limit).then_some("results"),
        items: progress.items,
        input_bytes: progress.input,
        output_bytes: progress.output,
        jobs: progress.jobs,
        failed_jobs: progress.failed,
        failed_items: reporter.failures.items,
        verdicts: &reporter.failures.verdicts,
        skipped_inputs: summary.left_out,
        wall_seconds: summary.wall.as_secs_f64(),
        cpu_seconds: summary.cpu().as_secs_f64(),
        speed_up: summary.speed_up(),
        counters: summary.counters,
        run_seconds: progress.elapsed.as_secs_f64(),
        coordinator: Coordinator {
            cpu_seconds: summary.report.times.cpu.as_secs_f64(),
            write_seconds: summary.report.times.write.as_secs_f64(),
        },
        workers: workers.collect(),
        missing_sandbox_layers: summary.report.missing.iter().map(ToString::to_string).collect(),
        failures: failures.collect(),
    };
    // A structure of numbers and texts can always be written.
    serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
}
