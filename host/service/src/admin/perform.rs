//! Doing what the operator asks for. Every change is a row of the audit log, in the same transaction.

use rusqlite::Connection;

use super::{AdminAnswer, AdminRequest, Ground, NewToken, TenantView, TokenView, hold};
use crate::backup;
use crate::name;
use crate::store::audit::{self, Act, Origin};
use crate::store::{self, StoreError, access, usage};
use crate::tenant::{Directory, KeptToken, QuotaChange, Quotas, Tenant, TenantId, Token};
use crate::time::Moment;

/// Does it.
#[must_use]
pub fn perform(ground: &Ground, request: AdminRequest) -> AdminAnswer {
    let directory = &*ground.directory;
    let result = match request {
        AdminRequest::Create { name, weight, quotas, token } => create(directory, name, weight, quotas, token),
        AdminRequest::List => list(directory, None),
        AdminRequest::Show { name } => list(directory, Some(&name)),
        AdminRequest::Set { name, weight, quotas, enabled } => {
            let change = move |tenant: Tenant| Tenant {
                weight: weight.unwrap_or(tenant.weight),
                quotas: quotas.apply(tenant.quotas),
                enabled: enabled.unwrap_or(tenant.enabled),
                ..tenant
            };
            set(directory, name, weight, change)
        }
        AdminRequest::Rotate { name, token, overlap } => rotate(directory, name, token, overlap),
        AdminRequest::Link => link(directory),
        AdminRequest::BackUp { path } => {
            Ok(match backup::back_up(directory.store(), &*ground.blobs, &ground.data, &path) {
                Ok(()) => AdminAnswer::Done,
                Err(error) => refused(format!("{} cannot be written: {error}", path.display())),
            })
        }
        AdminRequest::Audit { name, after } => rows(directory, name.as_deref(), after),
        AdminRequest::Pause { name, parks } => hold::pause(directory, name, parks),
        AdminRequest::Resume { name } => hold::resume(directory, name),
        AdminRequest::Block { digest, reason } => hold::block(directory, &digest, reason),
        AdminRequest::Unblock { digest } => hold::unblock(directory, &digest),
        AdminRequest::Blocks => hold::blocks(directory),
        AdminRequest::VerifyAudit => directory.store().read(audit::verify).map(AdminAnswer::Verified),
    };
    result.unwrap_or_else(|error| AdminAnswer::Refused(error.to_string()))
}

fn link(directory: &Directory) -> store::Result<AdminAnswer> {
    let Some(link) = directory.link() else {
        return Ok(refused("no server has this data folder, so there is no page: start it with taskhost serve"));
    };
    let act = Act {
        tenant: None,
        actor: "operator".into(),
        action: "page.link",
        object: String::new(),
        outcome: "done".into(),
        origin: Origin::default(),
    };
    directory.store().write(move |connection| audit::add(connection, &act))?;
    Ok(AdminAnswer::Link(link))
}

pub(super) fn refused(text: impl Into<String>) -> AdminAnswer {
    AdminAnswer::Refused(text.into())
}

pub(super) fn unknown(name: &str) -> AdminAnswer {
    refused(format!("there is no tenant {name:?}; `taskhost tenant list` names those that there are"))
}

pub(super) fn act(tenant: TenantId, action: &'static str, object: &str) -> Act {
    Act {
        tenant: Some(tenant),
        actor: "operator".into(),
        action,
        object: object.to_owned(),
        outcome: "done".into(),
        origin: Origin::default(),
    }
}

fn bad_weight(weight: Option<u32>) -> Option<AdminAnswer> {
    (weight == Some(0)).then(|| refused("a weight is at least 1; to keep a tenant from running anything, disable it"))
}

/// Keeps a new token, and returns what is shown of it.
fn keep_token(connection: &Connection, tenant: TenantId, token: NewToken) -> store::Result<(String, String)> {
    let new = Token::create();
    let expires = token.life.map(|life| Moment::now().after(life));
    let kept = KeptToken { networks: token.networks, ..new.keep(tenant, token.scopes, expires) };
    access::add_token(connection, &kept)?;
    Ok((new.key().to_owned(), new.reveal()))
}

fn create(
    directory: &Directory,
    name: String,
    weight: Option<u32>,
    quotas: QuotaChange,
    token: NewToken,
) -> store::Result<AdminAnswer> {
    if let Err(error) = name::check(&name) {
        return Ok(refused(error.to_string()));
    }
    if let Some(answer) = bad_weight(weight) {
        return Ok(answer);
    }
    let shown = name.clone();
    let made = directory.store().write(move |connection| {
        let Some(tenant) = access::add(connection, &name, weight.unwrap_or(1), &quotas.apply(Quotas::default()))?
        else {
            return Ok(None);
        };
        let (key, token) = keep_token(connection, tenant.id, token)?;
        audit::add(connection, &act(tenant.id, "tenant.create", &name))?;
        audit::add(connection, &act(tenant.id, "token.create", &key))?;
        Ok(Some(token))
    })?;
    directory.refresh()?;
    Ok(made.map_or_else(|| refused(format!("there is a tenant {shown:?} already")), AdminAnswer::Token))
}

fn list(directory: &Directory, name: Option<&str>) -> store::Result<AdminAnswer> {
    let today = Moment::now().day();
    let tenants = directory.store().read(|connection| {
        let tenants = match name {
            None => access::tenants(connection)?,
            Some(name) => access::find(connection, name)?.into_iter().collect(),
        };
        let with_usage = |tenant: Tenant| {
            let used = usage::on_day(connection, tenant.id, today)?;
            Ok((tenant, used.cpu_ms))
        };
        tenants.into_iter().map(with_usage).collect::<store::Result<Vec<_>>>()
    })?;
    if let (Some(name), true) = (name, tenants.is_empty()) {
        return Ok(unknown(name));
    }
    let view = |(tenant, cpu_ms_today): (Tenant, u64)| {
        let tokens = directory.tokens(tenant.id).into_iter();
        let tokens =
            tokens.map(|KeptToken { key, scopes, expires, networks, .. }| TokenView { key, scopes, expires, networks });
        TenantView { paused: directory.paused(tenant.id), cpu_ms_today, tokens: tokens.collect(), tenant }
    };
    Ok(AdminAnswer::Tenants(tenants.into_iter().map(view).collect()))
}

fn set(
    directory: &Directory,
    name: String,
    weight: Option<u32>,
    change: impl FnOnce(Tenant) -> Tenant + Send + 'static,
) -> store::Result<AdminAnswer> {
    if let Some(answer) = bad_weight(weight) {
        return Ok(answer);
    }
    let shown = name.clone();
    let is_there = directory.store().write(move |connection| {
        let Some(tenant) = access::find(connection, &name)? else { return Ok(false) };
        let tenant = change(tenant);
        access::change(connection, &tenant)?;
        audit::add(connection, &act(tenant.id, "tenant.set", &name))?;
        Ok::<_, StoreError>(true)
    })?;
    directory.refresh()?;
    Ok(if is_there { AdminAnswer::Done } else { unknown(&shown) })
}

fn rotate(
    directory: &Directory,
    name: String,
    token: NewToken,
    overlap: std::time::Duration,
) -> store::Result<AdminAnswer> {
    let shown = name.clone();
    let made = directory.store().write(move |connection| {
        let Some(tenant) = access::find(connection, &name)? else { return Ok(None) };
        let (key, token) = keep_token(connection, tenant.id, token)?;
        access::end_tokens(connection, tenant.id, &key, Moment::now().after(overlap))?;
        audit::add(connection, &act(tenant.id, "token.rotate", &key))?;
        Ok(Some(token))
    })?;
    directory.refresh()?;
    Ok(made.map_or_else(|| unknown(&shown), AdminAnswer::Token))
}

fn rows(directory: &Directory, name: Option<&str>, after: i64) -> store::Result<AdminAnswer> {
    /// Rows of one answer.
    const MOST: u32 = 1000;
    directory.store().read(|connection| {
        let tenant = match name {
            None => None,
            Some(name) => match access::find(connection, name)? {
                Some(tenant) => Some(tenant.id),
                None => return Ok(unknown(name)),
            },
        };
        Ok(AdminAnswer::Audit(audit::rows(connection, tenant, after, MOST)?))
    })
}
