//! `/v1/jobs/{job}/events`: what happens to a job, as it happens (server-sent events). The number of an event says which failed
//! items and which lines of the log were told, so that whoever comes back with it (`Last-Event-ID`) misses nothing and hears
//! nothing twice.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::following::{Follower, Now};
use super::guard::need;
use super::jobs::{Who, find, id};
use super::result::in_background;
use super::stream::{Gone, Parts, stream};
use super::view::{JobView, folder};
use super::{App, Problem, blocking};
use crate::blobs::Digest;
use crate::job::{Far, WorkFolder};
use crate::store::jobs::JobRow;
use crate::tenant::{Caller, Scope};

/// How long nothing is sent at most: proxies close what is silent.
const SILENCE: Duration = Duration::from_secs(15);

/// Bytes of lines that are told at a time.
const PART: u64 = 64 << 10;

/// Which failed items and lines of the log were told: bytes of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    failures: u64,
    log: u64,
}

impl Told {
    fn parse(text: &str) -> Option<Self> {
        let (failures, log) = text.split_once('-')?;
        Some(Self { failures: failures.parse().ok()?, log: log.parse().ok()? })
    }

    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(last) = headers.get("last-event-id") else { return Ok(Self::default()) };
        let told = last.to_str().ok().and_then(Self::parse);
        told.ok_or_else(|| Problem::bad("bad-event-id", "Last-Event-ID is not the number of an event that was sent"))
    }

    fn event(self, name: &str, data: &Value) -> String {
        // JSON has no line breaks of its own, so that a value cannot end the event that it is in.
        format!("id: {}-{}\nevent: {name}\ndata: {data}\n\n", self.failures, self.log)
    }
}

/// An event, as it is described.
#[derive(Debug, ToSchema)]
#[schema(as = Event)]
#[expect(dead_code, reason = "it is for the description alone")]
struct EventView {
    /// Sent back as `Last-Event-ID` it brings what comes behind it.
    #[schema(pattern = "^[0-9]+-[0-9]+$")]
    id: String,
    event: EventName,
    /// JSON: of `progress` the state and how far it is, of `item` the line about an item that failed, of `log` a line of the log, of
    /// `end` the job.
    data: String,
}

/// What an event is about.
#[derive(Debug, ToSchema)]
#[schema(as = EventName, rename_all = "lowercase")]
#[expect(dead_code, reason = "it is for the description alone")]
enum EventName {
    /// How far the job is.
    Progress,
    /// An item failed.
    Item,
    /// A line of the log.
    Log,
    /// The job is over.
    End,
}

/// Events of a job: `progress` (how far it is), `item` (one that failed), `log` (a line of the log), and `end` with the job.
/// With `Last-Event-ID` those behind that one.
#[utoipa::path(get, path = "/v1/jobs/{job}/events", params(("job" = String, Path), ("last-event-id" = Option<String>, Header)),
    responses((status = 200, description = "Events, until the end of the job", body = EventView, content_type = "text/event-stream")))]
pub(super) async fn events(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(job): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    need(&caller, Scope::JobsRead)?;
    let told = Told::of(&headers)?;
    let job = find(&app, &caller, &id(&job)?).await?;
    let (parts, body) = stream();
    in_background(&app, &caller, move |app, caller| async move {
        let follower = Follower::new(Arc::clone(&app), Arc::clone(&caller));
        let teller = Teller { app, caller, follower, folder: None, parts, told };
        // Whoever has gone needs to be told nothing more.
        let _ = teller.tell(job).await;
    });
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies hold answers back until they are worth a packet.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

struct Teller {
    app: Arc<App>,
    caller: Arc<Caller>,
    follower: Follower,
    folder: Option<WorkFolder>,
    parts: Parts,
    told: Told,
}

/// Where lines are: in the folder of a job that runs, or among the contents.
#[derive(Clone, Copy, Debug)]
enum Which {
    Failures(Option<Digest>),
    Log(Option<Digest>),
}

impl Teller {
    async fn tell(mut self, job: JobRow) -> Result<(), Gone> {
        // What is read of other people's items needs the right to read results.
        let with_lines = self.caller.may(Scope::ResultsRead);
        self.folder = Some(folder(&self.app, &job));
        let mut before: Option<(Value, Option<Far>)> = None;
        let mut spoke = Instant::now();
        let mut now = job;
        loop {
            let far = self.far().await;
            let state = (json!(now.state), far);
            if before.as_ref() != Some(&state) && !now.state.is_over() {
                let data = json!({ "state": now.state, "progress": far, "input_bytes": now.spec.input_bytes });
                self.parts.give(self.told.event("progress", &data)).await?;
                (before, spoke) = (Some(state), Instant::now());
            }
            if with_lines && self.lines(&now).await? {
                spoke = Instant::now();
            }
            if now.state.is_over() {
                let data = json!(JobView::new(&now, None));
                return self.parts.give(self.told.event("end", &data)).await;
            }
            if spoke.elapsed() >= SILENCE {
                self.parts.give(": nothing new\n\n").await?;
                spoke = Instant::now();
            }
            match self.follower.next(&now.id).await {
                Ok(Now::Is(state)) => now.state = state,
                Ok(Now::Over(job)) => now = *job,
                Err(_) => return Err(Gone),
            }
        }
    }

    async fn far(&self) -> Option<Far> {
        let folder = self.folder.clone()?;
        blocking(move || folder.far()).await.ok().flatten()
    }

    /// Tells lines that are new. Returns whether there were any.
    async fn lines(&mut self, job: &JobRow) -> Result<bool, Gone> {
        let mut told_any = false;
        let done = &job.conclusion;
        for which in [Which::Failures(done.failures), Which::Log(done.log)] {
            loop {
                let lines = self.read(which, job.state.is_over()).await;
                if lines.is_empty() {
                    break;
                }
                told_any = true;
                let text = String::from_utf8_lossy(&lines).into_owned();
                let mut events = String::new();
                for line in text.split_inclusive('\n') {
                    let (at, name, data) = match which {
                        Which::Failures(_) => {
                            let item = serde_json::from_str(line).unwrap_or_else(|_| json!(line));
                            (&mut self.told.failures, "item", item)
                        }
                        Which::Log(_) => (&mut self.told.log, "log", json!({ "line": line.trim_end_matches('\n') })),
                    };
                    *at += line.len() as u64;
                    events.push_str(&self.told.event(name, &data));
                }
                self.parts.give(events).await?;
            }
        }
        Ok(told_any)
    }

    /// Whole lines behind those that were told; at the end of the job also the last, if it has no end.
    async fn read(&self, which: Which, is_over: bool) -> Vec<u8> {
        let (blobs, tenant, folder) = (Arc::clone(&self.app.shared.blobs), self.caller.tenant.id, self.folder.clone());
        let told = self.told;
        let part = blocking(move || {
            let (at, digest) = match which {
                Which::Failures(digest) => (told.failures, digest),
                Which::Log(digest) => (told.log, digest),
            };
            let file = match (which, digest) {
                (_, Some(digest)) => blobs.open(tenant, &digest)?,
                (Which::Failures(_), None) => return folder.map_or(Ok(Vec::new()), |folder| folder.failures(at)),
                (Which::Log(_), None) => folder.and_then(|folder| folder.log()),
            };
            let Some(mut file) = file else { return Ok(Vec::new()) };
            file.seek(SeekFrom::Start(at))?;
            let mut part = Vec::new();
            file.take(PART).read_to_end(&mut part)?;
            let end = part.iter().rposition(|byte| *byte == b'\n').map(|end| end + 1);
            // A line that is longer than that is told in parts.
            let is_long = part.len() as u64 == PART;
            part.truncate(end.unwrap_or(if is_over || is_long { part.len() } else { 0 }));
            Ok::<_, std::io::Error>(part)
        });
        // What cannot be read now is read the next time.
        part.await.ok().and_then(Result::ok).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_whatever_is_in_it() {
        let told = Told { failures: 3, log: 40 };
        let event = told.event("log", &json!({ "line": "a\n\nevent: end\ndata: x\r\u{1b}" }));
        assert_eq!(event.lines().count(), 4);
        assert!(
            event.starts_with("id: 3-40\nevent: log\ndata: {\"line\":\"a\\n\\n") && event.ends_with("\n\n"),
            "{event}"
        );
        assert_eq!(Told::parse("3-40"), Some(told));
        for text in ["", "3", "3-", "-1-4", "a-b", "3-4-5"] {
            assert_eq!(Told::parse(text), None, "{text}");
        }
    }
}
