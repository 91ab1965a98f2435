//! A job as it is asked for in JSON, and what becomes of that: inputs that are stored, and a job over them.

use std::collections::BTreeMap;
use std::fmt;

use rusqlite::Connection;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Fresh;
use super::callback::Callback;
use super::submit::{check, unknown_blob};
use super::{App, Problem, body};
use crate::blobs::{ContentName, Digest, Range};
use crate::job::{Input, JobSpec, MOST_INPUTS, Parameters, Urgency};
use crate::store::{self, contents, names};
use crate::tenant::{Caller, TenantId};

/// A job as it is asked for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = NewJob)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// A digest, or an alias.
    kernel: String,
    /// One input, or several in order.
    #[serde(deserialize_with = "one_or_more")]
    input: Vec<AskedInput>,
    /// The ending of the result's name, which says in which format a picture is written.
    output: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    /// What you find it by.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// For so many seconds after its end what came of it is kept.
    keep_seconds: Option<u64>,
    /// Of your jobs, those with more of it are begun first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = -100, maximum = 100)]
    priority: Option<i32>,
    /// Of jobs of one priority, the one that is to be ready first is begun first: milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ready_by: Option<i64>,
    /// A place that is told of the end of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    callback: Option<Callback>,
    /// Only say what would be done, and keep nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

/// An input: stored already, or the content itself.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = NewInput)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedInput {
    /// The digest of what is stored already, `blake3:…` or `sha256:…` …
    #[schema(value_type = Option<String>)]
    pub(super) blob: Option<ContentName>,
    /// … or the content itself.
    pub(super) text: Option<String>,
    /// What messages call it; its ending says what format it has.
    pub(super) name: Option<String>,
    /// Of a blob, the bytes that are the input: from the first up to the second exclusively.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<[u64; 2]>)]
    pub(super) range: Option<Range>,
}

/// What messages call an input that has no name.
pub(super) fn named(number: usize) -> String {
    format!("input{number}")
}

impl AskedInput {
    /// The input of this number, whatever it consists of.
    fn unknown((number, input): (usize, &Self)) -> Input {
        let name = input.name.clone().unwrap_or_else(|| named(number));
        Input { blob: Digest([0; 32]), name, range: input.range }
    }
}

fn one_or_more<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<AskedInput>, D::Error> {
    struct OneOrMore;

    impl<'de> Visitor<'de> for OneOrMore {
        type Value = Vec<AskedInput>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an input, such as {\"text\": \"…\"} or {\"blob\": \"blake3:…\"}, or a list of these")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            AskedInput::deserialize(MapAccessDeserializer::new(map)).map(|input| vec![input])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut inputs = Vec::new();
            while let Some(input) = list.next_element()? {
                // What is too much is not kept in memory until it is said.
                if inputs.len() == MOST_INPUTS {
                    return Err(A::Error::custom(format!("a job has from 1 to {MOST_INPUTS} inputs")));
                }
                inputs.push(input);
            }
            Ok(inputs)
        }
    }

    deserializer.deserialize_any(OneOrMore)
}

impl Asked {
    /// What is asked for the kernel by.
    pub(super) fn kernel(&self) -> &str {
        &self.kernel
    }

    /// The job without its inputs.
    pub(super) fn spec(&self, kernel: Digest) -> JobSpec {
        let Self { output, parameters, labels, keep_seconds, priority, ready_by, .. } = self;
        JobSpec {
            kernel,
            inputs: Vec::new(),
            input_bytes: 0,
            output: output.clone(),
            parameters: parameters.clone(),
            labels: labels.clone(),
            keep_seconds: *keep_seconds,
            retry_of: None,
            urgency: Urgency { priority: priority.unwrap_or_default(), ready_by: *ready_by },
        }
    }

    /// Says what is wrong with it, whatever its kernel and its inputs are.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let inputs = self.input.iter().enumerate().map(AskedInput::unknown).collect();
        check(&JobSpec { inputs, ..self.spec(Digest([0; 32])) })
    }

    /// Bytes of memory that it takes, about: those of its texts, and of what holds them.
    pub(super) fn weight(&self) -> usize {
        let held = |text: &String| size_of::<String>() + text.len();
        let Parameters { arguments, config, .. } = &self.parameters;
        let pairs = config.iter().chain(&self.labels).map(|(name, value)| held(name) + held(value));
        let input = |input: &AskedInput| {
            let texts = input.text.iter().chain(&input.name).map(String::len).sum::<usize>();
            size_of::<AskedInput>() + texts
        };
        let inputs = self.input.iter().map(input);
        size_of::<Self>() + arguments.iter().map(held).chain(pairs).chain(inputs).sum::<usize>()
    }

    /// Lays down those inputs that stand in the request, and finds the others. It was checked.
    pub(super) async fn keep(self, app: &App, caller: &Caller, kernel: Digest) -> Result<(JobSpec, Fresh), Problem> {
        let (mut places, mut texts) = (Vec::new(), Vec::new());
        let mut spec = self.spec(kernel);
        for input in self.input {
            places.push(match (input.blob, input.text) {
                (Some(blob), None) => {
                    let (blob, bytes) = stored(app, caller.tenant.id, blob).await?;
                    let bytes = part(input.range, bytes)?;
                    (Some((blob, bytes)), input.name, input.range)
                }
                (None, Some(text)) if input.range.is_none() => {
                    texts.push(text);
                    (None, input.name, None)
                }
                _ => return Err(no_content()),
            });
        }
        let fresh = body::lay_down(app, caller, texts).await?;
        let mut laid = fresh.iter();
        for (number, (known, name, range)) in places.into_iter().enumerate() {
            // There is one for each text.
            let Some((blob, bytes)) = known.or_else(|| laid.next().copied()) else { continue };
            spec.input_bytes += bytes;
            spec.inputs.push(Input { blob, name: name.unwrap_or_else(|| named(number)), range });
        }
        Ok((spec, fresh))
    }

    /// The inputs that are asked for.
    pub(super) fn into_inputs(self) -> Vec<AskedInput> {
        self.input
    }

    /// How many inputs stand in it.
    pub(super) fn texts(&self) -> usize {
        self.input.iter().filter(|input| input.text.is_some()).count()
    }

    /// Who is told of the end of the job alone.
    pub(super) fn callback(&self) -> Option<Callback> {
        self.callback.clone()
    }

    /// Whether it is only asked what would be done.
    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run
    }
}

async fn stored(app: &App, tenant: TenantId, name: ContentName) -> Result<(Digest, u64), Problem> {
    let found = app.read(move |rows| find(rows, tenant, name)).await?;
    found.ok_or_else(|| unknown_blob(name))
}

/// What a content of a tenant is kept under, and how many bytes it has.
pub(super) fn find(rows: &Connection, tenant: TenantId, name: ContentName) -> store::Result<Option<(Digest, u64)>> {
    let Some(digest) = names::content(rows, tenant, name)? else { return Ok(None) };
    Ok(contents::bytes(rows, tenant, &digest)?.map(|bytes| (digest, bytes)))
}

/// An input that is nothing, or two things.
pub(super) fn no_content() -> Problem {
    Problem::unprocessable("bad-job", "an input has either a blob or a text, and only a blob has a range")
}

/// How many bytes of a content of so many are the input.
pub(super) fn part(range: Option<Range>, bytes: u64) -> Result<u64, Problem> {
    let outside = || {
        Problem::unprocessable(
            "bad-range",
            format!("a range is [FIRST, END], with FIRST at most END and END at most {bytes}, the bytes of its blob"),
        )
    };
    range.map_or(Ok(bytes), |range| range.bytes_of(bytes).ok_or_else(outside))
}
