//! `/v1/blobs`: inputs that are stored before a job needs them, and everything that is read by its digest.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use super::guard::need;
use super::kernels::act;
use super::uploads::{self, UploadView};
use super::{App, Problem, blocking, body, range};
use crate::blobs::{ContentName, ContentNameError, Digest, NewBlob, Sha256};
use crate::store::contents::{self, Removed, Stay};
use crate::store::{audit, names};
use crate::tenant::{Caller, Scope};

type Who = Extension<Arc<Caller>>;

fn named(text: &str) -> Result<ContentName, Problem> {
    text.parse().map_err(|error: ContentNameError| Problem::bad("bad-digest", error.to_string()))
}

/// What a content is kept under, whatever it is called.
async fn digest(app: &App, caller: &Caller, name: ContentName) -> Result<Digest, Problem> {
    let tenant = caller.tenant.id;
    let found = match name {
        ContentName::Blake3(digest) => Some(digest),
        ContentName::Sha256(_) => app.read(move |rows| names::content(rows, tenant, name)).await?,
    };
    found.ok_or_else(|| Problem::not_found("content"))
}

/// What came is another content than was named: which one, in the terms in which it was named.
pub(super) fn other_content(blob: &NewBlob, named: Option<ContentName>) -> Problem {
    let found = match (named, blob.sha256()) {
        (Some(ContentName::Sha256(_)), Some(sha256)) => sha256.to_string(),
        _ => blob.digest().to_string(),
    };
    Problem::unprocessable("digest-mismatch", format!("what came is {found}"))
}

/// Takes a content that comes by and by, and keeps it.
pub(super) async fn store(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    bytes: Body,
    expected: Option<ContentName>,
) -> Result<(StatusCode, Json<BlobView>), Problem> {
    need(caller, Scope::JobsWrite)?;
    let limit = ("the content", u64::MAX);
    let arrived = body::content(app, caller, headers, bytes, limit).await?;
    if let Some(expected) = expected
        && !arrived.blob.is(expected)
    {
        return Err(other_content(&arrived.blob, Some(expected)));
    }
    let (digest, bytes) = body::keep(app, caller, arrived, Stay::UntilDeleted).await?;
    Ok((StatusCode::CREATED, Json(BlobView { digest: digest.to_string(), bytes })))
}

/// A content.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Blob)]
pub(super) struct BlobView {
    pub(super) digest: String,
    pub(super) bytes: u64,
}

/// Stores a content; the answer tells its digest. It stays until somebody deletes it.
#[utoipa::path(post, path = "/v1/blobs", request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, description = "It is stored", body = BlobView)))]
pub(super) async fn post(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    headers: HeaderMap,
    bytes: Body,
) -> Result<(StatusCode, Json<BlobView>), Problem> {
    store(&app, &caller, &headers, bytes, None).await
}

/// Stores a content of this digest (`blake3:…` or `sha256:…`); with `Content-Range` a part of it, which goes on where the last one ended (`Upload-Offset`).
#[utoipa::path(put, path = "/v1/blobs/{digest}", params(("digest" = String, Path), ("content-range" = Option<String>, Header, description = "`bytes FROM-LAST/ALL`")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, description = "It is stored", body = BlobView), (status = 202, description = "A part of it is", body = UploadView)))]
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(name): Path<String>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<Response, Problem> {
    let name = named(&name)?;
    need(&caller, Scope::JobsWrite)?;
    match (uploads::range(&headers)?, name) {
        (Some(range), ContentName::Blake3(digest)) => uploads::put(&app, &caller, &headers, bytes, digest, range).await,
        (Some(_), ContentName::Sha256(_)) => {
            Err(Problem::bad("bad-range", "a content that comes in parts is called by its blake3:"))
        }
        (None, name) => Ok(store(&app, &caller, &headers, bytes, Some(name)).await?.into_response()),
    }
}

/// A content, or a part of it (`Range`). Of one that is not there, but of which a part has come, the answer says how much
/// (`Upload-Offset`); whoever stores contents may ask that with `HEAD`.
#[utoipa::path(get, path = "/v1/blobs/{digest}", params(("digest" = String, Path), ("range" = Option<String>, Header, description = "`bytes=FROM-LAST`, `bytes=FROM-` or `bytes=-LENGTH`: that part of it")),
    responses((status = 200, description = "The content", body = Vec<u8>, content_type = "application/octet-stream"), (status = 206, description = "A part of it", body = Vec<u8>, content_type = "application/octet-stream")))]
pub(super) async fn get(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(name): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !(method == Method::HEAD && caller.may(Scope::JobsWrite)) {
        need(&caller, Scope::ResultsRead)?;
    }
    let digest = digest(&app, &caller, named(&name)?).await?;
    match send(&app, &caller, &headers, &digest, "application/octet-stream").await {
        Err(problem) if problem.is_not_found() => uploads::missing(&app, &caller, digest, problem).await,
        sent => sent,
    }
}

/// Answers with a content of the caller's.
pub(super) async fn send(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    digest: &Digest,
    content_type: &'static str,
) -> Result<Response, Problem> {
    let (blobs, tenant, digest) = (Arc::clone(&app.shared.blobs), caller.tenant.id, *digest);
    let known = app.read(move |rows| {
        let is_there = contents::bytes(rows, tenant, &digest)?.is_some();
        Ok(if is_there { Some(names::sha256_of(rows, tenant, &digest)?) } else { None })
    });
    let sha256 = known.await?.ok_or_else(|| Problem::not_found("content"))?;
    let file = blocking(move || blobs.open(tenant, &digest)).await?;
    let file = file.map_err(|error| Problem::internal(&error.to_string()))?;
    let file = file.ok_or_else(|| Problem::not_found("content"))?;
    let mut response = range::send(headers, &digest, file, content_type)?;
    if let Some(sha256) = sha256 {
        tell_digests(&mut response, &sha256);
    }
    Ok(response)
}

/// Says what the content is, so that whoever reads it can see that it came as it is kept (RFC 9530).
fn tell_digests(response: &mut Response, sha256: &Sha256) {
    let Ok(value) = HeaderValue::from_str(&format!("sha-256=:{}:", STANDARD.encode(sha256.0))) else { return };
    let is_all = response.status() == StatusCode::OK;
    let headers = response.headers_mut();
    // Of a part this is the digest of all that it is a part of; that of the part itself would have to be computed each time.
    headers.insert("repr-digest", value.clone());
    if is_all {
        headers.insert("content-digest", value);
    }
}

/// Deletes a content, unless a job needs it or has made it; or what has come of one that comes in parts.
#[utoipa::path(delete, path = "/v1/blobs/{digest}", params(("digest" = String, Path)), responses((status = 204, description = "It is gone")))]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    need(&caller, Scope::JobsWrite)?;
    let (tenant, digest) = (caller.tenant.id, digest(&app, &caller, named(&name)?).await?);
    let act = act(&caller, "blob.delete", digest);
    let removed = app.write(move |rows| {
        let removed = contents::remove(rows, tenant, &digest)?;
        if removed == Removed::Gone {
            audit::add(rows, &act)?;
        }
        Ok(removed)
    });
    match removed.await? {
        Removed::Unknown if uploads::give_up(&app, tenant, digest).await? => Ok(StatusCode::NO_CONTENT),
        Removed::Unknown => Err(Problem::not_found("content")),
        Removed::Held => Err(Problem::conflict("in-use", "a job needs it, or has made it")),
        Removed::Gone => {
            super::jobs::remove(&app, vec![(tenant, digest)]).await?;
            Ok(StatusCode::NO_CONTENT)
        }
    }
}
