//! What the operator sees on the page: tenants, the queue, cores, health. Nothing of what tenants compute.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use serde_json::{Value, json};

use super::session::Who;
use super::{App, Problem};
use crate::store::holds::Pause;
use crate::store::{access, contents, usage};
use crate::tenant::Tenant;
use crate::time::Moment;

/// Jobs of a tenant that are not over.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Open {
    queued: u64,
    running: u64,
    /// When the oldest came.
    oldest: Option<Moment>,
}

/// A tenant, and what it has.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    tenant: Tenant,
    /// Whether nothing of it is started now.
    paused: Option<Pause>,
    today: usage::Usage,
    stored_bytes: u64,
    open: Open,
}

fn open(rows: &rusqlite::Connection) -> crate::store::Result<BTreeMap<i64, Open>> {
    let sql = "SELECT tenant, state, count(*), min(created) FROM jobs INDEXED BY jobs_to_do WHERE ended IS NULL
         GROUP BY tenant, state";
    let mut statement = rows.prepare(sql)?;
    let mut found = statement.query([])?;
    let mut all: BTreeMap<i64, Open> = BTreeMap::new();
    while let Some(row) = found.next()? {
        let open = all.entry(row.get(0)?).or_default();
        let (state, count, oldest) = (row.get::<_, String>(1)?, row.get::<_, u64>(2)?, Moment(row.get(3)?));
        *(if state == "running" { &mut open.running } else { &mut open.queued }) = count;
        open.oldest = Some(open.oldest.map_or(oldest, |other| other.min(oldest)));
    }
    Ok(all)
}

/// All that the operator sees.
pub(super) async fn show(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    let is_operator = app.sessions.find(&headers).is_some_and(|session| session.who == Who::Operator);
    if !is_operator {
        return Err(Problem::denied());
    }
    // As `/readyz` does: what is written reaches the disk.
    let is_writable = app.write(|_| Ok(())).await.is_ok();
    let today = Moment::now().day();
    let directory = Arc::clone(&app.shared.directory);
    let tenants = app.read(move |rows| {
        let open = open(rows)?;
        let row = |tenant: Tenant| {
            let id = tenant.id;
            let open = open.get(&id.0).copied().unwrap_or_default();
            let (today, stored_bytes) = (usage::on_day(rows, id, today)?, contents::total(rows, id)?);
            Ok(Row { paused: directory.paused(id), tenant, today, stored_bytes, open })
        };
        access::tenants(rows)?.into_iter().map(row).collect::<crate::store::Result<Vec<_>>>()
    });
    let tenants = tenants.await?;
    let running: u64 = tenants.iter().map(|row| row.open.running).sum();
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "now": Moment::now(),
        "began": app.began,
        "is_writable": is_writable,
        "cores": app.shared.cores,
        "sandbox": app.shared.launcher.sandbox,
        "waiting": app.jobs.waiting(),
        "running": running,
        "paused": app.shared.directory.all_paused(),
        "tenants": tenants,
    })))
}
