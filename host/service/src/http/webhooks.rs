//! `/v1/webhooks`: places that are told of the end of each job, and what became of what they were told.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::guard::need;
use super::kernels::act;
use super::{App, Problem, body};
use crate::store::audit;
use crate::store::webhooks::{self, DeliveryRow, WebhookRow};
use crate::tenant::{Caller, Scope};
use crate::webhook::new_secret;

type Who = Extension<Arc<Caller>>;

/// Messages of one answer.
const ROWS: u32 = 100;

/// A webhook as it is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewWebhook)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Where messages go: `https://…`.
    url: String,
}

/// A new webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CreatedWebhook)]
pub(super) struct Created {
    #[serde(flatten)]
    webhook: WebhookRow,
    /// What messages are signed with (Standard Webhooks). It is told this once.
    secret: String,
}

/// Webhooks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhooks)]
pub(super) struct WebhooksView {
    webhooks: Vec<WebhookRow>,
}

/// Messages.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Deliveries)]
pub(super) struct DeliveriesView {
    deliveries: Vec<DeliveryRow>,
}

/// Has a place told of the end of each job from now on. Sixteen at most.
#[utoipa::path(post, path = "/v1/webhooks", request_body = Asked, responses((status = 201, description = "It will be told", body = Created)))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    headers: HeaderMap,
    bytes: Body,
) -> Result<(StatusCode, Json<Created>), Problem> {
    need(&caller, Scope::JobsWrite)?;
    let asked: Asked = body::said(&headers, bytes).await?;
    app.networks.check(&asked.url).map_err(|error| Problem::unprocessable("bad-target", error.to_string()))?;
    let (tenant, secret) = (caller.tenant.id, new_secret());
    let (caller, kept) = (Arc::clone(&caller), secret.clone());
    let added = app.write(move |rows| {
        let added = webhooks::add(rows, tenant, &asked.url, &kept)?;
        if let Some(webhook) = &added {
            audit::add(rows, &act(&caller, "webhook.create", &webhook.id))?;
        }
        Ok(added)
    });
    let full = || Problem::conflict("too-many", format!("there are {} webhooks already: delete one", webhooks::MOST));
    Ok((StatusCode::CREATED, Json(Created { webhook: added.await?.ok_or_else(full)?, secret })))
}

/// All webhooks, oldest first.
#[utoipa::path(get, path = "/v1/webhooks", responses((status = 200, description = "Webhooks", body = WebhooksView)))]
pub(super) async fn list(State(app): State<Arc<App>>, Extension(caller): Who) -> Result<Json<WebhooksView>, Problem> {
    need(&caller, Scope::JobsRead)?;
    let tenant = caller.tenant.id;
    Ok(Json(WebhooksView { webhooks: app.read(move |rows| webhooks::list(rows, tenant)).await? }))
}

/// Tells a place nothing any more, not even what is on its way.
#[utoipa::path(delete, path = "/v1/webhooks/{webhook}", params(("webhook" = String, Path)), responses((status = 204, description = "It is gone")))]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(webhook): Path<String>,
) -> Result<StatusCode, Problem> {
    need(&caller, Scope::JobsWrite)?;
    let (tenant, act) = (caller.tenant.id, act(&caller, "webhook.delete", &webhook));
    let was_there = app.write(move |rows| {
        let was_there = webhooks::remove(rows, tenant, &webhook)?;
        if was_there {
            audit::add(rows, &act)?;
        }
        Ok(was_there)
    });
    if was_there.await? { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("webhook")) }
}

/// Sends a place a message that is about nothing. One that gets through switches the webhook on again.
#[utoipa::path(post, path = "/v1/webhooks/{webhook}/test", params(("webhook" = String, Path)), responses((status = 202, description = "It is on its way", body = DeliveryRow)))]
pub(super) async fn test(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(webhook): Path<String>,
) -> Result<(StatusCode, Json<DeliveryRow>), Problem> {
    need(&caller, Scope::JobsWrite)?;
    let tenant = caller.tenant.id;
    let sent = app.write(move |rows| webhooks::ping(rows, tenant, &webhook)).await?;
    app.post.look();
    Ok((StatusCode::ACCEPTED, Json(sent.ok_or_else(|| Problem::not_found("webhook"))?)))
}

/// What a place was told lately, newest first, and what became of that.
#[utoipa::path(get, path = "/v1/webhooks/{webhook}/deliveries", params(("webhook" = String, Path)), responses((status = 200, description = "Messages", body = DeliveriesView)))]
pub(super) async fn deliveries(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path(webhook): Path<String>,
) -> Result<Json<DeliveriesView>, Problem> {
    need(&caller, Scope::JobsRead)?;
    let tenant = caller.tenant.id;
    let found = app.read(move |rows| webhooks::deliveries(rows, tenant, &webhook, ROWS)).await?;
    Ok(Json(DeliveriesView { deliveries: found.ok_or_else(|| Problem::not_found("webhook"))? }))
}

/// Tells a place something again that it was told, or was to be told, now: with the same number, so that whoever has taken it before
/// can see that.
#[utoipa::path(post, path = "/v1/webhooks/{webhook}/deliveries/{delivery}/retry", params(("webhook" = String, Path), ("delivery" = String, Path)), responses((status = 202, description = "It is on its way", body = DeliveryRow)))]
pub(super) async fn redeliver(
    State(app): State<Arc<App>>,
    Extension(caller): Who,
    Path((webhook, delivery)): Path<(String, String)>,
) -> Result<(StatusCode, Json<DeliveryRow>), Problem> {
    need(&caller, Scope::JobsWrite)?;
    let (tenant, act) = (caller.tenant.id, act(&caller, "webhook.redeliver", &delivery));
    let again = app.write(move |rows| {
        let again = webhooks::again(rows, tenant, &webhook, &delivery)?;
        if again.is_some() {
            audit::add(rows, &act)?;
        }
        Ok(again)
    });
    let again = again.await?.ok_or_else(|| Problem::not_found("message"))?;
    app.post.look();
    Ok((StatusCode::ACCEPTED, Json(again)))
}
