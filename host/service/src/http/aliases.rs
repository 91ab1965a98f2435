//! `/v1/aliases`: names of kernels. Each change counts up a version, by which a race is noticed (`ETag`, `If-Match`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::guard::need;
use super::kernels::act;
use super::{App, Problem, body};
use crate::blobs::{ContentName, Digest};
use crate::name;
use crate::store::aliases::{self, AliasChange, AliasRow, Named, Target, WeightsError};
use crate::store::{audit, names};
use crate::tenant::{Caller, Scope, TenantId};

type Who = Extension<Arc<Caller>>;

/// What a name is to mean.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewAlias)]
#[serde(deny_unknown_fields)]
pub(super) struct Meaning {
    /// The kernel, `blake3:…` or `sha256:…`.
    #[schema(value_type = String)]
    digest: ContentName,
    /// Other kernels that it is to mean now and then, by their digests: how often, from 0 to 1, all together at most 1. Each job and
    /// each call has one of them.
    #[serde(default, deserialize_with = "each_once")]
    #[schema(value_type = BTreeMap<String, f64>)]
    weights: BTreeMap<ContentName, f64>,
}

/// Weights of which none is said twice: which of the two is meant nobody can tell.
fn each_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<ContentName, f64>, D::Error> {
    struct EachOnce;
    impl<'de> Visitor<'de> for EachOnce {
        type Value = BTreeMap<ContentName, f64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("weights by the digests of kernels")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut said: A) -> Result<Self::Value, A::Error> {
            let mut weights = BTreeMap::new();
            while let Some((name, weight)) = said.next_entry()? {
                if weights.insert(name, weight).is_some() {
                    return Err(serde::de::Error::custom(WeightsError::Twice));
                }
            }
            Ok(weights)
        }
    }
    deserializer.deserialize_map(EachOnce)
}

impl Meaning {
    /// The same by what kernels are kept under.
    async fn target(self, app: &App, tenant: TenantId) -> Result<Target, Problem> {
        let bad = |error: WeightsError| Problem::unprocessable("bad-weights", error.to_string());
        if self.weights.len() > aliases::MOST_WEIGHTS {
            return Err(bad(WeightsError::TooMany));
        }
        let (names, weights): (Vec<ContentName>, Vec<f64>) = self.weights.into_iter().unzip();
        let names = [vec![self.digest], names].concat();
        let find = move |name: &ContentName, rows: &rusqlite::Connection| names::kernel(rows, Some(tenant), *name);
        let found = app.read(move |rows| names.iter().map(|name| find(name, rows)).collect::<Result<Vec<_>, _>>());
        let found: Option<Vec<Digest>> = found.await?.into_iter().collect();
        let found = found.ok_or_else(|| Problem::not_found("kernel"))?;
        let [digest, others @ ..] = &*found else { return Err(Problem::not_found("kernel")) };
        let mut target = Target::of(*digest);
        for (other, weight) in others.iter().zip(weights) {
            if target.weights.insert(*other, weight).is_some() {
                return Err(bad(WeightsError::Twice));
            }
        }
        target.check().map_err(bad)?;
        Ok(target)
    }
}

/// All names.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Aliases)]
pub(super) struct AliasesView {
    aliases: Vec<AliasRow>,
}

/// What a name has meant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AliasHistory)]
pub(super) struct HistoryView {
    name: String,
    /// The latest hundred changes, newest first.
    changes: Vec<AliasChange>,
}

fn answer(alias: &AliasRow) -> Response {
    ([(header::ETAG, format!("\"{}\"", alias.version))], Json(alias.clone())).into_response()
}

/// The version that `If-Match` names.
fn expected(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let version = value.to_str().ok().and_then(|value| value.trim_matches('"').parse().ok());
    version.map(Some).ok_or_else(|| Problem::bad("bad-etag", "If-Match is not an ETag that was given out"))
}

/// Gives a name a meaning. With `If-Match` only when it has that version still; `"0"` is that of one that is not there.
#[utoipa::path(put, path = "/v1/aliases/{name}", params(("name" = String, Path), ("if-match" = Option<String>, Header)), request_body = Meaning,
    responses((status = 200, description = "It has it", body = AliasRow)))]
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(alias): Path<String>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<Response, Problem> {
    need(&caller, Scope::KernelsWrite)?;
    name::check(&alias).map_err(|error| Problem::bad("bad-name", error.to_string()))?;
    let expected = expected(&headers)?;
    let meaning: Meaning = body::said(&headers, bytes).await?;
    let tenant = caller.tenant.id;
    let target = meaning.target(&app, tenant).await?;
    let act = act(&caller, "alias.put", &alias);
    let named = app.write(move |rows| {
        let named = aliases::name(rows, tenant, &alias, &target, expected, &act.actor)?;
        if matches!(named, Named::Done(_)) {
            audit::add(rows, &act)?;
        }
        Ok(named)
    });
    let named = named.await;
    app.meanings.changed();
    match named? {
        Named::Done(alias) => Ok(answer(&alias)),
        Named::UnknownKernel => Err(Problem::not_found("kernel")),
        Named::TooMany => {
            Err(Problem::quota("aliases", aliases::MOST, aliases::MOST, std::time::Duration::from_secs(60)))
        }
        Named::Changed => Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "changed",
            "somebody has given the name another meaning since; look again",
        )),
    }
}

/// What a name means.
#[utoipa::path(get, path = "/v1/aliases/{name}", params(("name" = String, Path)), responses((status = 200, description = "The name", body = AliasRow)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(alias): Path<String>,
) -> Result<Response, Problem> {
    need(&caller, Scope::KernelsRead)?;
    let tenant = caller.tenant.id;
    let alias = app.read(move |rows| aliases::alias_of(rows, tenant, &alias)).await?;
    Ok(answer(&alias.ok_or_else(|| Problem::not_found("alias"))?))
}

/// What a name has meant, since when, and who gave it that meaning; also of one that was forgotten.
#[utoipa::path(get, path = "/v1/aliases/{name}/history", params(("name" = String, Path)), responses((status = 200, description = "Its changes", body = HistoryView)))]
pub(super) async fn history(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(alias): Path<String>,
) -> Result<Json<HistoryView>, Problem> {
    need(&caller, Scope::KernelsRead)?;
    let (tenant, name) = (caller.tenant.id, alias.clone());
    let changes = app.read(move |rows| aliases::history(rows, tenant, &alias)).await?;
    if changes.is_empty() {
        return Err(Problem::not_found("alias"));
    }
    Ok(Json(HistoryView { name, changes }))
}

/// All names.
#[utoipa::path(get, path = "/v1/aliases", responses((status = 200, description = "Names", body = AliasesView)))]
pub(super) async fn list(State(app): State<Arc<App>>, Extension(caller): Who) -> Result<Json<AliasesView>, Problem> {
    need(&caller, Scope::KernelsRead)?;
    let tenant = caller.tenant.id;
    Ok(Json(AliasesView { aliases: app.read(move |rows| aliases::aliases(rows, tenant)).await? }))
}

/// Forgets a name.
#[utoipa::path(delete, path = "/v1/aliases/{name}", params(("name" = String, Path)), responses((status = 204, description = "It is gone")))]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(alias): Path<String>,
) -> Result<StatusCode, Problem> {
    need(&caller, Scope::KernelsWrite)?;
    let tenant = caller.tenant.id;
    let act = act(&caller, "alias.delete", &alias);
    let was_there = app.write(move |rows| {
        let was_there = aliases::unname(rows, tenant, &alias, &act.actor)?;
        if was_there {
            audit::add(rows, &act)?;
        }
        Ok(was_there)
    });
    let was_there = was_there.await;
    app.meanings.changed();
    if was_there? { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("alias")) }
}
