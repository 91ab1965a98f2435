//! How a service is to be: what is typed, before what stands in the environment, before what stands in a file, before what is
//! usual. Every flag of `taskhost serve` is a key of the file and a variable, by itself: the parser of the command line is the
//! only one that knows them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command as Parser, CommandFactory as _, Parser as _};

use super::file::{self, Entry};
use crate::args::{Arguments, Command, ServeArguments};
use crate::exit_code::Failure;

/// In front of the names of variables.
const PREFIX: &str = "TASKHOST_SERVE_";

/// Flags that are about this file, or are no settings.
const NO_SETTINGS: [&str; 4] = ["config", "check-config", "openapi", "help"];

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Typed,
    Variable(String),
    File { path: PathBuf, line: usize },
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Typed => f.write_str("typed"),
            Self::Variable(name) => f.write_str(name),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
        }
    }
}

/// How a service is to be.
pub(crate) struct Settings {
    pub(crate) arguments: ServeArguments,
    parser: Parser,
    matches: ArgMatches,
    sources: BTreeMap<String, Source>,
}

impl Settings {
    /// Reads all that this process was given.
    ///
    /// # Errors
    /// When something is no setting, or no value of it, with the place where it stands.
    pub(crate) fn read() -> Result<Self, Failure> {
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let variables = variables.filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.to_owned(), value)));
        Self::of(std::env::args_os().collect(), variables.collect())
    }

    fn of(words: Vec<OsString>, mut variables: BTreeMap<String, OsString>) -> Result<Self, Failure> {
        let parser = Arguments::command().find_subcommand("serve").cloned().unwrap_or_default();
        let typed = Arguments::command().try_get_matches_from(&words).map_err(usage)?;
        let typed = typed.subcommand_matches("serve").cloned().unwrap_or_default();
        let variable = variables.remove("CONFIG").map(PathBuf::from);
        let config = serve(&words)?.config.or(variable);
        let mut entries = config.as_deref().map(entries).transpose()?.unwrap_or_default();
        let (mut more, mut sources) = (Vec::new(), BTreeMap::new());
        for setting in settings(&parser) {
            let Some(name) = setting.get_long() else { continue };
            let (variable, entry) = (variables.remove(&variable_of(name)), entries.remove(name));
            if typed.value_source(setting.get_id().as_str()) == Some(ValueSource::CommandLine) {
                sources.insert(name.to_owned(), Source::Typed);
            } else if let Some(value) = variable {
                let name_of_it = format!("{PREFIX}{}", variable_of(name));
                let words = spoken(setting, &[value]).map_err(|why| Failure::usage(format!("{name_of_it}: {why}")))?;
                check(&parser, &words).map_err(|why| Failure::usage(format!("{name_of_it}: {why}")))?;
                more.extend(words);
                sources.insert(name.to_owned(), Source::Variable(name_of_it));
            } else if let (Some(entry), Some(path)) = (entry, &config) {
                let wrong = |why: String| Failure::usage(format!("{}:{}: {why}", path.display(), entry.value_at));
                let words = spoken(setting, &entry.values).map_err(wrong)?;
                check(&parser, &words).map_err(wrong)?;
                more.extend(words);
                sources.insert(name.to_owned(), Source::File { path: path.clone(), line: entry.value_at.line });
            }
        }
        if let (Some((name, entry)), Some(path)) = (entries.iter().next(), &config) {
            let why = format!("{name:?} is no setting; there are {}", names(&parser).join(", "));
            return Err(Failure::usage(format!("{}:{}: {why}", path.display(), entry.key_at)));
        }
        if let Some(name) = variables.keys().next() {
            return Err(Failure::usage(format!(
                "{PREFIX}{name} is no setting; there are {}",
                names(&parser).join(", ")
            )));
        }
        let all = words.iter().take(2).chain(&more).chain(words.iter().skip(2));
        let matches = Arguments::command().try_get_matches_from(all.clone()).map_err(usage)?;
        let matches = matches.subcommand_matches("serve").cloned().unwrap_or_default();
        let all: Vec<OsString> = all.cloned().collect();
        Ok(Self { arguments: serve(&all)?, parser, matches, sources })
    }

    /// All settings in the form of the file, with the place that each comes from.
    pub(crate) fn describe(&self) -> String {
        let line = |setting: &Arg| {
            let name = setting.get_long()?;
            let values: Vec<String> = match setting.get_action() {
                ArgAction::SetTrue => vec![self.matches.get_flag(setting.get_id().as_str()).to_string()],
                _ => {
                    let raw = self.matches.get_raw(setting.get_id().as_str()).into_iter().flatten();
                    raw.map(|value| serde_json::Value::from(value.to_string_lossy()).to_string()).collect()
                }
            };
            let from = self.sources.get(name).map_or_else(|| "default".to_owned(), Source::to_string);
            Some(match (values.as_slice(), is_list(setting)) {
                ([], _) => format!("# {name} is not set\n"),
                ([value], false) => format!("{name} = {value}  # {from}\n"),
                (values, _) => format!("{name} = [{}]  # {from}\n", values.join(", ")),
            })
        };
        settings(&self.parser).filter_map(line).collect()
    }
}

fn usage(error: clap::Error) -> Failure {
    Failure::usage(error.to_string().trim_start_matches("error: ").to_owned())
}

/// A command line that is one of `taskhost serve`.
fn serve(words: &[OsString]) -> Result<ServeArguments, Failure> {
    match Arguments::try_parse_from(words).map_err(usage)?.command {
        Command::Serve(arguments) => Ok(arguments),
        _ => Err(Failure::usage("this is no taskhost serve")),
    }
}

/// The settings that the file has.
fn entries(path: &Path) -> Result<BTreeMap<String, Entry>, Failure> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| Failure::input(format!("{shown}: {error}")))?;
    file::parse(&text).map_err(|wrong| Failure::usage(format!("{shown}:{wrong}")))
}

/// The flags that are settings.
fn settings(parser: &Parser) -> impl Iterator<Item = &Arg> {
    parser.get_arguments().filter(|flag| flag.get_long().is_some_and(|name| !NO_SETTINGS.contains(&name)))
}

fn names(parser: &Parser) -> Vec<&str> {
    settings(parser).filter_map(Arg::get_long).collect()
}

/// The variable of a setting, without what all of them begin with.
fn variable_of(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

/// Whether a setting has any number of values.
fn is_list(setting: &Arg) -> bool {
    matches!(setting.get_action(), ArgAction::Append)
}

/// A setting as it would be typed.
fn spoken(setting: &Arg, values: &[impl AsRef<OsStr>]) -> Result<Vec<OsString>, String> {
    let name = setting.get_long().unwrap_or_default();
    if matches!(setting.get_action(), ArgAction::SetTrue) {
        return match values {
            [value] if value.as_ref() == "true" => Ok(vec![format!("--{name}").into()]),
            [value] if value.as_ref() == "false" => Ok(Vec::new()),
            _ => Err(format!("{name} is true or false")),
        };
    }
    if values.len() != 1 && !is_list(setting) {
        return Err(format!("{name} has one value"));
    }
    let word = |value: &OsStr| {
        let mut word = OsString::from(format!("--{name}="));
        word.push(value);
        word
    };
    Ok(values.iter().map(|value| word(value.as_ref())).collect())
}

/// Says what is wrong with a setting, as far as that can be said without the others.
fn check(parser: &Parser, words: &[OsString]) -> Result<(), String> {
    let all = std::iter::once(OsString::from("serve")).chain(words.iter().cloned());
    match parser.clone().try_get_matches_from(all) {
        Err(error) if !matches!(error.kind(), ErrorKind::MissingRequiredArgument | ErrorKind::ArgumentConflict) => {
            let text = error.to_string();
            Err(text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str, variables: &[(&str, &str)], file: &str) -> Result<Settings, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.toml");
        fs::write(&path, file).expect("written");
        let mut all: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
        all.push(format!("--config={}", path.display()).into());
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value)));
        let shown = path.display().to_string();
        Settings::of(all, variables.collect()).map_err(|failure| failure.message.replace(&shown, "x.toml"))
    }

    #[test]
    fn what_is_typed_comes_first_and_the_file_last() {
        let file = "data = '/a'\nlisten = '127.0.0.1:1'\nworkers = 3\n";
        let settings =
            read("taskhost serve --listen 127.0.0.1:3", &[("WORKERS", "2"), ("LISTEN", "127.0.0.1:2")], file);
        let settings = settings.unwrap_or_else(|error| panic!("{error}"));
        let said = settings.describe();
        assert!(said.contains("listen = \"127.0.0.1:3\"  # typed\n"), "{said}");
        assert!(said.contains("workers = \"2\"  # TASKHOST_SERVE_WORKERS\n"), "{said}");
        assert!(said.contains("data = \"/a\"  # ") && said.contains("x.toml:1\n"), "{said}");
        assert!(said.contains("sandbox = \"full\"  # default\n"), "{said}");
        assert!(said.contains("plain-http-beyond-loopback = false  # default\n"), "{said}");
        assert_eq!(settings.arguments.listen.port(), 3);
        // What is said is a file that says the same.
        let again = read("taskhost serve", &[], &said).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again.arguments.listen.port(), 3);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (variables, file, wanted) in [
            (&[][..], "data = '/a'\nlisen = 'x'\n", "x.toml:2:1: \"lisen\" is no setting"),
            (&[], "data = '/a'\nworkers =   'many'\n", "x.toml:2:13: invalid value 'many'"),
            (&[], "workers = [1, 2]\n", "x.toml:1:11: workers has one value"),
            (
                &[],
                "plain-http-beyond-loopback = 'perhaps'\n",
                "x.toml:1:30: plain-http-beyond-loopback is true or false",
            ),
            (&[], "data = \n", "x.toml:1:"),
            (&[], "[data]\nx = 1\n", "x.toml:1:"),
            (&[("WORKERS", "many")], "", "TASKHOST_SERVE_WORKERS: invalid value 'many'"),
            (&[("LISEN", "x")], "", "TASKHOST_SERVE_LISEN is no setting"),
        ] {
            let error = read("taskhost serve", variables, file).err().unwrap_or_else(|| panic!("{file} is taken"));
            assert!(error.starts_with(wanted), "{file}: {error}");
        }
    }
}
