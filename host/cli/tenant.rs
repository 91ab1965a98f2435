//! `taskhost tenant`: who may use the service, and how much of it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use taskhost_data::duration::human_duration;
use taskhost_data::size::human_size;
use taskhost_service::admin::{AdminAnswer, AdminRequest, NewToken, TenantView, ask};
use taskhost_service::network::Networks;
use taskhost_service::store::audit::AuditRow;
use taskhost_service::store::holds::Block;
use taskhost_service::tenant::{QuotaChange, Scopes};
use taskhost_service::time::Moment;

use crate::args::{ServiceArguments, TenantArguments, TenantCommand, TokenArguments};
use crate::exit_code::{Exit, Failure};
use crate::report;

pub(crate) fn run(arguments: TenantArguments) -> Result<Exit> {
    if let TenantCommand::Audit { place, name, verify: false } = arguments.command {
        return audit(&place.data, name.as_deref());
    }
    let (place, request, in_full) = request(arguments.command)?;
    match ask(&place.data, request).map_err(|error| Failure::input(error.to_string()))? {
        AdminAnswer::Token(token) => {
            let exit = report::line(&token);
            report::message("note", "this is the only time that the token is shown; only a hash of it is kept");
            Ok(exit)
        }
        AdminAnswer::Tenants(tenants) if in_full => Ok(report::text(&tenants.iter().map(page).collect::<String>())),
        AdminAnswer::Tenants(tenants) => Ok(report::text(&table(&tenants))),
        AdminAnswer::Link(link) => {
            let exit = report::line(&link);
            report::message("note", "the link is good once, and for five minutes");
            Ok(exit)
        }
        AdminAnswer::Audit(rows) => write(&rows),
        AdminAnswer::Verified(rows) => {
            Ok(report::line(&format!("{} of the audit log, each as it was written", report::count(rows, "row"))))
        }
        AdminAnswer::Blocked { ended, .. } => {
            report::message("note", &format!("{} ended", report::count(ended.len() as u64, "job")));
            Ok(Exit::Done)
        }
        AdminAnswer::Blocks(blocks) => Ok(report::text(&blocks.iter().map(block).collect::<String>())),
        AdminAnswer::Done => Ok(Exit::Done),
        AdminAnswer::Refused(why) => Err(Failure::usage(why).into()),
    }
}

/// Where, what, and whether a tenant is told of in full.
fn request(command: TenantCommand) -> Result<(ServiceArguments, AdminRequest, bool)> {
    Ok(match command {
        TenantCommand::Create { place, name, share, token } => {
            let (weight, quotas) = (share.weight(), share.quotas());
            (place, AdminRequest::Create { name, weight, quotas, token: new_token(&token) }, false)
        }
        TenantCommand::Page { place } => (place, AdminRequest::Link, false),
        TenantCommand::List { place } => (place, AdminRequest::List, false),
        TenantCommand::Show { place, name } => (place, AdminRequest::Show { name }, true),
        TenantCommand::Set { place, name, share, enable } => {
            let (weight, quotas, enabled) = (share.weight(), share.quotas(), enable.then_some(true));
            (place, AdminRequest::Set { name, weight, quotas, enabled }, false)
        }
        TenantCommand::Rotate { place, name, token, overlap } => {
            (place, AdminRequest::Rotate { name, token: new_token(&token), overlap }, false)
        }
        TenantCommand::Disable { place, name } => {
            let quotas = QuotaChange::default();
            (place, AdminRequest::Set { name, weight: None, quotas, enabled: Some(false) }, false)
        }
        TenantCommand::Pause { place, name, park } => (place, AdminRequest::Pause { name, parks: park }, false),
        TenantCommand::Resume { place, name } => (place, AdminRequest::Resume { name }, false),
        TenantCommand::Block { place, digest, reason } => (place, AdminRequest::Block { digest, reason }, false),
        TenantCommand::Unblock { place, digest } => (place, AdminRequest::Unblock { digest }, false),
        TenantCommand::Blocked { place } => (place, AdminRequest::Blocks, false),
        TenantCommand::Audit { place, name, verify } => {
            let request = if verify { AdminRequest::VerifyAudit } else { AdminRequest::Audit { name, after: 0 } };
            (place, request, false)
        }
        TenantCommand::Backup { place, folder } => {
            // The server may have been started elsewhere.
            let path = std::path::absolute(&folder)
                .map_err(|error| Failure::input(format!("{}: {error}", folder.display())))?;
            (place, AdminRequest::BackUp { path }, false)
        }
    })
}

/// Writes the audit log, part by part.
fn audit(data: &Path, name: Option<&str>) -> Result<Exit> {
    let mut after = 0;
    loop {
        let request = AdminRequest::Audit { name: name.map(str::to_owned), after };
        match ask(data, request).map_err(|error| Failure::input(error.to_string()))? {
            AdminAnswer::Audit(rows) => {
                let Some(last) = rows.last() else { return Ok(Exit::Done) };
                after = last.number;
                let exit = write(&rows)?;
                if exit != Exit::Done {
                    return Ok(exit);
                }
            }
            AdminAnswer::Refused(why) => return Err(Failure::usage(why).into()),
            other => return Err(Failure::input(format!("the server answers something else: {other:?}")).into()),
        }
    }
}

fn write(rows: &[AuditRow]) -> Result<Exit> {
    let lines = rows.iter().map(|row| Ok(serde_json::to_string(row)? + "\n"));
    Ok(report::text(&lines.collect::<Result<String>>()?))
}

fn new_token(arguments: &TokenArguments) -> NewToken {
    let scopes = if arguments.scope.is_empty() { Scopes::ALL } else { arguments.scope.iter().copied().collect() };
    NewToken { scopes, life: arguments.expires, networks: Networks(arguments.token_network.clone()) }
}

fn table(tenants: &[TenantView]) -> String {
    let width = tenants.iter().map(|view| view.tenant.name.len()).max().unwrap_or(0);
    let row = |view: &TenantView| {
        let tenant = &view.tenant;
        let state = state(view).map(|state| format!("  {state}")).unwrap_or_default();
        let used = view.cpu_ms_today as f64 / 1000.0;
        let limit = tenant.quotas.cpu_seconds_per_day;
        format!("{:width$}  weight {}  {used:.1} of {limit} CPU seconds today{state}\n", tenant.name, tenant.weight)
    };
    tenants.iter().map(row).collect()
}

/// A kernel that is blocked.
fn block(block: &Block) -> String {
    format!("{}  {}\n", block.digest, block.reason).trim_end().to_owned() + "\n"
}

/// What is not as it is usually.
fn state(view: &TenantView) -> Option<&'static str> {
    match (view.tenant.enabled, view.paused) {
        (false, _) => Some("disabled"),
        (true, Some(pause)) if pause.parks => Some("parked"),
        (true, Some(_)) => Some("paused"),
        (true, None) => None,
    }
}

/// All of a tenant.
fn page(view: &TenantView) -> String {
    let (tenant, quotas) = (&view.tenant, &view.tenant.quotas);
    let rows = [
        ("weight", tenant.weight.to_string()),
        ("concurrent jobs", quotas.concurrent_jobs.to_string()),
        ("queued jobs", quotas.queued_jobs.to_string()),
        ("cores", quotas.cores.to_string()),
        ("CPU seconds a day", quotas.cpu_seconds_per_day.to_string()),
        ("CPU seconds today", format!("{:.3}", view.cpu_ms_today as f64 / 1000.0)),
        ("memory of a worker", human_size(quotas.worker_memory)),
        ("stored", human_size(quotas.stored_bytes)),
        ("a kernel", human_size(quotas.kernel_bytes)),
        ("requests a second", quotas.requests_per_second.to_string()),
        ("concurrent calls", quotas.concurrent_calls.to_string()),
        ("results are kept", human_duration(Duration::from_secs(quotas.keep_seconds))),
    ];
    let mut text = format!("{}{}\n", tenant.name, state(view).map(|state| format!(" ({state})")).unwrap_or_default());
    for (name, value) in rows {
        let _ = writeln!(text, "  {name:18}  {value}");
    }
    for token in &view.tokens {
        let until = token.expires.map_or_else(|| "for ever".to_owned(), left);
        let from = if token.networks.0.is_empty() { String::new() } else { format!("  from {}", token.networks) };
        let _ = writeln!(text, "  token {}  {until}  {}{from}", token.key, token.scopes);
    }
    text
}

fn left(until: Moment) -> String {
    let seconds = until.0.saturating_sub(Moment::now().0) / 1000;
    match seconds {
        ..3_600 => format!("{} min left", seconds / 60),
        3_600..172_800 => format!("{} h left", seconds / 3_600),
        _ => format!("{} d left", seconds / 86_400),
    }
}
