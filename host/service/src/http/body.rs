//! What a stranger sends: taken as it comes, no more than is allowed, no slower than is bearable.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{App, Problem, blocking, uploads};
use crate::blobs::{Blobs, Digest, NewBlob};
use crate::store::contents::{self, Stay};
use crate::store::names;
use crate::store::uploads as rows_of_parts;
use crate::sweep;
use crate::tenant::{Caller, TenantId};

/// Longest text that is taken as a whole: what asks for a job.
const TEXT_BYTES: u64 = 1 << 20;

/// Least that comes in a second, and that is taken of an answer, after a while.
pub(super) const LEAST_RATE: u64 = 16 << 10;

/// How long anything may take, however little it is.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes that are written at a time.
pub(super) const WRITTEN: usize = 256 << 10;

pub(super) fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A body that comes by and by: at most so many bytes, and not too slowly.
pub(super) struct Coming<'a> {
    body: Body,
    what: &'a str,
    most: u64,
    taken: u64,
    began: Instant,
    patience: Duration,
}

impl<'a> Coming<'a> {
    pub(super) fn new(body: Body, what: &'a str, most: u64) -> Self {
        Self { body, what, most, taken: 0, began: Instant::now(), patience: PATIENCE }
    }

    /// What comes next; nothing at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let what = self.what;
        loop {
            let until = self.began + self.patience + Duration::from_secs(self.taken / LEAST_RATE);
            let frame = tokio::time::timeout_at(until, self.body.frame()).await;
            let frame = frame.map_err(|_| {
                let detail = format!("{what} came more slowly than is bearable");
                Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", detail)
            })?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|_| Problem::bad("cut-off", format!("{what} ended before its end")))?;
            let Ok(data) = frame.into_data() else { continue };
            self.taken += data.len() as u64;
            if self.taken > self.most {
                return Err(Problem::too_large(what, self.most));
            }
            return Ok(Some(data));
        }
    }
}

/// Takes a text as a whole.
pub(super) async fn text(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Problem> {
    whole(headers, body, "the request", TEXT_BYTES).await
}

/// The same, understood.
pub(super) async fn said<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Problem> {
    object(&text(headers, body).await?)
}

/// What a request says, as JSON. It is said by names: a list of values in their order is no such thing.
pub(super) fn object<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::bad("bad-request", "what is asked for is said in JSON, by names: {…}"));
    }
    // Also what is said twice is found by this, and where it stands.
    serde_json::from_slice(text).map_err(|error| Problem::bad("bad-request", in_words(&error.to_string())))
}

/// What is wrong with a text, without words of this program: whoever reads it need not know what its numbers are called.
fn in_words(error: &str) -> String {
    const WHOLE: [&str; 10] = ["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "usize", "isize"];
    let Some((before, expected)) = error.split_once("expected ") else { return error.to_owned() };
    let (kind, after) = expected.split_at(expected.find(" at line").unwrap_or(expected.len()));
    let kind = match kind {
        kind if WHOLE.contains(&kind) => "a whole number that is not too large",
        kind if kind.starts_with("struct ") => "an object: {…}",
        "f32" | "f64" => "a number",
        kind => kind,
    };
    format!("{before}expected {kind}{after}")
}

/// Takes something as a whole, at most so much of it.
pub(super) async fn whole(headers: &HeaderMap, body: Body, what: &str, most: u64) -> Result<Vec<u8>, Problem> {
    plain(headers)?;
    if declared(headers).is_some_and(|declared| declared > most) {
        return Err(Problem::too_large(what, most));
    }
    let (mut coming, mut bytes) = (Coming::new(body, what, most), Vec::new());
    while let Some(part) = coming.next().await? {
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

/// Nothing that comes is unpacked, so that nothing can be more than it looks.
pub(super) fn plain(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "encoded",
            "send it as it is, without a content-encoding",
        )),
        _ => Ok(()),
    }
}

/// Bytes of each tenant that have come and are not kept yet: many that come at once have no more room than one.
#[derive(Clone, Debug, Default)]
pub(super) struct Incoming(Arc<Mutex<HashMap<TenantId, u64>>>);

impl Incoming {
    /// How many there are of a tenant.
    pub(super) fn bytes(&self, tenant: TenantId) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant).copied().unwrap_or(0)
    }
}

/// Bytes that have come, counted as long as this lives.
#[derive(Debug)]
struct Counted {
    incoming: Incoming,
    tenant: TenantId,
    bytes: u64,
}

impl Counted {
    fn new(incoming: &Incoming, tenant: TenantId) -> Self {
        Self { incoming: incoming.clone(), tenant, bytes: 0 }
    }

    /// Counts more, and says how many there are of this tenant.
    fn add(&mut self, bytes: u64) -> u64 {
        self.bytes += bytes;
        let mut all = self.incoming.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.entry(self.tenant).or_default();
        *own += bytes;
        *own
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut all = self.incoming.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = all.get_mut(&self.tenant) {
            *own = own.saturating_sub(self.bytes);
            if *own == 0 {
                all.remove(&self.tenant);
            }
        }
    }
}

/// A content that has come, and is not kept yet.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) blob: NewBlob,
    in_parts: bool,
    _counted: Counted,
}

impl Arrived {
    /// One that came in parts, and counts already.
    pub(super) fn counted(blob: NewBlob, app: &App, tenant: TenantId) -> Self {
        Self { blob, in_parts: true, _counted: Counted::new(&app.incoming, tenant) }
    }

    /// The content, and what makes it count as long as it is held.
    pub(super) fn into_parts(self) -> (NewBlob, impl Send + use<>) {
        (self.blob, self._counted)
    }
}

/// Takes a content that is to be kept, at most so much of it and no more than the tenant has room for.
pub(super) async fn content(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
    limit: (&str, u64),
) -> Result<Arrived, Problem> {
    plain(headers)?;
    if headers.contains_key(header::CONTENT_RANGE) {
        // It would be taken for all of it.
        return Err(Problem::bad("bad-range", "only PUT /v1/blobs/{digest} takes a content in parts"));
    }
    let (what, most) = limit;
    let tenant = caller.tenant.id;
    let stored = app.read(move |rows| contents::total(rows, tenant)).await?;
    let room = caller.tenant.quotas.stored_bytes.saturating_sub(stored);
    if declared(headers).is_some_and(|declared| declared > most) {
        return Err(Problem::too_large(what, most));
    }
    if room == 0 || declared(headers).is_some_and(|declared| declared > room) {
        return Err(full(caller, stored));
    }
    let blobs = Arc::clone(&app.shared.blobs);
    let begun = blocking(move || blobs.begin(tenant)).await?;
    let mut blob = begun.map_err(|error| Problem::io(&error))?;
    let mut counted = Counted::new(&app.incoming, tenant);
    let (mut coming, mut waiting) = (Coming::new(body, what, most), Vec::new());
    while let Some(part) = coming.next().await? {
        if counted.add(part.len() as u64) > room {
            return Err(full(caller, stored));
        }
        waiting.extend_from_slice(&part);
        if waiting.len() >= WRITTEN {
            blob = write(blob, std::mem::take(&mut waiting)).await?;
        }
    }
    let blob = write(blob, waiting).await?;
    Ok(Arrived { blob, in_parts: false, _counted: counted })
}

/// Writes what has come beside the thread that has the connections: a slow disk is slow for whoever writes alone.
async fn write(mut blob: NewBlob, bytes: Vec<u8>) -> Result<NewBlob, Problem> {
    let written = blocking(move || blob.write(&bytes).map(|()| blob)).await?;
    written.map_err(|error| Problem::io(&error))
}

pub(super) fn full(caller: &Caller, stored: u64) -> Problem {
    over_quota(caller.tenant.quotas.stored_bytes, stored)
}

fn over_quota(quota: u64, stored: u64) -> Problem {
    Problem::quota("stored_bytes", quota, stored, Duration::from_secs(60))
}

/// Keeps a content, and has it count.
pub(super) async fn keep(app: &App, caller: &Caller, arrived: Arrived, stay: Stay) -> Result<(Digest, u64), Problem> {
    let (blobs, tenant) = (Arc::clone(&app.shared.blobs), caller.tenant.id);
    let Arrived { blob, in_parts, _counted } = arrived;
    let sha256 = blob.sha256();
    let kept = blocking(move || blobs.keep(blob)).await?;
    let (digest, bytes) = kept.map_err(|error| Problem::io(&error))?;
    let (blobs, quota) = (Arc::clone(&app.shared.blobs), caller.tenant.quotas.stored_bytes);
    let written = app.write(move |rows| {
        sweep::check_kept(&*blobs, tenant, &digest)?;
        if in_parts {
            // From now on it counts as what it is.
            rows_of_parts::remove(rows, tenant, &digest)?;
        }
        let stored = contents::total(rows, tenant)?;
        // Others may have come meanwhile.
        if contents::bytes(rows, tenant, &digest)?.is_none() && stored.saturating_add(contents::counted(bytes)) > quota
        {
            return Ok(Some(stored));
        }
        contents::add(rows, tenant, &digest, bytes, stay)?;
        if let Some(sha256) = &sha256 {
            names::note_content(rows, tenant, &digest, sha256)?;
        }
        Ok(None)
    });
    if let Some(stored) = written.await? {
        super::jobs::remove(app, vec![(tenant, digest)]).await?;
        return Err(full(caller, stored));
    }
    if !in_parts {
        // What has come of the same in parts is needed no more.
        uploads::give_up(app, tenant, digest).await?;
    }
    Ok((digest, bytes))
}

/// Contents that are on the disk, and count for nobody yet.
pub(super) type Fresh = Vec<(Digest, u64)>;

/// Lays short contents down, all in one go beside the thread that has the connections. They count, and are safe from being removed,
/// when [`count`] says so in the transaction that needs them.
pub(super) async fn lay_down(app: &App, caller: &Caller, texts: Vec<String>) -> Result<Fresh, Problem> {
    if texts.is_empty() {
        return Ok(Fresh::new());
    }
    let (blobs, store) = (Arc::clone(&app.shared.blobs), app.shared.directory.store().clone());
    let (tenant, quota) = (caller.tenant.id, caller.tenant.quotas.stored_bytes);
    let more: u64 = texts.iter().map(|text| text.len() as u64).sum();
    blocking(move || {
        let stored = store.read(|rows| contents::total(rows, tenant)).map_err(|error| Problem::store(&error))?;
        if stored >= quota || more > quota - stored {
            return Err(over_quota(quota, stored));
        }
        let lay = |text: String| {
            let mut blob = blobs.begin(tenant)?;
            blob.write(text.as_bytes())?;
            blobs.keep(blob)
        };
        let mut fresh = Fresh::new();
        for text in texts {
            match lay(text) {
                Ok(laid) => fresh.push(laid),
                Err(error) => {
                    let unused = fresh.iter().map(|(digest, _)| (tenant, *digest)).collect();
                    sweep::remove(&store, &blobs, unused).map_err(|error| Problem::store(&error))?;
                    return Err(Problem::io(&error));
                }
            }
        }
        Ok(fresh)
    })
    .await?
}

/// The same for a content that has come.
pub(super) async fn lay(app: &App, arrived: Arrived) -> Result<(Digest, u64), Problem> {
    let (blobs, (blob, _counted)) = (Arc::clone(&app.shared.blobs), arrived.into_parts());
    blocking(move || blobs.keep(blob)).await?.map_err(|error| Problem::io(&error))
}

/// Has contents count that were laid down, as long as a job needs them. Says how much is stored when there is no room for all; then
/// none counts.
pub(super) fn count(
    rows: &rusqlite::Connection,
    blobs: &dyn Blobs,
    tenant: TenantId,
    quota: u64,
    fresh: &Fresh,
) -> crate::store::Result<Option<u64>> {
    let mut new = HashMap::new();
    for (digest, bytes) in fresh {
        sweep::check_kept(blobs, tenant, digest)?;
        if contents::bytes(rows, tenant, digest)?.is_none() {
            new.insert(*digest, contents::counted(*bytes));
        }
    }
    if !new.is_empty() {
        let stored = contents::total(rows, tenant)?;
        if stored.saturating_add(new.values().sum()) > quota {
            return Ok(Some(stored));
        }
    }
    for (digest, bytes) in fresh {
        contents::add(rows, tenant, digest, *bytes, Stay::WhileNeeded)?;
    }
    Ok(None)
}

/// Removes contents that were laid down for something that is refused, as far as nobody has them.
pub(super) async fn forget(app: &App, caller: &Caller, fresh: &Fresh) {
    let unused: BTreeSet<Digest> = fresh.iter().map(|(digest, _)| *digest).collect();
    let unused = unused.into_iter().map(|digest| (caller.tenant.id, digest)).collect();
    // Those that cannot be removed now are found another day; why it is refused is to be told.
    let _ = super::jobs::remove(app, unused).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::stream::stream;

    #[test]
    fn what_comes_drop_by_drop_is_given_up() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (drops, body) = stream();
            // One is there already, however late it is looked at.
            drops.give("drop").await.expect("there is room");
            tokio::spawn(async move {
                // As long as somebody listens: each is in time by itself.
                while drops.give("drop").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
            let mut coming = Coming { patience: Duration::from_millis(30), ..Coming::new(body, "it", u64::MAX) };
            let result = loop {
                match coming.next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("it never ends by itself"),
                    Err(problem) => break problem,
                }
            };
            let taken = coming.taken;
            let status = axum::response::IntoResponse::into_response(result).status();
            assert_eq!((status, taken > 0), (StatusCode::REQUEST_TIMEOUT, true), "{taken}");
        });
    }

    #[test]
    fn what_comes_at_once_is_counted_together() {
        let incoming = Incoming::default();
        let (mut one, mut other) = (Counted::new(&incoming, TenantId(1)), Counted::new(&incoming, TenantId(1)));
        assert_eq!((one.add(5), other.add(7), Counted::new(&incoming, TenantId(2)).add(1)), (5, 12, 1));
        assert_eq!((incoming.bytes(TenantId(1)), incoming.bytes(TenantId(2))), (12, 0));
        drop(one);
        assert_eq!(other.add(1), 8);
        drop(other);
        assert!(incoming.0.lock().expect("whole").is_empty());
    }
}
