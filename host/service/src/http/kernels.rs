//! `/v1/kernels`: kernels by digest. One that is stored was looked at in a sandbox and compiled for its tenant alone.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::blobs::other_content;
use super::guard::need;
use super::{App, Problem, blocking, body};
use crate::blobs::{ContentName, ContentNameError, Digest};
use crate::compiled::{self, Unsure};
use crate::job::KernelCheck;
use crate::signature::{Signature, SignatureError};
use crate::store::aliases;
use crate::store::audit::{self, Act};
use crate::store::contents;
use crate::store::kernels::{self, KernelRow, Removed, Signed};
use crate::store::names;
use crate::store::usage::{self, Usage};
use crate::sweep;
use crate::tenant::{Caller, Scope, TenantId};

type Who = Extension<Arc<Caller>>;

/// A signature of minisign, in Base64.
const SIGNATURE: &str = "taskhost-signature";

/// Most rows of one answer.
const MOST: u32 = 100;

fn named(text: &str) -> Result<ContentName, Problem> {
    text.parse().map_err(|error: ContentNameError| Problem::bad("bad-digest", error.to_string()))
}

/// The kernel that a digest or an alias of this tenant means.
pub(super) async fn resolve(app: &App, caller: &Caller, reference: &str) -> Result<KernelRow, Problem> {
    // No name has a colon: it is to be a digest.
    if reference.contains(':') {
        named(reference)?;
    }
    let tenant = caller.tenant.id;
    let name = reference.to_owned();
    let found = app.read(move |rows| {
        let digest = match name.parse() {
            Ok(named) => names::kernel(rows, Some(tenant), named)?,
            Err(_) => aliases::alias_of(rows, tenant, &name)?.and_then(|alias| alias.digest.parse().ok()),
        };
        digest.map(|digest| kernels::find(rows, tenant, &digest)).transpose().map(Option::flatten)
    });
    found.await?.ok_or_else(|| Problem::not_found("kernel"))
}

/// The same, and what a name means besides, with how often it does.
pub(super) async fn resolve_all(
    app: &App,
    caller: &Caller,
    reference: &str,
) -> Result<(KernelRow, Vec<(f64, KernelRow)>), Problem> {
    let kernel = resolve(app, caller, reference).await?;
    let (tenant, name) = (caller.tenant.id, reference.to_owned());
    if name.parse::<ContentName>().is_ok() {
        return Ok((kernel, Vec::new()));
    }
    let others = app.read(move |rows| {
        let alias = aliases::alias_of(rows, tenant, &name)?;
        let mut others = Vec::new();
        for (digest, weight) in alias.into_iter().flat_map(|alias| alias.weights) {
            // A name holds what it means.
            if let Ok(digest) = digest.parse()
                && let Some(other) = kernels::find(rows, tenant, &digest)?
            {
                others.push((weight, other));
            }
        }
        Ok(others)
    });
    Ok((kernel, others.await?))
}

pub(super) fn act(caller: &Caller, action: &'static str, object: impl ToString) -> Act {
    Act {
        tenant: Some(caller.tenant.id),
        actor: caller.key.clone(),
        action,
        object: object.to_string(),
        outcome: "done".into(),
        origin: caller.origin.clone(),
    }
}

/// Refuses a kernel that the operator has blocked.
pub(super) fn refuse_blocked(app: &App, kernel: &Digest) -> Result<(), Problem> {
    app.shared.directory.blocked(kernel).map_or(Ok(()), |reason| Err(Problem::blocked(&reason)))
}

/// Stores a kernel of this digest, `blake3:…` or `sha256:…`: it is looked at behind walls and compiled for its tenant alone.
#[utoipa::path(put, path = "/v1/kernels/{reference}", params(("reference" = String, Path), ("taskhost-signature" = Option<String>, Header, description = "The signature of the kernel, as `minisign -S` writes it, in Base64; where the operator wants one")), request_body(content((Vec<u8> = "application/wasm"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "It was stored already", body = KernelRow), (status = 201, description = "It is stored", body = KernelRow)))]
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(reference): Path<String>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<(StatusCode, Json<KernelRow>), Problem> {
    need(&caller, Scope::KernelsWrite)?;
    let name = named(&reference)?;
    if let Some(kernel) = known(&app, &caller, name).await? {
        return Ok((StatusCode::OK, Json(kernel)));
    }
    store(&app, &caller, &headers, bytes, Some(name)).await
}

/// A kernel that was stored before and needs nothing more: what comes now need not be read to know what it is.
pub(super) async fn known(app: &App, caller: &Caller, name: ContentName) -> Result<Option<KernelRow>, Problem> {
    let tenant = caller.tenant.id;
    let known = app.read(move |rows| names::kernel(rows, Some(tenant), name)).await?;
    let Some(digest) = known else { return Ok(None) };
    refuse_blocked(app, &digest)?;
    Ok(find(app, caller, digest).await?.filter(|kernel| is_vouched_for(app, kernel)))
}

/// Of the head of a request what says who vouches for a kernel, and nothing of what says how it was sent.
pub(super) fn with_signature(headers: &HeaderMap) -> HeaderMap {
    let signature = headers.get(SIGNATURE).map(|signature| (HeaderName::from_static(SIGNATURE), signature.clone()));
    signature.into_iter().collect()
}

/// Stores a kernel; the answer tells its digest, for those who have nothing at hand that computes it.
#[utoipa::path(post, path = "/v1/kernels", params(("taskhost-signature" = Option<String>, Header, description = "The signature of the kernel, as `minisign -S` writes it, in Base64; where the operator wants one")), request_body(content((Vec<u8> = "application/wasm"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "It was stored already", body = KernelRow), (status = 201, description = "It is stored", body = KernelRow)))]
pub(super) async fn post(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    headers: HeaderMap,
    bytes: Body,
) -> Result<(StatusCode, Json<KernelRow>), Problem> {
    need(&caller, Scope::KernelsWrite)?;
    store(&app, &caller, &headers, bytes, None).await
}

/// Refuses a tenant who has used up what it has today: to look at a kernel costs as jobs do.
pub(super) async fn has_time_today(app: &App, caller: &Caller) -> Result<(), Problem> {
    let used_up = app.shared.accounts.used_up(app.shared.store(), &caller.tenant).await;
    let limit = caller.tenant.quotas.cpu_seconds_per_day;
    used_up.map_err(|error| Problem::store(&error))?.map_or(Ok(()), |used| Err(Problem::no_time_today(limit, used)))
}

async fn find(app: &App, caller: &Caller, digest: Digest) -> Result<Option<KernelRow>, Problem> {
    let tenant = caller.tenant.id;
    app.read(move |rows| kernels::find(rows, tenant, &digest)).await
}

/// Takes a kernel that comes by and by, and stores it when it is one.
pub(super) async fn store(
    app: &Arc<App>,
    caller: &Caller,
    headers: &HeaderMap,
    bytes: Body,
    expected: Option<ContentName>,
) -> Result<(StatusCode, Json<KernelRow>), Problem> {
    let signature = signature(app, headers)?;
    has_time_today(app, caller).await?;
    let (limit, owner) = (("the kernel", caller.tenant.quotas.kernel_bytes), caller.tenant.id);
    if app.read(move |rows| kernels::count(rows, owner)).await? >= kernels::MOST {
        return Err(Problem::quota("kernels", kernels::MOST, kernels::MOST, Duration::from_secs(60)));
    }
    // What came counts as such until it counts as kept.
    let (blob, _counted) = body::content(app, caller, headers, bytes, limit).await?.into_parts();
    let digest = blob.digest();
    if expected.is_some_and(|expected| !blob.is(expected)) {
        return Err(other_content(&blob, expected));
    }
    refuse_blocked(app, &digest)?;
    let sha256 = blob.sha256();
    let known = find(app, caller, digest).await?;
    if let Some(kernel) = known.clone().filter(|kernel| is_vouched_for(app, kernel)) {
        let Some(sha256) = sha256.filter(|_| kernel.sha256.is_none()) else {
            return Ok((StatusCode::OK, Json(kernel)));
        };
        // It was stored before that was written down.
        let tenant = caller.tenant.id;
        app.write(move |rows| names::note_kernel(rows, tenant, &digest, &sha256)).await?;
        return Ok((StatusCode::OK, Json(KernelRow { sha256: Some(sha256.to_string()), ..kernel })));
    }
    let (blobs, len, tenant) = (Arc::clone(&app.shared.blobs), blob.len(), caller.tenant.id);
    blocking(move || blobs.keep(blob)).await?.map_err(|error| Problem::io(&error))?;
    let signed = match signature {
        None => None,
        Some(signature) => match vouched_for(app, tenant, digest, signature).await {
            Ok(signed) => Some(signed),
            Err(problem) => {
                super::jobs::remove(app, vec![(tenant, digest)]).await?;
                return Err(problem);
            }
        },
    };
    if let (Some(_), Some(signed)) = (known, signed.clone()) {
        // It was stored before anybody had to vouch for it.
        let act = act(caller, "kernel.sign", digest);
        let kernel = app.write(move |rows| {
            kernels::sign(rows, tenant, &digest, &signed)?;
            if let Some(sha256) = &sha256 {
                names::note_kernel(rows, tenant, &digest, sha256)?;
            }
            audit::add(rows, &act)?;
            kernels::find(rows, tenant, &digest)
        });
        return Ok((StatusCode::OK, Json(kernel.await?.ok_or_else(|| Problem::not_found("kernel"))?)));
    }
    let began = std::time::Instant::now();
    // Also when nobody waits for the answer any more.
    let (compiled, rows) = (app.shared.compiled.clone(), app.shared.store().clone());
    let unsure = Arc::new(Unsure { compiled, store: rows, tenant, kernel: digest });
    let checked = check(app, caller, &unsure).await;
    app.metrics.check.add(began.elapsed());
    let info = match checked {
        Ok(info) => info,
        Err(problem) => {
            super::jobs::remove(app, vec![(tenant, digest)]).await?;
            return Err(problem);
        }
    };
    let act = act(caller, "kernel.put", digest);
    let (blobs, quota) = (Arc::clone(&app.shared.blobs), caller.tenant.quotas.stored_bytes);
    let kept = app.write(move |rows| {
        sweep::check_kept(&*blobs, tenant, &digest)?;
        let stored = contents::total(rows, tenant)?;
        // Others may have come meanwhile; and this one, twice.
        if kernels::find(rows, tenant, &digest)?.is_none() && stored.saturating_add(contents::counted(len)) > quota {
            return Ok(Err(stored));
        }
        kernels::add(rows, tenant, &digest, len, &info)?;
        if let Some(sha256) = &sha256 {
            names::note_kernel(rows, tenant, &digest, sha256)?;
        }
        if let Some(signed) = &signed {
            kernels::sign(rows, tenant, &digest, signed)?;
        }
        audit::add(rows, &act)?;
        Ok(Ok(kernels::find(rows, tenant, &digest)?))
    });
    match kept.await? {
        Ok(kept) => Ok((StatusCode::CREATED, Json(kept.ok_or_else(|| Problem::not_found("kernel"))?))),
        Err(stored) => {
            super::jobs::remove(app, vec![(tenant, digest)]).await?;
            Err(body::full(caller, stored))
        }
    }
}

/// Whether a kernel that is stored needs nobody any more to vouch for it.
fn is_vouched_for(app: &App, kernel: &KernelRow) -> bool {
    app.keys.is_none() || kernel.signed_by.is_some()
}

/// The signature that a kernel comes with, where it needs one: before any of it is taken.
pub(super) fn signature(app: &App, headers: &HeaderMap) -> Result<Option<Signature>, Problem> {
    let Some(keys) = &app.keys else { return Ok(None) };
    let Some(given) = headers.get(SIGNATURE) else {
        let detail = "kernels are taken only with a signature: send the file that `minisign -S` writes as \
                      Taskhost-Signature, in Base64";
        return Err(Problem::unprocessable("signature-missing", detail));
    };
    keys.signature(given.as_bytes()).map(Some).map_err(|error| wrong_signature(&error))
}

fn wrong_signature(error: &SignatureError) -> Problem {
    Problem::unprocessable("signature-wrong", error.to_string())
}

/// Somebody else deleted, or was refused, the same kernel while it came.
fn deleted_meanwhile() -> Problem {
    Problem::busy("the same kernel was deleted while this one came: send it again")
}

/// Looks whether a kernel that is on the disk is what was signed.
async fn vouched_for(app: &App, tenant: TenantId, digest: Digest, signature: Signature) -> Result<Signed, Problem> {
    let blobs = Arc::clone(&app.shared.blobs);
    let opened = blocking(move || blobs.open(tenant, &digest)).await?.map_err(|error| Problem::io(&error))?;
    let file = opened.ok_or_else(deleted_meanwhile)?;
    let checked = blocking(move || signature.check(file).map(|()| Signed { by: signature.key, text: signature.text }));
    checked.await?.map_err(|error| match error {
        SignatureError::Content(why) => Problem::internal(&why),
        error => wrong_signature(&error),
    })
}

/// Looks at a kernel that is stored, in a sandbox.
async fn check(app: &Arc<App>, caller: &Caller, unsure: &Arc<Unsure>) -> Result<Value, Problem> {
    let permit = app.checks.next(caller.tenant.id).await;
    let (tenant, digest, state, unsure) = (caller.tenant.id, unsure.kernel, Arc::clone(app), Arc::clone(unsure));
    let checked = blocking(move || {
        let folder = state.shared.data.join("work").join(format!("kernel-{}", crate::random::word(12)));
        let kernel = folder.join("kernel.wasm");
        let laid = std::fs::create_dir_all(&folder).and_then(|()| state.shared.blobs.lay_out(tenant, &digest, &kernel));
        let checked = match laid {
            Ok(()) => Ok(state.shared.launcher.check(&kernel, &unsure.compiled.used(tenant, &digest))),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(deleted_meanwhile()),
            Err(error) => Ok((KernelCheck::Failed(error.to_string()), Duration::ZERO)),
        };
        // What remains is removed when a server starts.
        let _ = std::fs::remove_dir_all(&folder);
        unsure.compiled.trim(tenant, compiled::MOST);
        checked
    });
    let (checked, used) = checked.await??;
    drop(permit);
    // Whoever has much looked at has the less of everything else.
    app.shared.know(tenant);
    app.shared.fair().charge(tenant, used.as_secs_f64());
    let cpu_ms = u64::try_from(used.as_millis()).unwrap_or(u64::MAX);
    let kernel = digest.to_string();
    let (accounts, store) = (app.shared.accounts.clone(), app.shared.store().clone());
    let note =
        move |rows: &rusqlite::Connection| usage::add(rows, tenant, &kernel, Usage { cpu_ms, ..Usage::default() });
    blocking(move || accounts.settle(&store, tenant, note)).await?.map_err(|error| Problem::store(&error))?;
    match checked {
        KernelCheck::Fits(info) => Ok(info),
        KernelCheck::Refused(why) => Err(Problem::unprocessable("kernel-refused", why)),
        KernelCheck::Failed(why) => Err(Problem::internal(&why)),
    }
}

/// What a kernel is.
#[utoipa::path(get, path = "/v1/kernels/{reference}", params(("reference" = String, Path)), responses((status = 200, description = "The kernel", body = KernelRow)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(reference): Path<String>,
) -> Result<Json<KernelRow>, Problem> {
    need(&caller, Scope::KernelsRead)?;
    Ok(Json(resolve(&app, &caller, &reference).await?))
}

/// Where a list goes on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct After {
    /// What the list before called `next`.
    #[serde(default)]
    cursor: String,
}

/// Some kernels.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Kernels)]
pub(super) struct KernelsView {
    kernels: Vec<KernelRow>,
    /// The cursor of those behind them.
    next: Option<String>,
}

/// Kernels, by digest.
#[utoipa::path(get, path = "/v1/kernels", params(After), responses((status = 200, description = "Kernels", body = KernelsView)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Query(After { cursor }): Query<After>,
) -> Result<Json<KernelsView>, Problem> {
    need(&caller, Scope::KernelsRead)?;
    let tenant = caller.tenant.id;
    let (kernels, is_more) = app.read(move |rows| kernels::list(rows, tenant, &cursor, MOST)).await?;
    let next = kernels.last().filter(|_| is_more).map(|last| last.digest.clone());
    Ok(Json(KernelsView { kernels, next }))
}

/// Forgets a kernel, unless a name means it or a job that is not over needs it.
#[utoipa::path(delete, path = "/v1/kernels/{reference}", params(("reference" = String, Path)), responses((status = 204, description = "It is gone")))]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(reference): Path<String>,
) -> Result<StatusCode, Problem> {
    need(&caller, Scope::KernelsWrite)?;
    let (tenant, name) = (caller.tenant.id, named(&reference)?);
    let digest = app.read(move |rows| names::kernel(rows, Some(tenant), name)).await?;
    let digest = digest.ok_or_else(|| Problem::not_found("kernel"))?;
    let act = act(&caller, "kernel.delete", digest);
    let removed = app.write(move |rows| {
        let removed = kernels::remove(rows, tenant, &digest)?;
        if removed == Removed::Gone {
            audit::add(rows, &act)?;
        }
        Ok(removed)
    });
    let removed = removed.await;
    app.meanings.changed();
    match removed? {
        Removed::Unknown => Err(Problem::not_found("kernel")),
        Removed::Held => {
            Err(Problem::conflict("in-use", "an alias means this kernel, or a job that is not over needs it"))
        }
        Removed::Gone => {
            let calls = Arc::clone(&app.calls);
            blocking(move || calls.forget(tenant, &digest)).await?;
            let compiled = app.shared.compiled.clone();
            app.write(move |rows| compiled.forget(rows, tenant, &digest)).await?;
            super::jobs::remove(&app, vec![(tenant, digest)]).await?;
            Ok(StatusCode::NO_CONTENT)
        }
    }
}
