//! `POST /v1/kernels:pull` and `POST /v1/blobs:pull`: a kernel is fetched from a registry that the operator lists, or a content from a
//! source, and stored like one that was sent.

use std::io::Read as _;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;

use super::blobs::{self, BlobView};
use super::carried_out::to_its_end;
use super::elsewhere::Server;
use super::guard::need;
use super::kernels::{self, act};
use super::stream::stream;
use super::{App, Problem, blocking, body};
use crate::blobs::{ContentName, Sha256};
use crate::fetch::{ContentPlace, Fetched, Fetcher, Get, Host, NoPlace};
use crate::registry::{self, Layer, MANIFEST, MANIFEST_BYTES, NoReference, Reference};
use crate::store::audit;
use crate::store::kernels::KernelRow;
use crate::tenant::{Caller, Scope};

/// Who has kernels.
const SERVER: Server = Server::Registry;

/// What a content may be.
const ANYTHING: &str = "application/octet-stream, */*";

/// Signs of a place that are written down.
const SHOWN: usize = 300;

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
    let reference: Reference = asked.r#ref.parse().map_err(|error: NoReference| SERVER.unfit(error.to_string()))?;
    let registry = reference.registry(&app.elsewhere.registries).cloned();
    let registry = registry.ok_or_else(|| SERVER.not_listed(&reference.host))?;
    let turn = app.pulls.next(caller.tenant.id).await;
    let kernel = Pulled { reference, registry, written: asked.r#ref };
    to_its_end(async move {
        let _turn = turn;
        fetch_kernel(&app, &caller, &headers, kernel).await
    })
    .await
}

/// A kernel in a registry that is listed.
struct Pulled {
    reference: Reference,
    registry: Host,
    /// As it was asked for.
    written: String,
}

async fn fetch_kernel(
    app: &Arc<App>,
    caller: &Caller,
    headers: &HeaderMap,
    kernel: Pulled,
) -> Result<(StatusCode, Json<KernelRow>), Problem> {
    let Pulled { reference, registry, written } = kernel;
    let (fetcher, most) = (Arc::clone(&app.elsewhere.fetcher), caller.tenant.quotas.kernel_bytes);
    let (wanted, at) = (reference.clone(), registry.clone());
    let (layer, token) = blocking(move || layer(&*fetcher, &wanted, &at, most)).await??;
    let name = ContentName::Sha256(layer.sha256);
    if let Some(kernel) = kernels::known(app, caller, name).await? {
        return Ok((StatusCode::OK, Json(kernel)));
    }
    kernels::has_time_today(app, caller).await?;
    let (parts, coming) = stream();
    let (fetcher, url) = (Arc::clone(&app.elsewhere.fetcher), reference.layer_url(&registry, &layer.sha256));
    let runtime = tokio::runtime::Handle::current();
    let fetched = tokio::task::spawn_blocking(move || {
        let wanted = Get { url: &url, form: ANYTHING, token: token.as_deref(), elsewhere: true };
        SERVER.hand_on(&*fetcher, wanted, parts, &runtime)
    });
    let stored = kernels::store(app, caller, &kernels::with_signature(headers), coming, Some(name)).await;
    // Why it did not come says more than that it did not.
    if stored.is_err() {
        fetched.await.map_err(|error| Problem::internal(&error.to_string()))??;
    }
    let stored = stored?;
    let act = act(caller, "kernel.pull", &written);
    app.write(move |rows| audit::add(rows, &act)).await?;
    Ok(stored)
}

/// A content that is to be fetched.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ContentElsewhere)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedContent {
    /// `https://HOST/…`, at a host that the operator lists. What stands behind a `?` is not written down.
    url: String,
    /// What it has to be, `blake3:…` or `sha256:…`.
    #[schema(value_type = Option<String>)]
    digest: Option<ContentName>,
}

/// Fetches a content from a source that the operator lists, and stores it as one that was sent. It stays until somebody deletes it.
#[utoipa::path(post, path = "/v1/blobs:pull", request_body = AskedContent,
    responses((status = 201, description = "It is stored", body = BlobView)))]
pub(super) async fn pull_content(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<(StatusCode, Json<BlobView>), Problem> {
    need(&caller, Scope::JobsWrite)?;
    let asked: AskedContent = body::said(&headers, bytes).await?;
    let server = Server::Source;
    let place: ContentPlace = asked.url.parse().map_err(|error: NoPlace| server.unfit(error.to_string()))?;
    if !place.is_at(&app.elsewhere.sources) {
        return Err(server.not_listed(place.host()));
    }
    let turn = app.pulls.next(caller.tenant.id).await;
    to_its_end(async move {
        let _turn = turn;
        fetch_content(&app, &caller, &place, asked.digest).await
    })
    .await
}

async fn fetch_content(
    app: &App,
    caller: &Caller,
    place: &ContentPlace,
    digest: Option<ContentName>,
) -> Result<(StatusCode, Json<BlobView>), Problem> {
    let server = Server::Source;
    let (parts, coming) = stream();
    let (fetcher, at) = (Arc::clone(&app.elsewhere.fetcher), place.clone());
    let runtime = tokio::runtime::Handle::current();
    let fetched = tokio::task::spawn_blocking(move || {
        // Where it sends one on to, nobody has listed; and what is there would be read.
        let wanted = Get { url: at.url(), form: ANYTHING, token: None, elsewhere: false };
        server.hand_on(&*fetcher, wanted, parts, &runtime)
    });
    let stored = blobs::store(app, caller, &HeaderMap::new(), coming, digest).await;
    if stored.is_err() {
        fetched.await.map_err(|error| Problem::internal(&error.to_string()))??;
    }
    let stored = stored?;
    let shown: String = place.shown().chars().take(SHOWN).collect();
    let act = act(caller, "content.pull", &shown);
    app.write(move |rows| audit::add(rows, &act)).await?;
    Ok(stored)
}

/// Which layer is the kernel, and the token with which it may be read, when one is needed. Waits for the registry.
fn layer(
    fetcher: &dyn Fetcher,
    reference: &Reference,
    registry: &Host,
    most: u64,
) -> Result<(Layer, Option<String>), Problem> {
    let url = reference.manifest_url(registry);
    let wanted = |token| Get { url: &url, form: MANIFEST, token, elsewhere: true };
    let mut fetched = SERVER.ask(fetcher, wanted(None))?;
    let mut token = None;
    if fetched.status == 401 {
        // Whoever asks for one is given it, when everybody may read.
        token = Some(permission(fetcher, &fetched)?);
        fetched = SERVER.ask(fetcher, wanted(token.as_deref()))?;
    }
    let manifest = whole(fetched, "the manifest", MANIFEST_BYTES)?;
    if Sha256::of(&manifest) != reference.manifest {
        return Err(Problem::unprocessable("digest-mismatch", "the manifest is not what its digest says"));
    }
    let layer = registry::layer(&manifest).map_err(|error| SERVER.unfit(error.to_string()))?;
    if layer.bytes > most {
        return Err(Problem::too_large("the kernel", most));
    }
    Ok((layer, token))
}

/// The token that a registry wants to be shown.
fn permission(fetcher: &dyn Fetcher, refused: &Fetched) -> Result<String, Problem> {
    let url = refused.challenge.as_deref().and_then(registry::token_url);
    let url = url.ok_or_else(|| SERVER.failed("the registry wants a password, and none is shown to it"))?;
    let wanted = Get { url: &url, form: "application/json", token: None, elsewhere: true };
    let answer = SERVER.ask(fetcher, wanted)?;
    let answer = whole(answer, "the token", TOKEN_BYTES)?;
    registry::token(&answer).ok_or_else(|| SERVER.failed("the registry gives no token to read with"))
}

/// All of an answer that is a good one, as far as it may be long.
fn whole(fetched: Fetched, what: &str, most: u64) -> Result<Vec<u8>, Problem> {
    SERVER.good(fetched.status)?;
    let mut bytes = Vec::new();
    let read = fetched.body.take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| SERVER.failed(&format!("{what} cannot be read: {error}")))?;
    if bytes.len() as u64 > most { Err(Problem::too_large(what, most)) } else { Ok(bytes) }
}
