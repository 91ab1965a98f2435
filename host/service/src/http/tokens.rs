//! `/v1/tokens`: a tenant's own tokens. What a token makes is good for no more, and for no longer, than it is itself.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::guard::need;
use super::kernels::act;
use super::{App, Problem, blocking, body};
use crate::network::{Network, Networks};
use crate::store::{access, audit};
use crate::tenant::{Caller, KeptToken, Scope, Scopes, Token};
use crate::time::Moment;

type Who = Extension<Arc<Caller>>;

/// Tokens of a tenant that are good at a time.
const MOST: u64 = 100;

/// Networks of a token: each is looked at with each request.
const MOST_NETWORKS: usize = 32;

/// Longest life that can be asked for, in seconds: ten years.
const MOST_LIFE: u64 = 10 * 365 * 24 * 60 * 60;

/// A token as it is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewToken)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// What it is to be good for; nothing that the token is not good for that asks.
    scopes: Vec<String>,
    /// For so many seconds it is good; as long as the token that asks when nothing is said.
    #[schema(minimum = 1, maximum = 315_360_000)]
    expires_in: Option<u64>,
    /// From where it is to be good, such as `10.0.0.0/8`: networks or addresses, in those of the token that asks. As many places as
    /// that one is good from when nothing is said. Elsewhere it is answered as a token is that is unknown.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 32)]
    networks: Vec<String>,
}

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub(super) struct TokenView {
    /// What it is found by: the part behind `th_`, also in the log and the audit log.
    key: String,
    scopes: Vec<&'static str>,
    /// Milliseconds since 1970, as all moments.
    created: i64,
    /// Until when it is good; none for ever.
    expires: Option<i64>,
    /// When it was last shown, to the hour; none when it never was.
    last_used: Option<i64>,
    /// From where it is good; from everywhere when there is none.
    networks: Vec<String>,
    /// Whether it is the one that asks.
    is_this: bool,
}

/// A new token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CreatedToken)]
pub(super) struct Created {
    #[serde(flatten)]
    view: TokenView,
    /// The token. It is told this once.
    token: String,
}

/// Tokens.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tokens)]
pub(super) struct TokensView {
    tokens: Vec<TokenView>,
}

fn view(token: &KeptToken, caller: &Caller) -> TokenView {
    TokenView {
        key: token.key.clone(),
        scopes: token.scopes.names(),
        created: token.created.0,
        expires: token.expires.map(|at| at.0),
        last_used: token.used.map(|at| at.0),
        networks: token.networks.0.iter().map(ToString::to_string).collect(),
        is_this: token.key == caller.key,
    }
}

/// The tokens that are good now, oldest first.
#[utoipa::path(get, path = "/v1/tokens", responses((status = 200, description = "Tokens", body = TokensView)))]
pub(super) async fn list(State(app): State<Arc<App>>, Extension(caller): Who) -> Result<Json<TokensView>, Problem> {
    need(&caller, Scope::TokensAdmin)?;
    let tokens = app.shared.directory.tokens(caller.tenant.id);
    Ok(Json(TokensView { tokens: tokens.iter().map(|token| view(token, &caller)).collect() }))
}

/// What is asked for, as far as whoever asks may give it.
fn granted(asked: &Asked, caller: &Caller) -> Result<Scopes, Problem> {
    let parse = |word: &String| word.parse::<Scope>().map_err(|error| Problem::bad("bad-request", error.to_string()));
    let scopes = asked.scopes.iter().map(parse).collect::<Result<Scopes, _>>()?;
    if scopes.is_empty() {
        return Err(Problem::bad("bad-request", "name at least one scope, such as jobs:read"));
    }
    match scopes.beyond(caller.scopes) {
        Some(scope) => Err(Problem::lacks(scope.name())),
        None => Ok(scopes),
    }
}

/// From where a token is to be good, as far as the one is that asks.
fn within(asked: &Asked, own: &Networks) -> Result<Networks, Problem> {
    if asked.networks.len() > MOST_NETWORKS {
        return Err(Problem::bad("bad-request", format!("a token has {MOST_NETWORKS} networks at most")));
    }
    let parse = |word: &String| word.parse::<Network>().map_err(|error| Problem::bad("bad-request", error.to_string()));
    let asked = Networks(asked.networks.iter().map(parse).collect::<Result<_, _>>()?);
    own.narrow(asked).map_err(|beyond| {
        let detail = format!("the token that asks is not good from all of {beyond}");
        Problem::new(StatusCode::FORBIDDEN, "network-beyond", detail)
    })
}

/// Makes a token. It is good for what is asked for, as far as the token is that asks, from no more places and no longer than that
/// one.
#[utoipa::path(post, path = "/v1/tokens", request_body = Asked, responses((status = 201, description = "It is good from now on", body = Created)))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    headers: HeaderMap,
    bytes: Body,
) -> Result<(StatusCode, Json<Created>), Problem> {
    need(&caller, Scope::TokensAdmin)?;
    let asked: Asked = body::said(&headers, bytes).await?;
    let scopes = granted(&asked, &caller)?;
    if asked.expires_in.is_some_and(|seconds| !(1..=MOST_LIFE).contains(&seconds)) {
        return Err(Problem::bad("bad-request", format!("expires_in is from 1 to {MOST_LIFE} seconds")));
    }
    let created = Moment::now();
    let wanted = asked.expires_in.map(|seconds| created.after(Duration::from_secs(seconds)));
    let directory = &app.shared.directory;
    let own = directory.tokens(caller.tenant.id).into_iter().find(|token| token.key == caller.key);
    let own = own.ok_or_else(Problem::denied)?;
    let networks = within(&asked, &own.networks)?;
    let expires = [wanted, own.expires].into_iter().flatten().min();
    let (token, tenant) = (Token::create(), caller.tenant.id);
    let kept = KeptToken { networks, created, ..token.keep(tenant, scopes, expires) };
    let (row, act) = (kept.clone(), act(&caller, "token.create", token.key()));
    let added = app.write(move |rows| {
        let is_room = access::token_count(rows, tenant)? < MOST;
        if is_room {
            access::add_token(rows, &row)?;
            audit::add(rows, &act)?;
        }
        Ok(is_room)
    });
    if !added.await? {
        return Err(Problem::conflict("too-many", format!("there are {MOST} tokens already: revoke one")));
    }
    refresh(&app).await?;
    Ok((StatusCode::CREATED, Json(Created { view: view(&kept, &caller), token: token.reveal() })))
}

/// Says what a token is good for that another one is not: the same is compared as when that one makes a token.
fn no_more(token: &KeptToken, own: &KeptToken) -> Result<(), Problem> {
    if let Some(scope) = token.scopes.beyond(own.scopes) {
        return Err(Problem::lacks(scope.name()));
    }
    let beyond = |code, text: &str| Err(Problem::new(StatusCode::FORBIDDEN, code, text));
    if !own.networks.cover(&token.networks) {
        return beyond("network-beyond", "the token is good from more places than the one that asks");
    }
    if own.expires.is_some_and(|own| token.expires.is_none_or(|at| at > own)) {
        return beyond("expiry-beyond", "the token is good for longer than the one that asks");
    }
    Ok(())
}

/// Ends a token, at once. It may be the one that asks; one that is good for more than that, from more places or for longer, cannot be
/// ended by it.
#[utoipa::path(delete, path = "/v1/tokens/{key}", params(("key" = String, Path)), responses((status = 204, description = "It is good for nothing any more")))]
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(key): Path<String>,
) -> Result<StatusCode, Problem> {
    need(&caller, Scope::TokensAdmin)?;
    let tokens = app.shared.directory.tokens(caller.tenant.id);
    let token = tokens.iter().find(|token| token.key == key).ok_or_else(|| Problem::not_found("token"))?;
    if key != caller.key {
        let own = tokens.iter().find(|token| token.key == caller.key).ok_or_else(Problem::denied)?;
        no_more(token, own)?;
    }
    let (tenant, act) = (caller.tenant.id, act(&caller, "token.revoke", &key));
    let was_good = app.write(move |rows| {
        let was_good = access::end_token(rows, tenant, &key)?;
        if was_good {
            audit::add(rows, &act)?;
        }
        Ok(was_good)
    });
    let was_good = was_good.await?;
    refresh(&app).await?;
    if was_good { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("token")) }
}

/// What was written is true from the next request on.
async fn refresh(app: &App) -> Result<(), Problem> {
    let directory = Arc::clone(&app.shared.directory);
    blocking(move || directory.refresh()).await?.map_err(|error| Problem::store(&error))
}
