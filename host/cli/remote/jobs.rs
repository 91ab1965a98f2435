//! `taskhost job`: looking after jobs that a service has.

use serde_json::Value;
use taskhost_service::job::JobState;
use taskhost_service::time::Moment;

use super::connection::{Asked, Connection, Content, Stop};
use super::follow::is_job;
use super::{Address, outcome};
use crate::args::{JobCommand, NamedJob};
use crate::exit_code::{Exit, Failure};
use crate::report;

/// Inputs of a job that are told by name.
const NAMED: usize = 3;

pub(super) fn run(command: &JobCommand) -> Result<Exit, Failure> {
    match command {
        JobCommand::List { server, state, limit, json } => {
            let connection = connect(&Address::required(server)?)?;
            list(&connection, state.as_deref(), *limit, *json)
        }
        JobCommand::Show { job, json } => {
            let (connection, path) = of(job)?;
            let view = connection.ask_well(&Asked::get(&path))?;
            if *json {
                return Ok(report::line(&view.to_string()));
            }
            let waits = view["ended"].is_null();
            let why = if waits { connection.ask_well(&Asked::get(&format!("{path}/explain")))? } else { Value::Null };
            Ok(report::text(&page(&view, word(&why["detail"]))))
        }
        JobCommand::Cancel { job, json } => {
            let (connection, path) = of(job)?;
            let path = format!("{path}/cancel");
            let content = Content::Bytes(Vec::new());
            let view = connection.ask_well(&Asked { method: "POST", path: &path, head: Vec::new(), content })?;
            Ok(if *json { report::line(&view.to_string()) } else { Exit::Done })
        }
        JobCommand::Logs { job, item, json } => {
            let (connection, path) = of(job)?;
            logs(&connection, &path, *item, *json)
        }
    }
}

fn connect(address: &Address) -> Result<Connection, Failure> {
    Connection::new(address, Stop::default())
}

/// Where the job is.
fn of(job: &NamedJob) -> Result<(Connection, String), Failure> {
    let address = Address::required(&job.server)?;
    if !is_job(&job.id) {
        return Err(Failure::usage(format!("{:?} is no number of a job; `taskhost job list` has them", job.id)));
    }
    Ok((connect(&address)?, format!("/v1/jobs/{}", job.id)))
}

fn list(connection: &Connection, state: Option<&str>, limit: u32, json: bool) -> Result<Exit, Failure> {
    if let Some(state) = state.filter(|state| JobState::parse(state).is_none()) {
        return Err(Failure::usage(format!(
            "{state:?} is no state of a job; there are queued, running, succeeded, partial, failed, cancelled"
        )));
    }
    let state = state.map_or_else(String::new, |state| format!("&state={state}"));
    let view = connection.ask_well(&Asked::get(&format!("/v1/jobs?limit={limit}{state}")))?;
    let jobs = view["jobs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows = jobs.iter().map(|job| if json { format!("{job}\n") } else { row(job) });
    Ok(report::text(&rows.collect::<String>()))
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// When that was.
fn age(moment: &Value) -> String {
    let then =
        moment.as_u64().and_then(|then| std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_millis(then)));
    then.map_or_else(|| "?".to_owned(), report::age)
}

fn row(job: &Value) -> String {
    let (id, state, created) = (word(&job["id"]), word(&job["state"]), age(&job["created"]));
    let items = job["items"].as_u64().map_or_else(String::new, |items| report::count(items, "item"));
    let failed = job["failed_items"].as_u64().filter(|failed| *failed > 0);
    let failed = failed.map_or_else(String::new, |failed| format!(", {failed} failed"));
    let name = report::escape(word(&job["inputs"][0]["name"])).replace('\n', " ");
    let waits = job["waits"].as_str().map_or_else(String::new, |waits| format!("waits: {}", report::escape(waits)));
    format!("{id}  {state:9}  {created:>11}  {name}  {items}{failed}{waits}\n")
}

/// All of a job, a line for each thing; of one that is not over, how it is with it now.
fn page(job: &Value, now: &str) -> String {
    let mut text = format!("{}  {}\n", word(&job["id"]), word(&job["state"]));
    // Why it ended as it did comes first.
    let why = if now.is_empty() { word(&job["message"]) } else { now };
    text.extend(why.lines().map(|line| format!("  {}\n", report::escape(line))));
    let known = [
        ("kernel", "kernel"),
        ("priority", "priority"),
        ("exit code", "exit_code"),
        ("items", "items"),
        ("failed items", "failed_items"),
        ("bytes in", "input_bytes"),
        ("bytes out", "output_bytes"),
        ("attempts", "attempts"),
    ];
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:12}  {value}\n"));
    for (name, field) in known {
        match &job[field] {
            Value::Null => {}
            // As for most.
            value if field == "priority" && *value == 0 => {}
            Value::String(value) => line(name, report::escape(value)),
            value => line(name, value.to_string()),
        }
    }
    let inputs = job["inputs"].as_array().map(Vec::as_slice).unwrap_or_default();
    for input in inputs.iter().take(NAMED) {
        line("input", report::escape(word(&input["name"])).replace('\n', " "));
    }
    if let Some(more) = inputs.len().checked_sub(NAMED + 1) {
        line("input", format!("and {} more", more + 1));
    }
    for (name, field) in [("done so far", "items"), ("failed", "failed_items"), ("read so far", "input_bytes")] {
        if let Some(number) = job["progress"][field].as_u64() {
            line(name, number.to_string());
        }
    }
    line("CPU time", format!("{:.3} s", job["cpu_ms"].as_f64().unwrap_or(0.0) / 1000.0));
    line("created", age(&job["created"]));
    if let (Some(began), ended) = (job["started"].as_u64(), job["ended"].as_u64()) {
        let until = ended.unwrap_or_else(|| u64::try_from(Moment::now().0).unwrap_or(0));
        line("time", format!("{:.1} s", until.saturating_sub(began) as f64 / 1000.0));
    }
    for (name, value) in job["labels"].as_object().into_iter().flatten() {
        line("label", report::escape(&format!("{name}={}", word(value))));
    }
    text
}

/// What a job has said so far, and what failed in it; or of one item that failed.
fn logs(connection: &Connection, path: &str, item: Option<u64>, json: bool) -> Result<Exit, Failure> {
    let job = connection.ask_well(&Asked::get(path))?;
    let of_item = item.map_or_else(String::new, |item| format!("?item={item}"));
    let fetch = |part: &str| {
        let answer = connection.ask(&Asked::get(&format!("{path}/{part}{of_item}")))?;
        match answer.status {
            200 => Ok(String::from_utf8_lossy(&answer.body).into_owned()),
            // There is none, or not yet.
            404 | 409 => Ok(String::new()),
            _ => Err(connection.refused(&answer)),
        }
    };
    let mut text = String::new();
    if let Some(item) = item
        && fetch("failures")?.is_empty()
    {
        return Err(Failure::input(format!("no item {item} of this job has failed")));
    }
    if !json {
        let said = fetch("log")?;
        let said = if said.is_empty() && item.is_none() { word(&job["message"]).to_owned() } else { said };
        text.extend(said.lines().map(|line| report::escape(line) + "\n"));
    }
    if item.is_some() || !job["failures"].is_null() {
        let lines = fetch("failures")?;
        let show = |line: &str| if json { line.to_owned() } else { report::escape(&outcome::described(line)) };
        // What is said of each is in the log as well, as far as that goes.
        let is_new = |line: &&str| json || !text.contains(&outcome::described(line));
        let shown: String = lines.lines().filter(is_new).map(|line| show(line) + "\n").collect();
        text.push_str(&shown);
    }
    Ok(report::text(&text))
}
