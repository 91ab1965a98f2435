//! What lies in a new project, by language and by kind of kernel.

use crate::args::{KindName, Language};
use crate::exit_code::Failure;

use super::languages::{Facts, facts, kinds};
use super::rust;
use super::templates as template;

/// The name of the test input.
pub(super) const INPUT: &str = "input.txt";

/// A project in the making.
#[derive(Debug)]
pub(super) struct Project<'a> {
    name: &'a str,
    language: Language,
    kind: KindName,
}

/// A file of a project.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) content: Vec<u8>,
    pub(super) executable: bool,
}

impl<'a> Project<'a> {
    /// Refuses what the language cannot do.
    pub(super) fn new(name: &'a str, language: Language, kind: Option<KindName>) -> Result<Self, Failure> {
        let possible = kinds(language);
        let kind = kind.unwrap_or(possible[0]);
        if !possible.contains(&kind) {
            let word =
                |kind: KindName| clap::ValueEnum::to_possible_value(&kind).map(|value| value.get_name().to_owned());
            let list: Vec<String> = possible.iter().filter_map(|kind| word(*kind)).collect();
            let (language, wanted) = (facts(language, kind).name, word(kind).unwrap_or_default());
            return Err(Failure::usage(format!(
                "kernels in {language} are made as {} here, not as {wanted}",
                list.join(", ")
            )));
        }
        Ok(Self { name, language, kind })
    }

    /// What a kernel does not say by itself.
    pub(super) fn flags(&self) -> &'static str {
        if self.kind == KindName::Command { " --split lines --merge lines" } else { "" }
    }

    /// All files.
    pub(super) fn files(&self) -> Vec<File> {
        let facts = facts(self.language, self.kind);
        let (source, text) = facts.source;
        let mut files = vec![file(source, text)];
        let mut rows = vec![(source.to_owned(), "the kernel")];
        // Here all of it lies in one folder.
        let here = |text: &str| text.replace("\"../c/", "\"").replace("\"../taskhost\"", "\"./taskhost\"");
        files.extend(facts.library.iter().map(|(path, text)| file(*path, here(text))));
        rows.extend(facts.library.first().map(|(path, _)| ((*path).to_owned(), "what it is written with")));
        if self.language == Language::Rust {
            files.extend(self.rust());
            let library = ("vendor/sdk".into(), "what it is written with: `cargo doc --open -p taskhost-kernel`");
            rows.extend((self.kind != KindName::Command).then_some(library));
        }
        if self.language == Language::Go {
            let (path, text) = template::GO_MODULE;
            files.push(file(path, text));
        }
        if self.kind == KindName::Component && facts.needs_section {
            files.extend(template::SECTIONS.iter().map(|(path, bytes)| file(*path, *bytes)));
            rows.push(("types".into(), "what says of which world a kernel is; `build.sh` appends one of them"));
        }
        if self.kind == KindName::Raw {
            files.push(file("abi.md", template::ABI.replace("](../wit/", "](wit/")));
            rows.push(("abi.md".into(), "what taskhost calls, to the byte"));
        }
        if facts.has_world {
            files.extend(template::WORLD.iter().map(|(path, text)| file(*path, *text)));
            rows.push(("wit/world.wit".into(), "what the kernel exports"));
        } else {
            files.extend(template::WIT.iter().map(|(path, text)| file(*path, *text)));
        }
        rows.push((self.contract().into(), "the contract between kernels and taskhost"));
        files.push(executable("build.sh", self.build(&facts)));
        rows.push(("build.sh".into(), "the one command that builds it"));
        files.push(file(INPUT, template::INPUT));
        rows.push((INPUT.into(), "something to try it with"));
        files.push(file(".gitignore", template::IGNORED));
        files.push(file("README.md", self.readme(&facts, &rows)));
        files
    }

    /// Where the contract lies.
    fn contract(&self) -> &'static str {
        if facts(self.language, self.kind).has_world { "wit/deps/kernel.wit" } else { "wit/kernel.wit" }
    }

    /// What only projects in Rust have.
    fn rust(&self) -> Vec<File> {
        if self.kind == KindName::Command {
            let (path, text) = template::WASI_LIBC;
            return vec![file("Cargo.toml", self.filled(rust::PROGRAM)), executable(path, text)];
        }
        let mut files = vec![file("Cargo.toml", self.filled(rust::MANIFEST)), file("Cargo.lock", rust::LOCK)];
        files.extend(rust::LIBRARY.iter().map(|(path, text)| file(*path, *text)));
        files
    }

    /// Text with the kernel's name in its places.
    fn filled(&self, text: &str) -> String {
        text.replace("{name}", self.name).replace("{name_}", &self.name.replace('-', "_"))
    }

    fn build(&self, facts: &Facts) -> String {
        let (tools, variable) = facts.tools;
        let version = template::SETUP.lines().find_map(|line| line.strip_prefix(variable)?.strip_prefix('='));
        let mut script = format!("{}\n{tools}", template::BUILD.replace("{needs}", facts.needs));
        if let Some(version) = version {
            script = script.replace("{version}", version);
        }
        if self.language == Language::Rust && self.kind != KindName::Command {
            // It installs nothing by itself.
            let from = script.find("# The compilers that").unwrap_or(script.len());
            let to = script.find("target=wasm32").unwrap_or(from);
            script.replace_range(from..to, "");
        } else if self.language != Language::Rust {
            script.push_str(&self.command(facts).unwrap_or_default());
            script.push('\n');
        }
        self.filled(&script)
    }

    /// The command of the table, for this project.
    fn command(&self, facts: &Facts) -> Option<String> {
        let way = match self.kind {
            KindName::Raw => "raw",
            KindName::Command => "command",
            KindName::Component | KindName::Typed => "component",
        };
        let begins = format!("| {} | {way} | ", facts.name);
        let row = template::COMMANDS.lines().find(|line| line.starts_with(&begins))?;
        let command = row.rsplit(" | ").next()?.trim_end_matches(" |").trim_matches('`');
        let places = [
            ("KERNEL.wasm", "{name}.wasm"),
            ("./command/KERNEL", "."),
            ("./KERNEL", "."),
            ("command/", ""),
            ("KERNEL", "kernel"),
            ("WORLD", "this-kernel"),
            ("SECTION", "map-kernel.section"),
            ("../wit", "wit"),
            ("../../types", "types"),
            ("../types", "types"),
        ];
        Some(places.iter().fold(command.to_owned(), |command, (from, to)| command.replace(from, to)))
    }

    fn readme(&self, facts: &Facts, rows: &[(String, &str)]) -> String {
        let table: String = rows.iter().map(|(path, what)| format!("| `{path}` | {what} |\n")).collect();
        let (what, contract) = match self.kind {
            KindName::Command => {
                ("a program that reads one item from standard input and writes its result.", "the manual of taskhost")
            }
            KindName::Raw => ("it writes each line backwards.", "[abi.md](abi.md)"),
            KindName::Component | KindName::Typed => ("it writes each line backwards.", "its `wit` folder"),
        };
        let text = template::README.replace("{language}", facts.name).replace("{what}", what);
        let text = text.replace("{first}", facts.first).replace("{flags}", self.flags());
        self.filled(&text.replace("{files}", &table).replace("{contract}", contract))
    }
}

fn file(path: impl Into<String>, content: impl Into<Vec<u8>>) -> File {
    File { path: path.into(), content: content.into(), executable: false }
}

fn executable(path: impl Into<String>, content: impl Into<Vec<u8>>) -> File {
    File { executable: true, ..file(path, content) }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_project_is_complete() {
        for language in Language::value_variants() {
            for kind in kinds(*language) {
                let project = Project::new("my-kernel", *language, Some(*kind)).expect("it is possible");
                let files = project.files();
                let text = |file: &File| String::from_utf8_lossy(&file.content).into_owned();
                let build = text(files.iter().find(|file| file.path == "build.sh").expect("it is there"));
                assert!(
                    build.contains("my-kernel.wasm")
                        && !["KERNEL.", "WORLD", "SECTION"].iter().any(|place| build.contains(place)),
                    "{language:?} {kind:?}:\n{build}"
                );
                assert!(
                    build.lines().last().is_some_and(|line| line.contains("kernel")),
                    "{language:?} {kind:?}:\n{build}"
                );
                for file in
                    files.iter().filter(|file| !file.path.starts_with("vendor/") && !file.path.starts_with("wit/"))
                {
                    for place in
                        ["{name", "{version}", "{needs}", "{first}", "{flags}", "{files}", "{contract}", "{what}"]
                    {
                        // A place of a JavaScript template begins with a dollar.
                        let text = text(file).replace("${", "");
                        assert!(!text.contains(place), "{language:?} {kind:?}: {place} in {}", file.path);
                    }
                }
                let mut paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
                let count = paths.len();
                paths.sort_unstable();
                paths.dedup();
                assert_eq!(paths.len(), count, "{language:?} {kind:?}");
            }
        }
    }

    #[test]
    fn what_a_language_cannot_be_is_refused_with_what_it_can() {
        let refused = Project::new("a", Language::Python, Some(KindName::Raw)).expect_err("Python has no raw modules");
        assert_eq!(refused.message, "kernels in Python are made as component here, not as raw");
    }
}
