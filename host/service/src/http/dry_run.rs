//! A job that is asked for with `dry_run`: all is looked at that would be for a job, nothing is kept, and the answer tells what would
//! be done, or how it would be refused.

use std::collections::BTreeMap;

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::asked::{self, Asked, AskedInput, no_content, part};
use super::kernels::resolve;
use super::submit::{too_many, unknown_blob};
use super::{App, Problem, body, invoke};
use crate::blobs::{ContentName, Digest};
use crate::job::{Input, JobSpec, Parameters};
use crate::store::{contents, jobs};
use crate::tenant::{Caller, Quotas, TenantId};

/// Who says how something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SaidBy {
    Parameter,
    Kernel,
    /// Nobody.
    Default,
}

/// How something would be done, and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
struct Choice {
    how: String,
    said_by: SaidBy,
}

/// An input of a job that is not made.
#[derive(Debug, Serialize, ToSchema)]
struct PlannedInput {
    name: String,
    /// None of what is not stored.
    bytes: Option<u64>,
}

/// What would hold the job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlannedLimits)]
struct Held {
    /// Workers that it would have, at most.
    workers: u32,
    /// Bytes of memory of a worker's kernel.
    memory: u64,
    /// Bytes that its result may have: what is left of `stored_bytes` now.
    output: u64,
    /// Seconds of CPU time that are left of today's.
    cpu_seconds: u64,
    /// For so many seconds after its end what came of it would be kept.
    keep_seconds: u64,
}

/// What would be done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DryRun)]
pub(super) struct DryRunView {
    /// Whether the job would be taken.
    accepted: bool,
    /// How it would be refused: the answer that it would be given.
    #[schema(value_type = Option<Object>)]
    refusal: Option<Value>,
    /// The digest of the kernel; none when there is none.
    kernel: Option<String>,
    /// What the kernel is.
    kind: Option<String>,
    /// What an item would be, as `split` says it; none of a kernel that filters pictures, which are cut into rows.
    split: Option<Choice>,
    /// What would become of the results, as `merge` says it.
    merge: Option<Choice>,
    inputs: Vec<PlannedInput>,
    /// Bytes of all that are stored, or came with the request.
    input_bytes: u64,
    /// The name of the result, as its format is known by.
    result: String,
    parameters: Parameters,
    limits: Held,
}

/// What is stored of what a job needs.
struct Stored {
    /// Of each input its bytes, when it is there.
    bytes: Vec<Option<u64>>,
    total: u64,
    /// Bytes that texts of the request would add.
    more: u64,
    open: u64,
    /// How much is stored when what is asked for has no room.
    full: Option<u64>,
}

/// Looks at all of it, and says what would be done. `admitted` is whether any job would be taken now.
pub(super) async fn answer(
    app: &App,
    caller: &Caller,
    admitted: Result<(), Problem>,
    asked: Asked,
) -> Result<Response, Problem> {
    let (tenant, quotas) = (caller.tenant.id, caller.tenant.quotas);
    let mut refusals: Vec<Problem> = admitted.err().into_iter().collect();
    // A name may mean one thing now and another one then; and what it means may not be for running.
    let meant = invoke::digest(app, caller, asked.kernel()).await.map_err(|problem| refusals.push(problem));
    let meant = meant.map_or_else(|()| asked.kernel().to_owned(), |digest| digest.to_string());
    let kernel = resolve(app, caller, &meant).await.ok();
    refusals.extend(asked.callback().and_then(|callback| callback.check(app).err()));
    let digest = kernel.as_ref().and_then(|kernel| kernel.digest.parse().ok());
    let (spec, wanted) = plan(asked, digest.unwrap_or(Digest([0; 32])));
    let (kept, looked) = (spec.clone(), wanted.clone());
    let stored = app.read(move |rows| look(rows, tenant, &quotas, &kept, &looked)).await?;
    let mut sizes: Vec<Option<u64>> = Vec::new();
    for ((input, wanted), bytes) in spec.inputs.iter().zip(&wanted).zip(stored.bytes) {
        let size = match (wanted, bytes) {
            (Wanted::Nothing, _) => Err(no_content()),
            (Wanted::Blob(blob), None) => Err(unknown_blob(*blob)),
            (_, bytes) => part(input.range, bytes.unwrap_or_default()),
        };
        sizes.push(size.map_err(|problem| refusals.push(problem)).ok());
    }
    let room = quotas.stored_bytes.saturating_sub(stored.total);
    if stored.more > room {
        refusals.push(body::full(caller, stored.total));
    }
    refusals.extend(spec.check().err().map(|error| Problem::unprocessable("bad-job", error.to_string())));
    if stored.open >= u64::from(quotas.queued_jobs) {
        refusals.push(too_many(quotas.queued_jobs, stored.open));
    }
    refusals.extend(stored.full.map(|stored| body::full(caller, stored)));
    let input_bytes = sizes.iter().flatten().sum();
    let size = JobSpec { input_bytes, ..spec.clone() }.size();
    let info = kernel.as_ref().map(|kernel| &kernel.info);
    let (split, merge) = info.map_or((None, None), |info| shape(&spec.parameters, info));
    let used = app.shared.accounts.used_today(tenant).unwrap_or_default() / 1000;
    let memory = spec.parameters.memory.unwrap_or(quotas.worker_memory).min(quotas.worker_memory);
    let refusal = refusals.into_iter().next();
    Ok(Json(DryRunView {
        accepted: refusal.is_none(),
        refusal: refusal.map(Problem::told),
        kernel: kernel.as_ref().map(|kernel| kernel.digest.clone()),
        kind: info.and_then(|info| Some(info["kind"].as_str()?.to_owned())),
        split,
        merge,
        result: spec.result_name(),
        inputs: spec
            .inputs
            .into_iter()
            .zip(sizes)
            .map(|(input, bytes)| PlannedInput { name: input.name, bytes })
            .collect(),
        input_bytes,
        parameters: spec.parameters,
        limits: Held {
            workers: size.workers(app.shared.most_workers(tenant)),
            memory,
            output: room.saturating_sub(stored.more),
            cpu_seconds: quotas.cpu_seconds_per_day.saturating_sub(used),
            keep_seconds: spec.keep_seconds.unwrap_or(quotas.keep_seconds).min(quotas.keep_seconds),
        },
    })
    .into_response())
}

/// Where the content of an input is.
#[derive(Clone, Debug)]
enum Wanted {
    Blob(ContentName),
    Text(Digest, u64),
    Nothing,
}

/// The job that would be made, and what it needs.
fn plan(asked: Asked, kernel: Digest) -> (JobSpec, Vec<Wanted>) {
    let mut spec = asked.spec(kernel);
    let mut wanted = Vec::new();
    for (number, AskedInput { blob, text, name, range }) in asked.into_inputs().into_iter().enumerate() {
        let content = match (blob, text) {
            (Some(blob), None) => Wanted::Blob(blob),
            (None, Some(text)) if range.is_none() => Wanted::Text(Digest::of(text.as_bytes()), text.len() as u64),
            _ => Wanted::Nothing,
        };
        let blob = match content {
            Wanted::Blob(ContentName::Blake3(blob)) | Wanted::Text(blob, _) => blob,
            // What it is kept under makes no difference here.
            _ => Digest([0; 32]),
        };
        spec.inputs.push(Input { blob, name: name.unwrap_or_else(|| asked::named(number)), range });
        wanted.push(content);
    }
    (spec, wanted)
}

fn look(
    rows: &rusqlite::Connection,
    tenant: TenantId,
    quotas: &Quotas,
    spec: &JobSpec,
    wanted: &[Wanted],
) -> crate::store::Result<Stored> {
    let (mut bytes, mut new) = (Vec::new(), BTreeMap::new());
    for wanted in wanted {
        bytes.push(match wanted {
            Wanted::Blob(blob) => asked::find(rows, tenant, *blob)?.map(|(_, bytes)| bytes),
            Wanted::Text(digest, bytes) => {
                if contents::bytes(rows, tenant, digest)?.is_none() {
                    new.insert(*digest, contents::counted(*bytes));
                }
                Some(*bytes)
            }
            Wanted::Nothing => None,
        });
    }
    Ok(Stored {
        bytes,
        total: contents::total(rows, tenant)?,
        more: new.values().sum(),
        open: jobs::open_count(rows, tenant)?,
        full: jobs::lacks_room(rows, tenant, std::slice::from_ref(spec), quotas)?,
    })
}

/// What becomes of results, as far as it is known what the kernel says.
pub(super) fn merge_of(parameters: &Parameters, info: Option<&Value>) -> Option<String> {
    shape(parameters, info.unwrap_or(&Value::Null)).1.map(|merge| merge.how)
}

/// What an item would be, and what would become of results: a run decides it by the same words, in the same order.
fn shape(parameters: &Parameters, info: &Value) -> (Option<Choice>, Option<Choice>) {
    let choice = |how: &str, said_by| Some(Choice { how: how.to_owned(), said_by });
    let said = |parameter: &Option<String>, name: &str| {
        let kernel = info["description"][name].as_str().filter(|how| !how.is_empty());
        match (parameter, kernel) {
            (Some(how), _) => choice(how, SaidBy::Parameter),
            (None, Some(how)) => choice(how, SaidBy::Kernel),
            (None, None) => None,
        }
    };
    if info["is_image_filter"] == true {
        return (None, None);
    }
    let is_called = parameters.invoke.is_some();
    let usual = if is_called { "lines" } else { "whole" };
    let split = said(&parameters.split, "split").or_else(|| choice(usual, SaidBy::Default));
    let is_lines = is_called || split.as_ref().is_some_and(|split| split.how == "lines");
    let usual = if is_lines { "lines" } else { "concat" };
    let merge = said(&parameters.merge, "merge").or_else(|| choice(usual, SaidBy::Default));
    (split, merge)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_parameter_comes_before_the_kernel_and_the_kernel_before_what_is_usual() {
        let words = |parameters: Value, info: Value| {
            let parameters = serde_json::from_value(parameters).expect("parameters");
            let (split, merge) = shape(&parameters, &info);
            let word =
                |choice: Option<Choice>| choice.map_or(String::new(), |it| format!("{} {:?}", it.how, it.said_by));
            [word(split), word(merge)]
        };
        let nothing = json!({ "description": null, "is_image_filter": false });
        let lines = json!({ "description": { "split": "lines", "merge": "" } });
        assert_eq!(words(json!({}), nothing.clone()), ["whole Default", "concat Default"]);
        assert_eq!(words(json!({ "invoke": "f" }), nothing.clone()), ["lines Default", "lines Default"]);
        assert_eq!(words(json!({ "split": "lines" }), nothing), ["lines Parameter", "lines Default"]);
        assert_eq!(words(json!({}), lines.clone()), ["lines Kernel", "lines Default"]);
        assert_eq!(
            words(json!({ "split": "whole", "merge": "discard" }), lines),
            ["whole Parameter", "discard Parameter"]
        );
        assert_eq!(words(json!({}), json!({ "is_image_filter": true })), ["", ""]);
    }
}
