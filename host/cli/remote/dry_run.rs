//! `--dry-run` of a run that a service would do: what it says that it would do. For that, nothing is taken there.

use std::fmt::Write as _;

use serde_json::{Value, json};
use taskhost_data::size::{human_size, size_name};

use super::connection::{Asked, Connection, Content, refusal};
use super::upload;
use super::wanted::Wanted;
use crate::exit_code::{Exit, Failure};
use crate::output::Place;
use crate::report;

/// Inputs that are listed by name.
const LISTED: usize = 10;

/// Asks the service, and prints the plan. How it would be refused is the failure that the run would be.
pub(super) fn tell(connection: &Connection, wanted: &Wanted<'_>) -> Result<Exit, Failure> {
    let Some(work) = wanted.works.first() else { return Ok(Exit::Done) };
    let (kernel, to_send) = upload::known_kernel(connection, wanted)?;
    // What is not there yet is not taken there: a text of no bytes stands for each input.
    let inputs = vec![json!({ "text": "" }); work.inputs.len()];
    let mut body = wanted.body(&kernel, work, &inputs);
    body["dry_run"] = json!(true);
    let head = vec![("content-type", "application/json".to_owned())];
    let content = Content::Bytes(body.to_string().into_bytes());
    let view = connection.ask_well(&Asked { method: "POST", path: "/v1/jobs", head, content })?;
    let refused = &view["refusal"];
    let is_for_the_kernel = to_send.is_some() && refused["code"] == "not-found";
    if !refused.is_null() && !is_for_the_kernel {
        let status = refused["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(500);
        return Err(refusal(status, refused));
    }
    Ok(report::text(&page(wanted, &view, &kernel, to_send.is_some())))
}

fn page(wanted: &Wanted<'_>, view: &Value, kernel: &str, is_to_be_sent: bool) -> String {
    let mut text = String::new();
    let word = |value: &Value| report::escape(value.as_str().unwrap_or_default());
    if is_to_be_sent {
        let _ = writeln!(text, "kernel   {kernel} (not there yet: it would be taken there, and looked at)");
    } else {
        let _ = writeln!(text, "kernel   {} ({})", word(&view["kernel"]), word(&view["kind"]));
    }
    for name in ["split", "merge"] {
        match view[name]["how"].as_str() {
            Some(how) => {
                let by = if view[name]["said_by"] == "parameter" { "flag" } else { &word(&view[name]["said_by"]) };
                let by = if by == "kernel" { "the kernel" } else { by };
                let _ = writeln!(text, "{name}    {} (by {by})", report::escape(how));
            }
            None if is_to_be_sent => {
                let _ = writeln!(text, "{name}    as the kernel says");
            }
            None => {}
        }
    }
    let inputs = wanted.works.iter().flat_map(|work| &work.inputs);
    let (count, size) = (inputs.clone().count(), wanted.bytes().map_or("size unknown".to_owned(), human_size));
    let _ = writeln!(text, "inputs   {}, {size}", report::count(count as u64, "input"));
    for input in inputs.take(LISTED) {
        let _ = writeln!(text, "           {}", report::escape(&input.name));
    }
    if count > LISTED {
        let _ = writeln!(text, "           … and {} more", count - LISTED);
    }
    let limits = &view["limits"];
    let number = |name: &str| limits[name].as_u64().unwrap_or_default();
    let jobs = report::count(wanted.works.len() as u64, "job");
    let _ =
        writeln!(text, "service  {jobs}, {} of CPU time left today", report::count(number("cpu_seconds"), "second"));
    let _ = writeln!(
        text,
        "limits   {} of memory a worker, {} for results",
        size_name(number("memory")),
        human_size(number("output"))
    );
    let place = match wanted.works.first().map(|work| &work.place) {
        Some(Place::File(_)) if wanted.is_many => "a file for each input".to_owned(),
        Some(Place::File(path)) => path.display().to_string(),
        _ => "standard output".to_owned(),
    };
    let _ = writeln!(text, "output   {place}");
    text
}
