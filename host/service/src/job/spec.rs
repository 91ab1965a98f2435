//! What a job is to do, as it is asked for and kept; and as arguments of `taskhost run`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::report::{self, ReportForm};
use super::{JobId, Urgency};
use crate::blobs::{Digest, Range};

/// A job that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SpecError(pub(super) String);

/// Most inputs of a job.
pub const MOST_INPUTS: usize = 1000;
/// Most words of any list, and most labels.
const MOST_WORDS: usize = 256;
/// Longest word.
const WORD_BYTES: usize = 4096;
/// Longest name and longest value of a label.
const LABEL_BYTES: usize = 256;
/// Bytes of all that is asked for, written as JSON, but for what is stored: many that wait or are listed are many times that.
const SPEC_BYTES: usize = 256 << 10;
/// Longest name of an input.
pub const NAME_BYTES: usize = 1024;
/// Longest time for which what came of a job is kept, in seconds: ten years.
const MOST_KEPT: u64 = 10 * 365 * 24 * 60 * 60;

/// One input, which is stored already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Input {
    /// Its content.
    #[cfg_attr(feature = "http", schema(value_type = String))]
    pub blob: Digest,
    /// What messages and the kernel call it; its ending says what format it has.
    pub name: String,
    /// The bytes of it that are the input, from the first up to the second exclusively; all when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "http", schema(value_type = Option<[u64; 2]>))]
    pub range: Option<Range>,
}

impl Input {
    /// All of a content.
    #[must_use]
    pub fn whole(blob: Digest, name: String) -> Self {
        Self { blob, name, range: None }
    }
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
    /// Keep a report of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportForm>,
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
    /// Which of its tenant's jobs it comes before.
    #[serde(default, flatten)]
    pub urgency: Urgency,
}

/// How large and how urgent a job is: what has to be at hand of one that waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobSize {
    input_bytes: u64,
    workers: Option<u32>,
    pub(super) urgency: Urgency,
}

impl JobSize {
    /// How many workers it is worth: of a small input one has done all before another could have begun.
    #[must_use]
    pub fn workers(self, most: u32) -> u32 {
        const SMALL: u64 = 64 << 10;
        let asked = self.workers.unwrap_or(u32::MAX).clamp(1, most.max(1));
        if self.input_bytes <= SMALL { self.workers.map_or(1, |_| asked) } else { asked }
    }
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
    /// Bytes of the result.
    pub output: u64,
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

/// Whether an input can be called so wherever it is shown. It names no file.
fn check_name(name: &str) -> Result<(), SpecError> {
    if (1..=NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    fail(format!("the name of an input has from 1 to {NAME_BYTES} bytes, and no control characters"))
}

/// Whether this can be the ending of a file's name.
fn check_ending(ending: &str) -> Result<(), SpecError> {
    let is_ending = (1..=16).contains(&ending.len()) && ending.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_ending { Ok(()) } else { fail("output is the ending of a name, such as png") }
}

/// What can stand in the name of a file in any folder.
fn is_plain(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || "._-+".contains(sign)
}

#[cfg(test)]
impl JobSpec {
    /// One over these inputs of which nothing else is said, for tests.
    pub(crate) fn over(inputs: Vec<Input>) -> Self {
        Self {
            kernel: Digest::of(b""),
            inputs,
            input_bytes: 0,
            output: None,
            parameters: Parameters::default(),
            labels: BTreeMap::new(),
            keep_seconds: None,
            retry_of: None,
            urgency: Urgency::default(),
        }
    }
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
        self.inputs.iter().try_for_each(|input| check_name(&input.name))?;
        self.urgency.check()?;
        if let Some(output) = &self.output {
            check_ending(output)?;
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
        pairs.chain(arguments).chain(self.parameters.texts()).try_for_each(|word| check_word("a word", word))?;
        if serde_json::to_vec(self).map_or(usize::MAX, |text| text.len()) > SPEC_BYTES {
            return fail(format!("what is asked for has more than {} KiB beside the inputs", SPEC_BYTES >> 10));
        }
        Ok(())
    }

    /// Bytes of parts of contents, which are laid out as copies while the job runs.
    #[must_use]
    pub fn copied(&self) -> u64 {
        let parts = self.inputs.iter().filter_map(|input| input.range);
        parts.fold(0, |all, Range(begin, end)| all.saturating_add(end.saturating_sub(begin)))
    }

    /// What of it says how many workers it is worth, and when.
    #[must_use]
    pub fn size(&self) -> JobSize {
        JobSize { input_bytes: self.input_bytes, workers: self.parameters.workers, urgency: self.urgency }
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
        flag("report", report::FACTS.into());
        if self.parameters.report == Some(ReportForm::Html) {
            flag("page", report::PAGE.into());
            report::command(self).into_iter().for_each(|word| flag("as-typed", word));
        }
        flag("progress", "never".into());
        flag("progress-file", PROGRESS.into());
        flag("workers", allowed.workers.to_string());
        flag("sandbox", allowed.sandbox.into());
        let parameters = &self.parameters;
        flag("most-output", allowed.output.to_string());
        self.inputs.iter().for_each(|input| flag("input-name", input.name.clone()));
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
        // Workers of several jobs share the cores, turn by turn, and calls come in between.
        words.extend(["--no-pin", "--sync", "--brief"].map(str::to_owned));
        words.extend(parameters.header.then(|| "--header".to_owned()));
        words.extend(parameters.keep_header.then(|| "--keep-header".to_owned()));
        words.push(KERNEL.into());
        words.extend((0..self.inputs.len()).map(|number| self.file_name(number)));
        if !parameters.arguments.is_empty() {
            words.push("--".into());
            words.extend(parameters.arguments.iter().cloned());
        }
        words
    }

    /// The name of an input's file in the job's folder: its number keeps two of one name apart, and its ending says what it is.
    #[must_use]
    pub fn file_name(&self, number: usize) -> String {
        /// So much of a name is kept, from its end.
        const KEPT: usize = 64;
        let mut end: Vec<char> = self.inputs[number].name.chars().rev().take_while(|sign| is_plain(*sign)).collect();
        end.truncate(KEPT);
        format!("in-{number}-{}", end.iter().rev().collect::<String>())
    }

    /// What a run has said, with inputs called as their owner calls them.
    #[must_use]
    pub fn as_named(&self, said: String) -> String {
        let all = 0..self.inputs.len();
        all.fold(said, |said, number| said.replace(&self.file_name(number), &self.inputs[number].name))
    }

    /// The name of the result in the job's folder.
    #[must_use]
    pub fn result_name(&self) -> String {
        let ending = |name: String| {
            let ending = Path::new(&name).extension()?.to_str()?.to_owned();
            check_ending(&ending).ok().map(|()| ending)
        };
        let own = (!self.inputs.is_empty()).then(|| self.file_name(0)).and_then(ending);
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
pub(super) mod tests {
    use super::*;

    pub(in crate::job) fn spec() -> JobSpec {
        let inputs = vec![Input::whole(Digest::of(b"input"), "a.png".into())];
        JobSpec { kernel: Digest::of(b"kernel"), input_bytes: 1 << 20, ..JobSpec::over(inputs) }
    }

    const ALLOWED: Allowed<'_> = Allowed { workers: 2, memory: 1 << 20, sandbox: "full", output: 1000 };

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
    fn an_input_is_called_whatever_its_owner_likes_and_that_is_no_path() {
        for (name, file) in [
            ("a.png", "in-0-a.png"),
            ("../../etc/passwd", "in-0-passwd"),
            ("folder/..", "in-0-.."),
            ("-o", "in-0--o"),
            ("ä b.csv.gz", "in-0-b.csv.gz"),
            ("/", "in-0-"),
            ("--sandbox=off", "in-0-off"),
        ] {
            let mut spec = spec();
            spec.inputs[0].name = name.into();
            spec.check().expect("it is a name");
            assert_eq!(spec.file_name(0), file);
            let words = spec.arguments(ALLOWED);
            assert!(words.contains(&format!("--input-name={name}")) && words.contains(&file.to_owned()), "{words:?}");
        }
        let mut spec = spec();
        spec.inputs[0].name = "x".repeat(NAME_BYTES);
        assert_eq!((spec.check(), spec.file_name(0).len()), (Ok(()), 69));
        for name in ["", "a\0b", "a\nb", "a\u{1b}[31m", &"x".repeat(NAME_BYTES + 1)] {
            spec.inputs[0].name = name.into();
            assert!(spec.check().is_err(), "{name:?}");
        }
    }

    #[test]
    fn what_is_asked_for_is_no_input() {
        let mut spec = spec();
        spec.inputs = vec![Input::whole(Digest::of(b""), "input".into()); MOST_INPUTS];
        assert_eq!(spec.check(), Ok(()));
        spec.parameters.arguments = vec!["x".repeat(WORD_BYTES); 60];
        assert!(spec.check().is_err_and(|error| error.to_string().contains("256 KiB")));
    }

    #[test]
    fn the_ending_of_a_result_is_one() {
        for (name, result) in [("a.png", "result.png"), ("a", "result"), ("a.b-c", "result"), ("a/.x/b", "result")] {
            let mut spec = spec();
            spec.inputs[0].name = name.into();
            assert_eq!(spec.result_name(), result, "{name}");
        }
    }

    #[test]
    fn what_the_service_says_of_a_run_is_always_said() {
        let mut spec = spec();
        spec.parameters.batch = Some(u64::MAX);
        let words = spec.arguments(ALLOWED);
        for word in ["--brief", "--most-output=1000", "--no-pin", "--sync"] {
            assert!(words.iter().any(|said| said == word), "{word} is not in {words:?}");
        }
    }

    #[test]
    fn a_part_lies_in_its_content() {
        assert_eq!(
            [Range(0, 10), Range(3, 7), Range(10, 10)].map(|range| range.bytes_of(10)),
            [Some(10), Some(4), Some(0)]
        );
        assert_eq!([Range(0, 11), Range(7, 3), Range(u64::MAX, 0)].map(|range| range.bytes_of(10)), [None; 3]);
        let mut spec = spec();
        assert!(!serde_json::to_string(&spec).expect("text").contains("range"));
        spec.inputs[0].range = Some(Range(3, 7));
        assert!(serde_json::to_string(&spec).expect("text").contains(r#""range":[3,7]"#));
        assert_eq!(spec.copied(), 4);
    }

    #[test]
    fn a_small_input_is_worth_one_worker() {
        let mut spec = spec();
        assert_eq!(spec.size().workers(4), 4);
        spec.input_bytes = 100;
        assert_eq!(spec.size().workers(4), 1);
        spec.parameters.workers = Some(9);
        assert_eq!(spec.size().workers(4), 4);
    }
}
