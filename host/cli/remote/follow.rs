//! A job, from its submission to its end, with the same bar as a run here.

use std::time::{Duration, Instant};

use serde_json::Value;
use taskhost_pool::runner::Progress;
use taskhost_service::random;

use super::connection::{Asked, Connection, Content};
use crate::exit_code::{Exit, Failure};
use crate::report::{self, Meter};

/// How long one request waits for the end of a job: while something is shown, and otherwise.
const SHORT_WAIT: u64 = 1;
const LONG_WAIT: u64 = 20;

/// Hands in a job. The same request again, after a lost connection, is the same job.
pub(super) fn submit(connection: &Connection, body: &Value) -> Result<String, Failure> {
    let head = vec![("content-type", "application/json".to_owned()), ("idempotency-key", random::word(32))];
    let content = Content::Bytes(body.to_string().into_bytes());
    let asked = Asked { method: "POST", path: "/v1/jobs", head, content };
    let job = connection.ask_well(&asked).inspect_err(|_| {
        // When it is to stop, the job may have been accepted all the same, and only the answer lost: the same request finds it.
        let found = if connection.stop.is_set() { connection.ask_once(&asked) } else { None };
        if let Some(id) =
            found.and_then(|answer| answer.json()["id"].as_str().map(str::to_owned)).filter(|id| is_job(id))
        {
            connection.cancel(&id);
        }
    })?;
    let id = job["id"].as_str().unwrap_or_default().to_owned();
    if !is_job(&id) {
        return Err(Failure::new(Exit::Host, format!("{} answers, but not as a service does", connection.url())));
    }
    if connection.stop.begun(&id) {
        connection.cancel(&id);
        connection.stop.check()?;
    }
    Ok(id)
}

/// Whether this can be the number of a job, and so a part of a path.
pub(super) fn is_job(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// What is shown of jobs that go on.
pub(super) struct Watch {
    pub(super) meter: Meter,
    pub(super) began: Instant,
    /// What jobs that are over have come to.
    pub(super) done: Progress,
    pub(super) left_out: u64,
}

/// Waits for the end of a job, and returns what is known of it then.
pub(super) fn follow(connection: &Connection, job: &str, watch: &mut Watch) -> Result<Value, Failure> {
    let path = format!("/v1/jobs/{job}");
    let wait = if matches!(watch.meter, Meter::Bar { .. }) { SHORT_WAIT } else { LONG_WAIT };
    loop {
        let asked = Asked { head: vec![("prefer", format!("wait={wait}"))], ..Asked::get(&path) };
        let asked_at = Instant::now();
        let view = match connection.ask_well(&asked) {
            Ok(view) => view,
            Err(failure) => {
                watch.meter.clear();
                if !connection.stop.is_set() {
                    report::hint(&format!("the job goes on; to see what came of it, type: taskhost job show {job}"));
                }
                return Err(failure);
            }
        };
        if !view["ended"].is_null() {
            // One that ended by itself at the last moment is as good as any.
            if view["state"] == "cancelled" {
                connection.stop.check()?;
            }
            return Ok(view);
        }
        let far = watch.with(&view);
        watch.meter.show(&far, watch.left_out);
        // A server that does not wait is not asked more often for that.
        let rest = Duration::from_millis(250).saturating_sub(asked_at.elapsed());
        connection.stop.pause(rest);
    }
}

impl Watch {
    /// How far all jobs are, with this one that goes on.
    fn with(&self, view: &Value) -> Progress {
        let number = |name: &str| view["progress"][name].as_u64().unwrap_or(0);
        let failed = self.done.failed + number("failed_items");
        Progress {
            items: self.done.items + number("items"),
            failed_items: failed,
            failed,
            input: self.done.input + number("input_bytes"),
            elapsed: self.began.elapsed(),
            ..Progress::default()
        }
    }

    /// A job is over.
    pub(super) fn add(&mut self, view: &Value) {
        let number = |name: &str| view[name].as_u64().unwrap_or(0);
        self.done.items += number("items");
        self.done.failed += number("failed_items");
        self.done.input += number("input_bytes");
        self.done.output += number("output_bytes");
        self.done.jobs += 1;
    }
}
