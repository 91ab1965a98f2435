//! What a job is to do, as it is asked for and kept; and as arguments of `taskhost run`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::JobId;
use crate::blobs::Digest;

/// A job that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SpecError(String);

/// Most inputs of a job.
const MOST_INPUTS: usize = 1000;
/// Most words of any list, and most labels.
const MOST_WORDS: usize = 256;
/// Longest word.
const WORD_BYTES: usize = 4096;
/// Longest name and longest value of a label.
const LABEL_BYTES: usize = 256;
/// Longest time for which what came of a job is kept, in seconds: ten years.
const MOST_KEPT: u64 = 10 * 365 * 24 * 60 * 60;

/// One input, which is stored already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Input {
    /// Its content.
    #[cfg_attr(feature = "http", schema(value_type = String))]
    pub blob: Digest,
    /// What messages call it; its ending says what format it has.
    pub name: String,
}

/// How a kernel is run: what the flags of `taskhost run` of the same names say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "each is the flag of its name")]
pub struct Parameters {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoke: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge: Option<String>,
    pub header: bool,
    pub keep_header: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fresh: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_error: Option<String>,
}

/// A job as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The kernel; never an alias, which may mean something else later.
    pub kernel: Digest,
    /// The inputs, in order.
    pub inputs: Vec<Input>,
    /// Bytes of them.
    pub input_bytes: u64,
    /// The ending of the result's name, which says in which format a picture is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// How.
    #[serde(default)]
    pub parameters: Parameters,
    /// What whoever submitted it finds it by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// For so many seconds after its end what came of it is kept; what the tenant's quota says when none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_seconds: Option<u64>,
    /// The job whose failed items these are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<JobId>,
}

/// What the service says about a run, whatever the job asks for.
#[derive(Clone, Copy, Debug)]
pub struct Allowed<'a> {
    /// Workers.
    pub workers: u32,
    /// Bytes of memory of a worker's kernel.
    pub memory: u64,
    /// `--sandbox`.
    pub sandbox: &'a str,
}

fn fail<T>(text: impl Into<String>) -> Result<T, SpecError> {
    Err(SpecError(text.into()))
}

fn check_word(what: &str, word: &str) -> Result<(), SpecError> {
    if word.len() > WORD_BYTES || word.contains('\0') {
        return fail(format!("{what} has more than {WORD_BYTES} bytes, or a NUL among them"));
    }
    Ok(())
}

/// Whether this can be the name of a file in any folder, shown anywhere.
fn check_file_name(name: &str) -> Result<(), SpecError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+ ".contains(&byte);
    let is_name = (1..=128).contains(&name.len()) && name.bytes().all(is_plain) && !name.starts_with(['.', '-', ' ']);
    if is_name { Ok(()) } else { fail(format!("{name:?} is no name of an input: letters, digits, and `._-+ ` inside")) }
}

impl JobSpec {
    /// Says what is wrong with it, as far as that can be said without running it.
    ///
    /// # Errors
    /// When something is.
    pub fn check(&self) -> Result<(), SpecError> {
        if self.inputs.is_empty() || self.inputs.len() > MOST_INPUTS {
            return fail(format!("a job has from 1 to {MOST_INPUTS} inputs"));
        }
        self.inputs.iter().try_for_each(|input| check_file_name(&input.name))?;
        if let Some(output) = &self.output {
            let is_ending = (1..=16).contains(&output.len()) && output.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !is_ending {
                return fail("output is the ending of a name, such as png");
            }
        }
        let Parameters { config, arguments, invoke, .. } = &self.parameters;
        if config.len().max(arguments.len()).max(self.labels.len()) > MOST_WORDS {
            return fail(format!("config, arguments and labels have {MOST_WORDS} entries at most"));
        }
        if invoke.as_ref().is_some_and(|invoke| invoke.contains('(')) {
            return fail("invoke is the name of a function; arguments come with the input, a line for each call");
        }
        let is_long = |word: &String| word.len() > LABEL_BYTES;
        if self.labels.iter().any(|(name, value)| name.is_empty() || is_long(name) || is_long(value)) {
            return fail(format!("names and values of labels have {LABEL_BYTES} bytes at most"));
        }
        if self.keep_seconds.is_some_and(|seconds| seconds > MOST_KEPT) {
            return fail(format!("keep_seconds is {MOST_KEPT} at most"));
        }
        let pairs = config.iter().chain(&self.labels).flat_map(|(name, value)| [name, value]);
        pairs.chain(arguments).chain(self.parameters.texts()).try_for_each(|word| check_word("a word", word))
    }

    /// How many workers it is worth: of a small input one has done all before another could have begun.
    #[must_use]
    pub fn workers(&self, most: u32) -> u32 {
        const SMALL: u64 = 64 << 10;
        let asked = self.parameters.workers.unwrap_or(u32::MAX).clamp(1, most.max(1));
        if self.input_bytes <= SMALL { self.parameters.workers.map_or(1, |_| asked) } else { asked }
    }

    /// The arguments of `taskhost run` in the folder where the kernel and the inputs are laid out. Nothing that a user wrote
    /// stands where a flag could: values are joined to their flags, files are named by the service.
    #[must_use]
    pub fn arguments(&self, allowed: Allowed<'_>) -> Vec<String> {
        let mut words = vec!["run".to_owned()];
        let mut flag = |name: &str, value: String| words.push(format!("--{name}={value}"));
        flag("output", self.result_name());
        flag("journal", "journal".into());
        flag("errors", "errors.jsonl".into());
        flag("report", "report.json".into());
        flag("progress", "never".into());
        flag("progress-file", PROGRESS.into());
        flag("workers", allowed.workers.to_string());
        flag("sandbox", allowed.sandbox.into());
        let parameters = &self.parameters;
        flag("memory", parameters.memory.unwrap_or(allowed.memory).min(allowed.memory).to_string());
        for (name, value) in &parameters.config {
            flag("config", format!("{name}={value}"));
        }
        let texts = [
            ("invoke", &parameters.invoke),
            ("split", &parameters.split),
            ("merge", &parameters.merge),
            ("size", &parameters.size),
            ("sample", &parameters.sample),
            ("fresh", &parameters.fresh),
            ("timeout", &parameters.timeout),
            ("deadline", &parameters.deadline),
            ("on-error", &parameters.on_error),
        ];
        for (name, text) in texts {
            text.iter().for_each(|text| flag(name, text.clone()));
        }
        let numbers = [
            ("channels", parameters.channels.map(u64::from)),
            ("batch", parameters.batch),
            ("max-output", parameters.max_output),
            ("fuel", parameters.fuel),
            ("retries", parameters.retries.map(u64::from)),
        ];
        for (name, number) in numbers {
            number.iter().for_each(|number| flag(name, number.to_string()));
        }
        // Workers of several jobs share the cores, turn by turn.
        words.extend(["--no-pin", "--sync"].map(str::to_owned));
        words.extend(parameters.header.then(|| "--header".to_owned()));
        words.extend(parameters.keep_header.then(|| "--keep-header".to_owned()));
        words.push(KERNEL.into());
        words.extend((0..self.inputs.len()).map(|number| self.input_name(number)));
        if !parameters.arguments.is_empty() {
            words.push("--".into());
            words.extend(parameters.arguments.iter().cloned());
        }
        words
    }

    /// The name of an input in the job's folder: its number keeps two of one name apart.
    #[must_use]
    pub fn input_name(&self, number: usize) -> String {
        format!("in-{number}-{}", self.inputs[number].name)
    }

    /// The name of the result in the job's folder.
    #[must_use]
    pub fn result_name(&self) -> String {
        let own = self.inputs.first().and_then(|input| Some(Path::new(&input.name).extension()?.to_str()?.to_owned()));
        match self.output.clone().or(own) {
            Some(ending) => format!("result.{ending}"),
            None => "result".to_owned(),
        }
    }
}

/// The kernel's name in the job's folder.
pub(super) const KERNEL: &str = "kernel.wasm";

/// The name of the file in the job's folder that says how far its run is.
pub(super) const PROGRESS: &str = "progress.json";

impl Parameters {
    fn texts(&self) -> impl Iterator<Item = &String> {
        let all = [&self.invoke, &self.split, &self.merge, &self.size, &self.sample, &self.fresh, &self.timeout];
        all.into_iter().chain([&self.deadline, &self.on_error]).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> JobSpec {
        JobSpec {
            kernel: Digest::of(b"kernel"),
            inputs: vec![Input { blob: Digest::of(b"input"), name: "a.png".into() }],
            input_bytes: 1 << 20,
            output: None,
            parameters: Parameters::default(),
            labels: BTreeMap::new(),
            keep_seconds: None,
            retry_of: None,
        }
    }

    const ALLOWED: Allowed<'_> = Allowed { workers: 2, memory: 1 << 20, sandbox: "full" };

    #[test]
    fn nothing_that_a_user_wrote_stands_where_a_flag_could() {
        let mut spec = spec();
        spec.parameters.split = Some("--sandbox=off".into());
        spec.parameters.config.insert("--dir".into(), "/".into());
        spec.parameters.arguments = vec!["--sandbox=off".into()];
        spec.check().expect("it makes as much sense as can be seen");
        let words = spec.arguments(ALLOWED);
        let end = words.iter().position(|word| word == "--").expect("the end of flags");
        let flags: Vec<_> =
            words[..end].iter().filter(|word| word.contains("sandbox") || word.contains("dir")).collect();
        assert_eq!(flags, ["--sandbox=full", "--config=--dir=/", "--split=--sandbox=off"]);
    }

    #[test]
    fn memory_is_what_is_allowed_at_most() {
        let mut spec = spec();
        for (asked, given) in [(None, 1 << 20), (Some(1 << 30), 1 << 20), (Some(1 << 16), 1 << 16)] {
            spec.parameters.memory = asked;
            assert!(spec.arguments(ALLOWED).contains(&format!("--memory={given}")));
        }
    }

    #[test]
    fn names_of_inputs_are_no_paths() {
        for name in ["", "..", "../x", "a/b", ".hidden", "-o", "a\0b", "ä", &"x".repeat(200)] {
            let mut spec = spec();
            spec.inputs[0].name = name.into();
            assert!(spec.check().is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_small_input_is_worth_one_worker() {
        let mut spec = spec();
        assert_eq!(spec.workers(4), 4);
        spec.input_bytes = 100;
        assert_eq!(spec.workers(4), 1);
        spec.parameters.workers = Some(9);
        assert_eq!(spec.workers(4), 4);
    }
}
