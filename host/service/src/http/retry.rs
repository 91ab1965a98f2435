//! `POST /v1/jobs/{job}/retry`: the items that failed, as a job of their own.
//!
//! Which they are stands in the lines of the failed items: the input, where in it they begin, and how long they are. Those bytes
//! are cut out of the inputs; what they mean is not looked at.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::body::Fresh;
use super::carried_out::to_its_end;
use super::guard::need;
use super::jobs::{Who, find, id};
use super::looks::Look;
use super::stream::{Parts, stream};
use super::submit::{admit, check, hand_in, idempotency_key, respond};
use super::{App, Problem, blocking, body};
use crate::blobs::Range;
use crate::job::{Input, JobId, JobSpec};
use crate::store::jobs::{Idempotency, JobRow};
use crate::tenant::{Caller, Scope};

/// What is needed of a line about a failed item.
#[derive(Debug, Deserialize)]
struct Failed {
    source: String,
    offset: Option<u64>,
    length: Option<u64>,
    line: Option<u64>,
}

/// A part of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cut {
    offset: u64,
    length: u64,
    /// Whether it is a line, whose end does not count to it.
    is_line: bool,
}

/// Parts of inputs, by the number of the input.
type Cuts = BTreeMap<usize, Vec<Cut>>;

/// Bytes that are copied at a time.
const PART: usize = 256 << 10;

/// Most failed items that are cut out.
const MOST_ITEMS: usize = 1_000_000;

/// The items that failed, as a new job with the same kernel and parameters, and without a callback.
#[utoipa::path(post, path = "/v1/jobs/{job}/retry", params(("job" = String, Path), ("idempotency-key" = Option<String>, Header, description = "From 1 to 255 signs: with the same the same request is done once, for 24 hours"), ("prefer" = Option<String>, Header, description = "`wait=N`: the answer waits up to so many seconds, 30 at most, for the end of the job")), responses((status = 200, description = "It is over: its result, or the job", body = super::view::JobView), (status = 202, description = "The new job", body = super::view::JobView)))]
pub(super) async fn retry(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(job): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    need(&caller, Scope::JobsWrite)?;
    let job = id(&job)?;
    let key = idempotency_key(&headers, &format!("/v1/jobs/{job}/retry"))?;
    let again = key.map(|key| Idempotency { key, request: *blake3::hash(job.as_str().as_bytes()).as_bytes() });
    admit(&app, &caller).await?;
    failed_job(&app, &caller, &job).await?;
    // One at a time for a tenant, as long as anything is read for it.
    let look = Arc::new(app.looks.begin(caller.tenant.id).await);
    let (at_work, asks) = (Arc::clone(&app), Arc::clone(&caller));
    let handed = to_its_end(async move {
        let job = failed_job(&at_work, &asks, &job).await?;
        let mut fresh = Fresh::new();
        let spec = match gather(&at_work, &asks, &look, &job, &mut fresh).await {
            Ok(spec) => spec,
            Err(problem) => {
                body::forget(&at_work, &asks, &fresh).await;
                return Err(problem);
            }
        };
        let turn = at_work.submissions.next(asks.tenant.id).await;
        // Until here, so that of a tenant one waits at most of which nobody waits for the answer.
        drop(look);
        hand_in(&at_work, &asks, (spec, fresh, None), again, turn).await
    });
    respond(&app, &caller, &headers, handed.await?).await
}

/// The job, when it is over.
async fn failed_job(app: &App, caller: &Caller, job: &JobId) -> Result<JobRow, Problem> {
    let job = find(app, caller, job).await?;
    if job.state.is_over() {
        return Ok(job);
    }
    Err(Problem::conflict("not-finished", "the job is not over, so that more items may fail"))
}

/// Lays down what failed, and says what is to be done with it.
async fn gather(
    app: &App,
    caller: &Caller,
    look: &Arc<Look>,
    job: &JobRow,
    fresh: &mut Fresh,
) -> Result<JobSpec, Problem> {
    let cuts = cuts(app, caller, look, job).await?;
    let mut spec = JobSpec { inputs: Vec::new(), input_bytes: 0, retry_of: Some(job.id.clone()), ..job.spec.clone() };
    for (number, cuts) in cuts {
        let old = &job.spec.inputs[number];
        let (blobs, tenant, digest) = (Arc::clone(&app.shared.blobs), caller.tenant.id, old.blob);
        let whole = old.range.unwrap_or(Range(0, u64::MAX));
        let file = blocking(move || blobs.open(tenant, &digest)).await?;
        let file = file.ok().flatten().ok_or_else(|| cannot("its inputs have gone"))?;
        if is_packed(&file, whole.0) && cuts.iter().any(|cut| cut.offset > 0) {
            return Err(cannot("they are in an input that is compressed"));
        }
        let has_header = spec.parameters.header;
        let (parts, cut) = stream();
        let from = CuttingOut { file, whole, cuts: cuts.into_iter(), now: None };
        tokio::spawn(cut_out(Arc::clone(look), from, has_header, parts));
        let arrived = body::content(app, caller, &HeaderMap::new(), cut, ("the failed items", u64::MAX)).await?;
        let (blob, bytes) = body::lay(app, arrived).await?;
        fresh.push((blob, bytes));
        spec.inputs.push(Input::whole(blob, old.name.clone()));
        spec.input_bytes += bytes;
    }
    check(&spec)?;
    Ok(spec)
}

/// Whether a run would decompress this: what is said of its items is about what comes of that.
fn is_packed(file: &File, from: u64) -> bool {
    let mut begin = [0; 4];
    let read = file.read_at(&mut begin, from).unwrap_or(0);
    begin[..read].starts_with(&[0x1f, 0x8b]) || begin == [0x28, 0xb5, 0x2f, 0xfd]
}

fn cannot(why: &str) -> Problem {
    Problem::conflict("cannot-retry", format!("the failed items cannot be run again: {why}"))
}

/// Which parts of which inputs failed.
async fn cuts(app: &App, caller: &Caller, look: &Look, job: &JobRow) -> Result<Cuts, Problem> {
    let Some(digest) = job.conclusion.failures else {
        return Err(cannot(if job.is_gone { "what came of the job has gone" } else { "none has failed" }));
    };
    let (blobs, tenant) = (Arc::clone(&app.shared.blobs), caller.tenant.id);
    let internal = |error: std::io::Error| Problem::internal(&error.to_string());
    let opened = blocking(move || blobs.open(tenant, &digest)).await?.map_err(internal)?;
    let lines = opened.ok_or_else(|| internal(std::io::ErrorKind::NotFound.into()))?;
    let sorting = look.lines(lines, Sorting::of(job.spec.clone()), Sorting::see).await?;
    look.part(move || Ok(sorting.done())).await?.map_err(cannot)
}

/// Parts of inputs that are being found in the lines about what failed.
struct Sorting {
    spec: JobSpec,
    cuts: Cuts,
    count: usize,
    /// Why they cannot be.
    wrong: Option<&'static str>,
}

impl Sorting {
    fn of(spec: JobSpec) -> Self {
        Self { spec, cuts: Cuts::new(), count: 0, wrong: None }
    }

    /// Looks at one more line, unless something is wrong.
    fn see(&mut self, line: &[u8]) -> ControlFlow<()> {
        self.wrong = self.add(line).err();
        if self.wrong.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn add(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let spec = &self.spec;
        let failed: Failed = serde_json::from_slice(line).map_err(|_| "the lines about them cannot be read")?;
        let mut named = spec.inputs.iter().enumerate().filter(|(_, input)| input.name == failed.source);
        let (number, first) = named.next().ok_or("one is in no input of the job")?;
        if named.any(|(_, other)| (other.blob, other.range) != (first.blob, first.range)) {
            return Err("two of its inputs have one name");
        }
        // Of a picture that was cut into strips all is run again.
        let (offset, length) = failed.offset.zip(failed.length).unwrap_or((0, u64::MAX));
        let is_line = failed.line.is_some() || spec.parameters.split.as_deref() == Some("lines");
        self.count += 1;
        if self.count > MOST_ITEMS {
            return Err("there are too many");
        }
        self.cuts.entry(number).or_default().push(Cut { offset, length, is_line });
        Ok(())
    }

    /// All lines were seen.
    fn done(mut self) -> Result<Cuts, &'static str> {
        for cuts in self.cuts.values_mut() {
            cuts.sort_unstable();
            cuts.dedup();
        }
        match self.wrong {
            Some(wrong) => Err(wrong),
            None if self.cuts.is_empty() => Err("none has failed"),
            None => Ok(self.cuts),
        }
    }
}

/// Parts of a part of a file, one behind the other.
struct CuttingOut {
    file: File,
    whole: Range,
    cuts: std::vec::IntoIter<Cut>,
    /// The one that is at work: from where to where, and whether it is a line.
    now: Option<(u64, u64, bool)>,
}

impl CuttingOut {
    /// The first line, when that is no item.
    fn header(&mut self) -> io::Result<Vec<u8>> {
        let mut header = Vec::new();
        self.file.seek(SeekFrom::Start(self.whole.0))?;
        let part = (&self.file).take(self.whole.1.saturating_sub(self.whole.0));
        BufReader::new(part).read_until(b'\n', &mut header)?;
        Ok(header)
    }

    /// Some of what comes next, as much as is copied at a time; nothing behind the last.
    fn next(&mut self) -> io::Result<Vec<u8>> {
        let mut part = Vec::new();
        while part.len() < PART {
            let (at, end, is_line) = match self.now.take() {
                Some(now) => now,
                None => {
                    let Some(Cut { offset, length, is_line }) = self.cuts.next() else { break };
                    let at = self.whole.0.saturating_add(offset);
                    (at, at.saturating_add(length).min(self.whole.1), is_line)
                }
            };
            let before = part.len();
            let room = (PART - before) as u64;
            part.resize(before + usize::try_from(end.saturating_sub(at).min(room)).unwrap_or(0), 0);
            let read = self.file.read_at(&mut part[before..], at)?;
            part.truncate(before + read);
            let at = at + read as u64;
            if read > 0 && at < end {
                self.now = Some((at, end, is_line));
            } else if is_line {
                part.push(b'\n');
            }
        }
        Ok(part)
    }
}

/// Hands on what is cut out of a file; before it its first line when that is no item.
async fn cut_out(look: Arc<Look>, mut from: CuttingOut, has_header: bool, parts: Parts) {
    let mut is_first = has_header;
    loop {
        let begins = std::mem::take(&mut is_first);
        let part = look.part(move || {
            let part = if begins { from.header() } else { from.next() };
            part.map(|part| (from, part))
        });
        let Ok((rest, part)) = part.await else { return parts.cut().await };
        from = rest;
        // A file may have nothing in front of its items.
        if part.is_empty() && !begins {
            return;
        }
        if parts.give(part).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::Digest;

    fn spec() -> JobSpec {
        let input = |name: &str| Input::whole(Digest::of(b""), name.into());
        JobSpec::over(vec![input("a"), input("b")])
    }

    fn sort(lines: &str, spec: &JobSpec) -> Result<Cuts, &'static str> {
        let mut sorting = Sorting::of(spec.clone());
        let _ = lines.split_inclusive('\n').try_for_each(|line| sorting.see(line.as_bytes()));
        sorting.done()
    }

    #[test]
    fn what_failed_is_found_in_the_lines_about_it() {
        let lines = [
            r#"{"source": "b", "offset": 9, "length": 2, "line": 3, "verdict": "x"}"#,
            r#"{"source": "b", "offset": 4, "length": 2, "line": null}"#,
            r#"{"source": "a", "offset": null, "length": null, "line": null}"#,
        ];
        let cuts = sort(&lines.join("\n"), &spec()).expect("all can be");
        let cut = |offset, length, is_line| Cut { offset, length, is_line };
        assert_eq!(cuts[&0], [cut(0, u64::MAX, false)]);
        assert_eq!(cuts[&1], [cut(4, 2, false), cut(9, 2, true)]);
        for wrong in ["", "x", r#"{"source": "../a", "offset": 0, "length": 1}"#] {
            sort(wrong, &spec()).expect_err(wrong);
        }
        let mut twins = spec();
        twins.inputs[1].name = "a".into();
        sort(lines[2], &twins).expect("both are the same");
        twins.inputs[1].blob = Digest::of(b"other");
        sort(lines[2], &twins).expect_err("either may be meant");
    }
}
