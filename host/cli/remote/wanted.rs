//! A run as it was typed, as a job: what a service takes is sent as it stands there, what it does not take is refused by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _};
use serde_json::{Map, Value, json};
use taskhost_data::formats::packing_of;
use taskhost_service::job::NAME_BYTES;

use super::Address;
use crate::args::{Arguments, RunArguments, ThereArguments};
use crate::exit_code::Failure;
use crate::feed::name_of;
use crate::inputs::Found;
use crate::inputs::outputs::{Output as Named, OutputNames};
use crate::output::{self, Place};
use crate::report::html::is_wanted;
use crate::run::{self, Given, clashes};

/// Flags whose values are sent as they were typed.
const TEXTS: [&str; 9] = ["invoke", "split", "merge", "size", "sample", "fresh", "timeout", "deadline", "on_error"];
/// Flags whose values are numbers.
const NUMBERS: [&str; 5] = ["channels", "workers", "batch", "fuel", "retries"];
/// Flags without a value.
const SWITCHES: [&str; 2] = ["header", "keep_header"];
/// Flags that are sent in a form of their own.
const OTHERS: [&str; 6] = ["config", "arguments", "memory", "max_output", "report", "priority"];
/// Flags that are for this side, or that a service has anyhow.
const OURS: [&str; 20] = [
    "kernel",
    "inputs",
    "input",
    "input_list",
    "null",
    "glob",
    "hidden",
    "output",
    "skip_existing",
    "errors",
    "progress",
    "quiet",
    "no_pin",
    "sync",
    "drain_timeout",
    "insistence",
    "server",
    "token_file",
    "server_ca",
    "dry_run",
];
/// A word that is one of the flag's values, and the same as leaving it out.
const USUAL: [(&str, &str); 3] = [("workers", "physical"), ("workers", "logical"), ("batch", "auto")];

/// One input, as it is called here and there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Input {
    /// Where it is; `None` for standard input.
    pub(super) path: Option<PathBuf>,
    /// What messages call it, here and there.
    pub(super) name: String,
}

/// What becomes one job.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) inputs: Vec<Input>,
    /// Where its result goes: a file, or standard output.
    pub(super) place: Place,
}

/// What is wanted of a service.
pub(super) struct Wanted<'a> {
    pub(super) arguments: &'a RunArguments,
    /// One job, or one for each input when each has a result of its own.
    pub(super) works: Vec<Work>,
    pub(super) is_many: bool,
    /// Inputs that were left out, since their results are there.
    pub(super) left_out: u64,
    parameters: Value,
    there: ThereArguments,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(arguments: &'a RunArguments, there: ThereArguments, address: &Address) -> Result<Self, Failure> {
        let matches = typed()?;
        refuse(&matches, arguments, address)?;
        run::misplaced_kernel(arguments)?;
        crate::invoke::check_flags(arguments)?;
        let place = output::place(arguments.output.output.as_deref())?;
        if arguments.report.report.is_some() && matches!(place, Place::PerInput(_)) {
            return Err(Failure::usage(
                "--report is of one job, and a service makes a job of each input that has a result of its own: name one \
                 file with -o",
            ));
        }
        let found = find_inputs(arguments, &place)?;
        let mut parameters = parameters(&matches, arguments)?;
        let (is_many, all) = (matches!(place, Place::PerInput(_)), found.len());
        let works = works(arguments, place, found)?;
        if is_many && !is_typed(&matches, "on_error") {
            // As here: an item that fails costs its own result a part, and no other anything.
            parameters["on_error"] = json!("skip");
        }
        let left_out = if is_many { (all - works.len()) as u64 } else { 0 };
        Ok(Self { arguments, works, is_many, left_out, parameters, there })
    }

    /// The request for the job. Each input is what stands for it: a blob, or a text.
    pub(super) fn body(&self, kernel: &str, work: &Work, inputs: &[Value]) -> Value {
        let named = inputs.iter().zip(&work.inputs).map(|(content, input)| {
            let mut content = content.clone();
            content["name"] = json!(input.name);
            content
        });
        let mut body = json!({
            "kernel": kernel,
            "input": named.collect::<Vec<_>>(),
            "parameters": self.parameters,
        });
        if let Some(output) = ending(&work.place, &work.inputs[0]) {
            body["output"] = json!(output);
        }
        if let Some(priority) = self.there.priority {
            body["priority"] = json!(priority);
        }
        body
    }

    /// Bytes of all inputs, when that is known.
    pub(super) fn bytes(&self) -> Option<u64> {
        let inputs = self.works.iter().flat_map(|work| &work.inputs);
        inputs.map(|input| Some(input.path.as_ref()?.metadata().ok()?.len())).sum()
    }
}

/// The flags of this command, as they were typed.
fn typed() -> Result<ArgMatches, Failure> {
    let failed = |error: clap::Error| Failure::usage(error.to_string());
    let matches = Arguments::command().try_get_matches_from(std::env::args_os()).map_err(failed)?;
    matches.subcommand_matches("run").cloned().ok_or_else(|| Failure::usage("this is no taskhost run"))
}

/// Whether somebody has typed this flag.
fn is_typed(matches: &ArgMatches, flag: &str) -> bool {
    matches.value_source(flag) == Some(ValueSource::CommandLine)
}

/// Refuses, by name, what cannot be had of a service.
fn refuse(matches: &ArgMatches, arguments: &RunArguments, address: &Address) -> Result<(), Failure> {
    let said = address.said_by;
    let known =
        |flag: &str| [&TEXTS[..], &NUMBERS, &SWITCHES, &OTHERS, &OURS].into_iter().flatten().any(|one| *one == flag);
    for flag in matches.ids().map(clap::Id::as_str) {
        // Groups stand beside flags there.
        if matches.try_contains_id(flag).is_ok() && is_typed(matches, flag) && !known(flag) && is_a_flag(flag) {
            let flag = flag.replace('_', "-");
            return Err(Failure::usage(format!("--{flag} cannot be had of a service ({said})")));
        }
    }
    if is_typed(matches, "insistence") {
        return Err(Failure::usage(format!("--sandbox is for whoever runs the service to say ({said})")));
    }
    if arguments.items.call.invoke.as_ref().is_some_and(|invoke| invoke.call.is_some()) {
        return Err(Failure::usage(format!(
            "--invoke with arguments cannot be had of a service ({said}): name the function alone, and give it a line \
             of JSON for each call"
        )));
    }
    Ok(())
}

/// Whether this is the name of a flag of `taskhost run`, and not of a group of them.
fn is_a_flag(id: &str) -> bool {
    let command = Arguments::command();
    command.find_subcommand("run").is_some_and(|run| run.get_arguments().any(|flag| flag.get_id() == id))
}

fn find_inputs(arguments: &RunArguments, place: &Place) -> Result<Vec<Found>, Failure> {
    if let Place::File(path) = place
        && let Some(work) = output::work(path, arguments)
    {
        // A service keeps a journal of every job, and the middle of such a result can be nobody's beginning.
        let kind = output::kind(&work);
        return Err(Failure::usage(format!(
            "a result that is {kind} cannot be had of a service: name a file that is not, and make one of it afterwards"
        )));
    }
    if arguments.output.skip_existing && !matches!(place, Place::PerInput(_)) {
        return Err(Failure::usage("--skip-existing needs a result for each input: -o FOLDER/"));
    }
    let given = run::find_inputs(arguments, place)?;
    clashes::check(arguments, place, &given)?;
    let found: Vec<Found> = match given {
        Given::Known(known) => known.into(),
        Given::List(list) => {
            let failed = |error: crate::inputs::InputError| Failure::input(error.to_string());
            list.collect::<Result<_, _>>().map_err(failed)?
        }
    };
    if found.is_empty() { Err(Failure::input("no input was found")) } else { Ok(found) }
}

/// The jobs that inputs become.
fn works(arguments: &RunArguments, place: Place, found: Vec<Found>) -> Result<Vec<Work>, Failure> {
    let Place::PerInput(destination) = place else {
        return Ok(vec![Work { inputs: found.iter().map(input).collect(), place }]);
    };
    let mut names = OutputNames::new(destination, arguments.output.skip_existing);
    let named = names.name_all(&found).map_err(|error| Failure::usage(error.to_string()))?;
    let work = |(found, output): (&Found, Named)| match output {
        Named::Write(path) => Some(Work { inputs: vec![input(found)], place: Place::File(path) }),
        Named::Exists(_) => None,
    };
    Ok(found.iter().zip(named).filter_map(work).collect())
}

fn input(found: &Found) -> Input {
    let path = if let Found::File(file) = found { Some(file.path.clone()) } else { None };
    Input { path, name: sent_name(&name_of(found)) }
}

/// A name that a service takes: nearly every one is as it is.
fn sent_name(name: &str) -> String {
    let name: String = name.chars().map(|sign| if sign.is_control() { '_' } else { sign }).collect();
    // Its end says what it is.
    let from = name.char_indices().map(|(at, _)| at).find(|at| name.len() - at <= NAME_BYTES);
    name[from.unwrap_or(name.len())..].to_owned()
}

/// The ending of the result's name, which says what format it has: that of `-o`, or that of the input, of which the result is
/// not compressed only because the input was.
fn ending(place: &Place, input: &Input) -> Option<String> {
    let of = |path: &Path| path.extension().and_then(|ending| ending.to_str()).map(str::to_owned);
    let named = if let Place::File(path) = place { of(path) } else { None };
    let plain = || {
        let name = Path::new(&input.name);
        packing_of(name).map(|_| name.file_stem().and_then(|stem| of(Path::new(stem))).unwrap_or_else(|| "out".into()))
    };
    let is_taken =
        |ending: &String| (1..=16).contains(&ending.len()) && ending.bytes().all(|byte| byte.is_ascii_alphanumeric());
    named.or_else(plain).filter(is_taken)
}

fn parameters(matches: &ArgMatches, arguments: &RunArguments) -> Result<Value, Failure> {
    let text = |flag: &str| -> Option<String> {
        let raw = if is_typed(matches, flag) { matches.get_raw(flag)?.next() } else { None };
        raw.map(|raw| raw.to_string_lossy().into_owned()).filter(|text| !USUAL.contains(&(flag, text)))
    };
    let mut sent = Map::new();
    for flag in TEXTS {
        sent.extend(text(flag).map(|text| (flag.to_owned(), json!(text))));
    }
    for flag in NUMBERS {
        // They were understood already, as numbers.
        sent.extend(text(flag).and_then(|text| Some((flag.to_owned(), json!(text.parse::<u64>().ok()?)))));
    }
    for flag in SWITCHES {
        sent.extend(is_typed(matches, flag).then(|| (flag.to_owned(), json!(true))));
    }
    let limits = &arguments.limits;
    for (flag, bytes) in [("memory", limits.memory), ("max_output", limits.max_output)] {
        sent.extend(is_typed(matches, flag).then(|| (flag.to_owned(), json!(bytes))));
    }
    if let Some(path) = &arguments.report.report {
        let form = if is_wanted(path) { "html" } else { "json" };
        sent.insert("report".into(), json!(form));
    }
    let settings: BTreeMap<_, _> = arguments.items.call.config.iter().cloned().collect();
    if !settings.is_empty() {
        sent.insert("config".into(), json!(settings));
    }
    let words = arguments.given.arguments.iter().map(|word| word.to_str());
    let words: Option<Vec<&str>> = words.collect();
    match words {
        None => return Err(Failure::usage("an argument of the kernel is not UTF-8")),
        Some(words) if !words.is_empty() => sent.insert("arguments".into(), json!(words)),
        Some(_) => None,
    };
    Ok(Value::Object(sent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_such_that_a_service_takes_them() {
        for (name, sent) in [("-", "-"), ("ä b/../c.png", "ä b/../c.png"), ("a\n\u{1b}b", "a__b"), ("", "")] {
            assert_eq!(sent_name(name), sent, "{name}");
        }
        let long = sent_name(&format!("{}.png", "ü".repeat(3000)));
        assert!((NAME_BYTES - 1..=NAME_BYTES).contains(&long.len()) && long.ends_with("ü.png"), "{long}");
    }

    #[test]
    fn the_ending_says_the_format_of_the_result() {
        let input = |name: &str| Input { path: None, name: name.into() };
        let file = |name: &str| Place::File(name.into());
        for (place, name, wanted) in [
            (file("x.png"), "a.ppm", Some("png")),
            (file("x"), "a.ppm", None),
            (file("x"), "a.txt.gz", Some("txt")),
            (Place::Stdout { asked: false }, "a.ppm", None),
            (Place::Stdout { asked: false }, "a.gz", Some("out")),
            (file("x.a-b"), "a", None),
        ] {
            assert_eq!(ending(&place, &input(name)).as_deref(), wanted, "{place:?} {name}");
        }
    }

    #[test]
    fn every_flag_that_is_sent_is_one_of_run() {
        for flag in [&TEXTS[..], &NUMBERS, &SWITCHES, &OTHERS, &OURS].into_iter().flatten() {
            assert!(is_a_flag(flag), "{flag}");
        }
    }
}
