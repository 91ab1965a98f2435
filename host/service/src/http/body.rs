//! What a stranger sends: taken as it comes, no more than is allowed, no slower than is bearable.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;

use super::{App, Problem, blocking};
use crate::blobs::{Digest, NewBlob};
use crate::store::contents;
use crate::tenant::Caller;

/// Longest text that is taken as a whole: what asks for a job.
const TEXT_BYTES: u64 = 1 << 20;

/// Least that comes in a second, after a while.
const LEAST_RATE: u64 = 16 << 10;

/// How long anything may take, however little it is.
const PATIENCE: Duration = Duration::from_secs(30);

fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Hands the parts of a body over as they come.
async fn parts(
    mut body: Body,
    what: &str,
    most: u64,
    over: impl FnOnce() -> Problem,
    mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<(), Problem> {
    let began = tokio::time::Instant::now();
    let mut taken = 0_u64;
    loop {
        let until = began + PATIENCE + Duration::from_secs(taken / LEAST_RATE);
        let frame = tokio::time::timeout_at(until, body.frame()).await;
        let frame = frame.map_err(|_| {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", format!("{what} came more slowly than is bearable"))
        })?;
        let Some(frame) = frame else { return Ok(()) };
        let frame = frame.map_err(|_| Problem::bad("cut-off", format!("{what} ended before its end")))?;
        let Ok(data) = frame.into_data() else { continue };
        taken += data.len() as u64;
        if taken > most {
            return Err(over());
        }
        take(&data).map_err(|error| Problem::io(&error))?;
    }
}

/// Takes a text as a whole.
pub(super) async fn text(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Problem> {
    whole(headers, body, "the request", TEXT_BYTES).await
}

/// Takes something as a whole, at most so much of it.
pub(super) async fn whole(headers: &HeaderMap, body: Body, what: &str, most: u64) -> Result<Vec<u8>, Problem> {
    plain(headers)?;
    let over = || Problem::too_large(what, most);
    if declared(headers).is_some_and(|declared| declared > most) {
        return Err(over());
    }
    let mut bytes = Vec::new();
    parts(body, what, most, over, |part| {
        bytes.extend_from_slice(part);
        Ok(())
    })
    .await?;
    Ok(bytes)
}

/// Nothing that comes is unpacked, so that nothing can be more than it looks.
fn plain(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "encoded",
            "send it as it is, without a content-encoding",
        )),
        _ => Ok(()),
    }
}

/// Takes a content that is to be kept, at most so much of it and no more than the tenant has room for.
pub(super) async fn content(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
    limit: (&str, u64),
) -> Result<NewBlob, Problem> {
    plain(headers)?;
    let (what, most) = limit;
    let tenant = caller.tenant.id;
    let stored = app.read(move |rows| contents::total(rows, tenant)).await?;
    let quota = caller.tenant.quotas.stored_bytes;
    let room = quota.saturating_sub(stored);
    let full = || Problem::quota("stored_bytes", quota, stored, Duration::from_secs(60));
    if declared(headers).is_some_and(|declared| declared > most) {
        return Err(Problem::too_large(what, most));
    }
    if room == 0 || declared(headers).is_some_and(|declared| declared > room) {
        return Err(full());
    }
    let mut blob = app.shared.blobs.begin(tenant).map_err(|error| Problem::io(&error))?;
    let over = || if room < most { full() } else { Problem::too_large(what, most) };
    parts(body, what, most.min(room), over, |part| blob.write(part)).await?;
    Ok(blob)
}

/// Keeps a content, and has it count.
pub(super) async fn keep(app: &App, caller: &Caller, blob: NewBlob) -> Result<(Digest, u64), Problem> {
    let blobs = std::sync::Arc::clone(&app.shared.blobs);
    let kept = blocking(move || blobs.keep(blob)).await?;
    let (digest, bytes) = kept.map_err(|error| Problem::io(&error))?;
    let tenant = caller.tenant.id;
    app.write(move |rows| contents::add(rows, tenant, &digest, bytes)).await?;
    Ok((digest, bytes))
}
