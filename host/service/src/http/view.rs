//! Jobs as their tenants see them.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::{App, Problem, blocking};
use crate::blobs::Digest;
use crate::job::{Far, Input, JobState, Parameters, Reason, WorkFolder};
use crate::store::jobs::JobRow;

/// Where a content is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Place {
    /// Its digest: it is also a blob.
    blob: String,
    /// Its path.
    href: String,
}

/// A job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub(super) struct JobView {
    id: String,
    state: JobState,
    /// The digest of its kernel.
    kernel: String,
    inputs: Vec<Input>,
    /// The ending of the result's name.
    output: Option<String>,
    parameters: Parameters,
    labels: BTreeMap<String, String>,
    /// Of jobs of its tenant, those with more of it are begun first.
    priority: i32,
    /// When it is to be ready: of one priority, who has to be first is begun first.
    ready_by: Option<i64>,
    /// The job whose failed items these are.
    retry_of: Option<String>,
    /// Moments are milliseconds since 1970.
    created: i64,
    /// When it was first given a process.
    started: Option<i64>,
    ended: Option<i64>,
    /// When what came of it goes.
    expires: Option<i64>,
    /// Whether that has gone.
    gone: bool,
    /// How often it was given a process.
    attempts: u32,
    /// What it waits for, when that is more than its next turn: `…/explain` says more.
    waits: Option<Reason>,
    /// How far it is, while it runs.
    progress: Option<Far>,
    /// What its run ended with; the codes are those of `taskhost run`.
    exit_code: Option<u8>,
    /// Why there is no result, or not all of it.
    message: Option<String>,
    items: Option<u64>,
    failed_items: Option<u64>,
    /// How many items failed in which way.
    verdicts: BTreeMap<String, u64>,
    input_bytes: u64,
    output_bytes: Option<u64>,
    /// CPU time, in milliseconds.
    cpu_ms: u64,
    result: Option<Place>,
    failures: Option<Place>,
    /// What the kernel and its run said.
    log: Option<Place>,
    /// The report of its run, when one was asked for.
    report: Option<Place>,
}

/// Some jobs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Jobs)]
pub(super) struct JobsView {
    pub(super) jobs: Vec<JobView>,
    /// The cursor of those behind them.
    pub(super) next: Option<String>,
}

impl JobView {
    pub(super) fn new(job: &JobRow, progress: Option<Far>) -> Self {
        let done = &job.conclusion;
        let place = |digest: Option<Digest>, name: &str| {
            digest.map(|digest| Place { blob: digest.to_string(), href: format!("/v1/jobs/{}/{name}", job.id) })
        };
        Self {
            id: job.id.to_string(),
            state: job.state,
            kernel: job.spec.kernel.to_string(),
            inputs: job.spec.inputs.clone(),
            output: job.spec.output.clone(),
            parameters: job.spec.parameters.clone(),
            labels: job.spec.labels.clone(),
            priority: job.spec.urgency.priority,
            ready_by: job.spec.urgency.ready_by,
            retry_of: job.spec.retry_of.as_ref().map(ToString::to_string),
            created: job.created.0,
            started: job.started.map(|at| at.0),
            ended: job.ended.map(|at| at.0),
            expires: job.expires.map(|at| at.0),
            gone: job.is_gone,
            attempts: job.attempts,
            waits: None,
            progress: progress.filter(|_| !job.state.is_over()),
            exit_code: done.exit,
            message: done.message.clone(),
            items: done.items,
            failed_items: done.failed,
            verdicts: done.verdicts.clone(),
            input_bytes: job.spec.input_bytes,
            output_bytes: done.output_bytes,
            cpu_ms: done.cpu_ms,
            result: place(done.result, "result"),
            failures: place(done.failures, "failures"),
            log: place(done.log, "log"),
            report: place(done.report, "report"),
        }
    }
}

/// What a job waits for that is not over. A turn comes in less time than this is heard.
fn waits(app: &App, job: &JobRow) -> Option<Reason> {
    let reason = if job.state.is_over() { None } else { app.shared.fair().reason(&job.id) };
    reason.filter(|reason| !matches!(reason, Reason::Running | Reason::Turn))
}

/// The folder in which a job is run.
pub(super) fn folder(app: &App, job: &JobRow) -> WorkFolder {
    WorkFolder::new(&app.shared.data.join("work"), &job.id)
}

/// A job with how far it is now.
pub(super) async fn view(app: &App, job: &JobRow) -> Result<JobView, Problem> {
    let progress = if job.state.is_over() {
        None
    } else {
        let folder = folder(app, job);
        blocking(move || folder.far()).await?
    };
    Ok(JobView { waits: waits(app, job), ..JobView::new(job, progress) })
}

/// Jobs with how far each of those is that run.
pub(super) async fn views(app: &App, jobs: Vec<JobRow>) -> Result<Vec<JobView>, Problem> {
    let all = app.shared.data.join("work");
    let reasons: Vec<_> = jobs.iter().map(|job| waits(app, job)).collect();
    let view = move |(job, waits): (&JobRow, Option<Reason>)| {
        let far = (job.state == JobState::Running).then(|| WorkFolder::new(&all, &job.id).far()).flatten();
        JobView { waits, ..JobView::new(job, far) }
    };
    blocking(move || jobs.iter().zip(reasons).map(view).collect()).await
}
