//! `POST /v1/kernels:pull`: a kernel is fetched from a registry that the operator lists, and stored like one that was sent.

use std::io::Read as _;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;

use super::guard::need;
use super::kernels::{self, act};
use super::stream::{Parts, stream};
use super::{App, Problem, blocking, body};
use crate::blobs::{ContentName, Sha256};
use crate::registry::{self, Fetched, Fetcher, Layer, MANIFEST, MANIFEST_BYTES, NoReference, Reference, Registry};
use crate::store::audit;
use crate::store::kernels::KernelRow;
use crate::tenant::{Caller, Scope};
use crate::webhook::Undelivered;

/// Bytes that are read at a time.
const PART: usize = 256 << 10;

/// Bytes of what gives a token.
const TOKEN_BYTES: u64 = 64 << 10;

/// What is to be fetched.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = KernelInRegistry)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// `oci://HOST/NAME@sha256:…`: the digest is that of its manifest, and a tag is none.
    r#ref: String,
}

/// Fetches a kernel from a registry that the operator lists, and stores it as one that was sent. It is one layer of `application/wasm`;
/// whoever may read it there has to be everybody.
#[utoipa::path(post, path = "/v1/kernels:pull", params(("taskhost-signature" = Option<String>, Header, description = "The signature of the kernel, as `minisign -S` writes it, in Base64; where the operator wants one")),
    request_body = Asked,
    responses((status = 200, description = "It was stored already", body = KernelRow), (status = 201, description = "It is stored", body = KernelRow)))]
pub(super) async fn pull(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<(StatusCode, Json<KernelRow>), Problem> {
    need(&caller, Scope::KernelsWrite)?;
    // Before anybody is asked for anything.
    kernels::signature(&app, &headers)?;
    let asked: Asked = body::said(&headers, bytes).await?;
    let reference: Reference = asked.r#ref.parse().map_err(|error: NoReference| unfit(error.to_string()))?;
    let registry = reference.registry(&app.registries.listed).cloned().ok_or_else(|| {
        let detail = format!("the operator does not list the registry {}", reference.host);
        Problem::new(StatusCode::FORBIDDEN, "registry-not-listed", detail)
    })?;
    let turn = app.pulls.next(caller.tenant.id).await;
    let (fetcher, most) = (Arc::clone(&app.registries.fetcher), caller.tenant.quotas.kernel_bytes);
    let (wanted, at) = (reference.clone(), registry.clone());
    let (layer, token) = blocking(move || layer(&*fetcher, &wanted, &at, most)).await??;
    let name = ContentName::Sha256(layer.sha256);
    if let Some(kernel) = kernels::known(&app, &caller, name).await? {
        return Ok((StatusCode::OK, Json(kernel)));
    }
    let (parts, coming) = stream();
    let (fetcher, url) = (Arc::clone(&app.registries.fetcher), reference.layer_url(&registry, &layer.sha256));
    let runtime = tokio::runtime::Handle::current();
    let fetched = tokio::task::spawn_blocking(move || hand_on(&*fetcher, &url, token.as_deref(), parts, &runtime));
    let stored = kernels::store(&app, &caller, &kernels::with_signature(&headers), coming, Some(name)).await;
    // Why it did not come says more than that it did not.
    if stored.is_err() {
        fetched.await.map_err(|error| Problem::internal(&error.to_string()))??;
    }
    let stored = stored?;
    drop(turn);
    let act = act(&caller, "kernel.pull", &asked.r#ref);
    app.write(move |rows| audit::add(rows, &act)).await?;
    Ok(stored)
}

fn unfit(why: String) -> Problem {
    Problem::unprocessable("bad-reference", why)
}

/// The registry did not do what is asked of it.
fn failed(why: String) -> Problem {
    Problem::new(StatusCode::BAD_GATEWAY, "registry-failed", why)
}

fn undelivered(error: Undelivered) -> Problem {
    failed(format!("the registry does not answer: {error}"))
}

/// Which layer is the kernel, and the token with which it may be read, when one is needed. Waits for the registry.
fn layer(
    fetcher: &dyn Fetcher,
    reference: &Reference,
    registry: &Registry,
    most: u64,
) -> Result<(Layer, Option<String>), Problem> {
    let url = reference.manifest_url(registry);
    let mut fetched = fetcher.fetch(&url, MANIFEST, None).map_err(undelivered)?;
    let mut token = None;
    if fetched.status == 401 {
        // Whoever asks for one is given it, when everybody may read.
        token = Some(permission(fetcher, &fetched)?);
        fetched = fetcher.fetch(&url, MANIFEST, token.as_deref()).map_err(undelivered)?;
    }
    let manifest = whole(fetched, "the manifest", MANIFEST_BYTES)?;
    if Sha256::of(&manifest) != reference.manifest {
        return Err(Problem::unprocessable("digest-mismatch", "the manifest is not what its digest says"));
    }
    let layer = registry::layer(&manifest).map_err(|error| unfit(error.to_string()))?;
    if layer.bytes > most {
        return Err(Problem::too_large("the kernel", most));
    }
    Ok((layer, token))
}

/// The token that a registry wants to be shown.
fn permission(fetcher: &dyn Fetcher, refused: &Fetched) -> Result<String, Problem> {
    let url = refused.challenge.as_deref().and_then(registry::token_url);
    let url = url.ok_or_else(|| failed("the registry wants a password, and none is shown to it".into()))?;
    let answer = fetcher.fetch(&url, "application/json", None).map_err(undelivered)?;
    let answer = whole(answer, "the token", TOKEN_BYTES)?;
    registry::token(&answer).ok_or_else(|| failed("the registry gives no token to read with".into()))
}

/// All of an answer that is a good one, as far as it may be long.
fn whole(fetched: Fetched, what: &str, most: u64) -> Result<Vec<u8>, Problem> {
    good(fetched.status)?;
    let mut bytes = Vec::new();
    let read = fetched.body.take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| failed(format!("{what} cannot be read: {error}")))?;
    if bytes.len() as u64 > most { Err(Problem::too_large(what, most)) } else { Ok(bytes) }
}

fn good(status: u16) -> Result<(), Problem> {
    match status {
        200..=299 => Ok(()),
        401 | 403 => Err(failed("not everybody may read this in the registry".into())),
        404 => Err(unfit("the registry has no such kernel".into())),
        status => Err(failed(format!("the registry answers {status}"))),
    }
}

/// Hands on what comes of a layer, as it comes. Waits for the registry.
fn hand_on(
    fetcher: &dyn Fetcher,
    url: &str,
    token: Option<&str>,
    parts: Parts,
    runtime: &tokio::runtime::Handle,
) -> Result<(), Problem> {
    let read = || {
        let fetched = fetcher.fetch(url, "application/octet-stream", token).map_err(undelivered)?;
        good(fetched.status)?;
        let (mut body, mut buffer) = (fetched.body, vec![0; PART]);
        loop {
            let read = body.read(&mut buffer).map_err(|error| failed(format!("the kernel cannot be read: {error}")))?;
            // Whoever takes it says itself why it takes no more.
            if read == 0 || runtime.block_on(parts.give(buffer[..read].to_vec())).is_err() {
                return Ok(());
            }
        }
    };
    let result = read();
    if result.is_err() {
        runtime.block_on(parts.cut());
    }
    result
}
