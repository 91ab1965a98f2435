//! The report of a job's run, for whoever asked for one: a page to look at, or JSON. What a run writes of itself names folders and
//! files as the server has them; what is kept names them as their owner does.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::JobSpec;
use super::veil::Veil;

/// What a report is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ReportForm {
    /// A page to look at, which needs nothing else.
    Html,
    /// The same for programs.
    Json,
}

/// The file that a run writes anyhow: JSON.
pub(super) const FACTS: &str = "report.json";

/// The file of the page.
pub(super) const PAGE: &str = "report.html";

/// Most of a report: both stay far below that, however long the run was.
const MOST: u64 = 16 << 20;

/// Inputs that the command of a report names.
const NAMED: usize = 20;

/// What would be typed to have the same done by `taskhost run`.
pub(super) fn command(spec: &JobSpec) -> Vec<String> {
    let digest = spec.kernel.to_string();
    let kernel = digest.split_once(':').map_or(digest.as_str(), |(_, hex)| hex).chars().take(12).collect();
    let mut words = vec!["taskhost".to_owned(), "run".to_owned(), kernel];
    words.extend(spec.inputs.iter().take(NAMED).map(|input| input.name.clone()));
    words.extend((spec.inputs.len() > NAMED).then(|| "…".to_owned()));
    // They are called as the flags are.
    let Ok(Value::Object(parameters)) = serde_json::to_value(&spec.parameters) else { return words };
    for (name, value) in parameters {
        let flag = name.replace('_', "-");
        match value {
            Value::Object(settings) => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                words.extend(settings.iter().map(|(name, value)| format!("--{flag}={name}={}", text(value))));
            }
            Value::Bool(true) => words.push(format!("--{flag}")),
            Value::Number(number) => words.push(format!("--{flag}={number}")),
            Value::String(text) if name != "report" => words.push(format!("--{flag}={text}")),
            _ => {}
        }
    }
    if !spec.parameters.arguments.is_empty() {
        words.push("--".into());
        words.extend(spec.parameters.arguments.iter().cloned());
    }
    words
}

/// The report that the run in this folder has written, when one was asked for, without a word of the server's folders.
pub(super) fn read(folder: &Path, spec: &JobSpec, hidden: &[&Path]) -> io::Result<Option<Vec<u8>>> {
    let Some(form) = spec.parameters.report else { return Ok(None) };
    let name = if form == ReportForm::Html { PAGE } else { FACTS };
    let file = match File::open(folder.join(name)) {
        // A run that was not begun has none, as one that is typed has none.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = Vec::new();
    if file.take(MOST + 1).read_to_end(&mut text)? as u64 > MOST {
        return Ok(None);
    }
    Ok(match form {
        ReportForm::Html => Some(page(&text, spec, hidden).into_bytes()),
        ReportForm::Json => facts(&text, spec, hidden).map(String::into_bytes),
    })
}

fn veiled(text: &[u8], hidden: &[&Path]) -> String {
    let mut veil = Veil::new(hidden);
    let mut shown = veil.take(text);
    shown.extend(veil.rest());
    String::from_utf8_lossy(&shown).into_owned()
}

fn page(text: &[u8], spec: &JobSpec, hidden: &[&Path]) -> String {
    // Names of folders stand there as they may stand in a page.
    let escaped_folders: Vec<String> = hidden.iter().map(|folder| escaped(&folder.to_string_lossy())).collect();
    let folders: Vec<&Path> = hidden.iter().copied().chain(escaped_folders.iter().map(Path::new)).collect();
    let text = veiled(text, &folders);
    let all = 0..spec.inputs.len();
    all.fold(text, |text, number| {
        let file = spec.file_name(number);
        // Most pages name none: each is one look at most.
        if text.contains(&file) { text.replace(&file, &escaped(&spec.inputs[number].name)) } else { text }
    })
}

fn facts(text: &[u8], spec: &JobSpec, hidden: &[&Path]) -> Option<String> {
    let mut report: Value = serde_json::from_slice(text).ok()?;
    named(&mut report, spec, hidden);
    let command = command(spec);
    report["kernel"]["name"] = json!(command.get(2));
    report["command"] = json!(command);
    // Which of the machine's cores it was is nobody's business.
    for worker in report["workers"].as_array_mut().into_iter().flatten() {
        worker["core"] = Value::Null;
    }
    Some(serde_json::to_string_pretty(&report).ok()? + "\n")
}

/// All texts of a value, with things called as their owner calls them.
fn named(value: &mut Value, spec: &JobSpec, hidden: &[&Path]) {
    match value {
        Value::String(text) => *text = spec.as_named(veiled(text.as_bytes(), hidden)),
        Value::Array(values) => values.iter_mut().for_each(|value| named(value, spec, hidden)),
        Value::Object(members) => members.values_mut().for_each(|value| named(value, spec, hidden)),
        _ => {}
    }
}

/// A text as it may stand in a page.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            sign => safe.push(sign),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Input, Parameters, Urgency};
    use super::*;
    use crate::blobs::Digest;

    fn spec(form: ReportForm) -> JobSpec {
        let inputs = ["a/<b>.txt", "c.txt"].map(|name| Input::whole(Digest::of(b""), name.into()));
        let parameters = Parameters {
            config: [("x".to_owned(), "y z".to_owned())].into(),
            arguments: vec!["-v".into()],
            keep_header: true,
            max_output: Some(9),
            report: Some(form),
            ..Parameters::default()
        };
        JobSpec {
            kernel: Digest::of(b"kernel"),
            inputs: inputs.into(),
            input_bytes: 0,
            output: None,
            parameters,
            labels: BTreeMap::new(),
            keep_seconds: None,
            retry_of: None,
            urgency: Urgency::default(),
        }
    }

    #[test]
    fn the_command_is_what_was_asked_for() {
        let words = command(&spec(ReportForm::Html));
        let short = &Digest::of(b"kernel").to_string()[7..19];
        let wanted =
            ["taskhost", "run", short, "a/<b>.txt", "c.txt", "--config=x=y z", "--keep-header", "--max-output=9"];
        assert_eq!(words, [&wanted[..], &["--", "-v"]].concat());
    }

    #[test]
    fn things_are_called_as_their_owner_calls_them_and_names_stay_texts() {
        let place = tempfile::tempdir().expect("a folder");
        let spec = spec(ReportForm::Html);
        let folders = [Path::new("/srv/a&b/work/j"), Path::new("/srv/a&b")];
        let text = "<p>/srv/a&amp;b/work/j/in-0-.txt and in-1-c.txt, /srv/a&b/x</p>";
        std::fs::write(place.path().join(PAGE), text.replace("in-0-.txt", &spec.file_name(0))).expect("written");
        let shown = read(place.path(), &spec, &folders).expect("read").expect("there");
        assert_eq!(String::from_utf8_lossy(&shown), "<p>a/&lt;b&gt;.txt and c.txt, x</p>");
    }

    #[test]
    fn facts_have_no_core_and_no_path() {
        let place = tempfile::tempdir().expect("a folder");
        let spec = spec(ReportForm::Json);
        assert_eq!(read(place.path(), &spec, &[]).expect("none"), None);
        let text = r#"{"command": ["/usr/bin/taskhost", "run"], "kernel": {"name": "kernel"}, "items": 3,
            "workers": [{"id": 0, "core": 5}], "failures": [{"message": "/srv/x/in-1-c.txt: no"}]}"#;
        std::fs::write(place.path().join(FACTS), text).expect("written");
        let shown = read(place.path(), &spec, &[Path::new("/srv/x")]).expect("read").expect("there");
        let shown: Value = serde_json::from_slice(&shown).expect("JSON");
        assert_eq!(shown["command"], json!(command(&spec)));
        assert_eq!(shown["workers"], json!([{ "id": 0, "core": null }]));
        assert_eq!((&shown["failures"][0]["message"], &shown["items"]), (&json!("c.txt: no"), &json!(3)));
    }

    #[test]
    fn nobody_gets_what_was_not_asked_for() {
        let place = tempfile::tempdir().expect("a folder");
        std::fs::write(place.path().join(PAGE), "x").expect("written");
        let mut spec = spec(ReportForm::Html);
        spec.parameters.report = None;
        assert_eq!(read(place.path(), &spec, &[]).expect("none"), None);
    }
}
