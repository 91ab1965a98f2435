//! What lies in a new project, by language and by kind of kernel.

use crate::args::{KindName, Language};
use crate::exit_code::Failure;

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
    pub(super) text: String,
    pub(super) executable: bool,
}

/// What is special about a language.
struct Facts {
    /// As the table of commands calls it.
    name: &'static str,
    /// The kernel's source, and the program's, when there are commands.
    sources: (&'static str, &'static str, Option<&'static str>),
    library: Vec<(&'static str, &'static str)>,
    /// What finds the compiler, and the line of `setup.sh` with its release.
    tools: (&'static str, &'static str),
    /// What a build needs, as a sentence.
    needs: &'static str,
    /// What the first build takes.
    first: &'static str,
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
            let (language, wanted) = (facts(language).name, word(kind).unwrap_or_default());
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
        let facts = facts(self.language);
        let (source, kernel, command) = facts.sources;
        let is_command = self.kind == KindName::Command;
        let text = command.filter(|_| is_command).unwrap_or(kernel);
        let mut files = vec![file(source, text)];
        let mut rows = vec![(source.to_owned(), "the kernel")];
        if self.language == Language::Rust {
            files.push(file("Cargo.toml", self.filled(rust::MANIFEST)));
            files.push(file("Cargo.lock", rust::LOCK));
            files.extend(rust::LIBRARY.iter().map(|(path, text)| file(*path, *text)));
            rows.push(("vendor/sdk".into(), "what it is written with: `cargo doc --open -p taskhost-kernel`"));
        } else if !is_command {
            // Here all of it lies in one folder.
            let here = |text: &str| text.replace("\"../c/", "\"");
            files.extend(facts.library.iter().map(|(path, text)| file(*path, here(text))));
            rows.extend(facts.library.first().map(|(path, _)| ((*path).to_owned(), "what it is written with")));
        }
        if self.language == Language::Go {
            let (path, text) = template::GO_MODULE;
            files.push(file(path, text));
        }
        if self.kind == KindName::Raw {
            files.push(file("abi.md", template::ABI.replace("](../wit/", "](wit/")));
            rows.push(("abi.md".into(), "what taskhost calls, to the byte"));
        }
        files.extend(template::WIT.iter().map(|(path, text)| file(*path, *text)));
        rows.push(("wit/kernel.wit".into(), "the contract between kernels and taskhost"));
        files.push(File { executable: true, ..file("build.sh", self.build(&facts)) });
        rows.push(("build.sh".into(), "the one command that builds it"));
        files.push(file(INPUT, template::INPUT));
        rows.push((INPUT.into(), "something to try it with"));
        files.push(file(".gitignore", template::IGNORED));
        files.push(file("README.md", self.readme(&facts, &rows)));
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
        if self.language == Language::Rust {
            // It installs nothing by itself.
            let from = script.find("# The compilers that").unwrap_or(script.len());
            let to = script.find("target=wasm32").unwrap_or(from);
            script.replace_range(from..to, "");
        } else {
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
            ("WORLD", "map-kernel"),
            ("../../../wit", "wit"),
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
            KindName::Component | KindName::Typed => {
                ("it writes each line backwards.", "[wit/kernel.wit](wit/kernel.wit)")
            }
        };
        let text = template::README.replace("{language}", facts.name).replace("{what}", what);
        let text = text.replace("{first}", facts.first).replace("{flags}", self.flags());
        self.filled(&text.replace("{files}", &table).replace("{contract}", contract))
    }
}

fn file(path: impl Into<String>, text: impl Into<String>) -> File {
    File { path: path.into(), text: text.into(), executable: false }
}

/// What kernels in a language can be, the usual first.
fn kinds(language: Language) -> &'static [KindName] {
    match language {
        Language::C | Language::Cpp | Language::Zig => &[KindName::Component, KindName::Raw, KindName::Command],
        Language::Go => &[KindName::Raw, KindName::Command],
        Language::AssemblyScript => &[KindName::Raw],
        Language::Rust | Language::JavaScript | Language::Python => &[KindName::Component],
    }
}

fn facts(language: Language) -> Facts {
    let zig = (template::ZIG, "zig_version");
    let needs_zig = "Takes zig from PATH; without one, a pinned release is installed here from the Python registry.";
    let half_a_minute = "the first time takes half a minute";
    match language {
        Language::C => Facts {
            name: "C",
            sources: ("kernel.c", template::KERNEL_C, Some(template::COMMAND_C)),
            library: template::LIBRARY_C.to_vec(),
            tools: zig,
            needs: needs_zig,
            first: half_a_minute,
        },
        Language::Cpp => Facts {
            name: "C++",
            sources: ("kernel.cpp", template::KERNEL_CPP, Some(template::COMMAND_CPP)),
            library: std::iter::once(template::LIBRARY_CPP).chain(template::LIBRARY_C).collect(),
            tools: zig,
            needs: needs_zig,
            first: half_a_minute,
        },
        Language::Zig => Facts {
            name: "Zig",
            sources: ("kernel.zig", template::KERNEL_ZIG, Some(template::COMMAND_ZIG)),
            library: template::LIBRARY_ZIG.to_vec(),
            tools: zig,
            needs: needs_zig,
            first: "some seconds",
        },
        Language::Go => Facts {
            name: "Go",
            sources: ("main.go", template::KERNEL_GO, Some(template::COMMAND_GO)),
            library: template::LIBRARY_GO.to_vec(),
            tools: (template::GO, "go_version"),
            needs: "Takes go from PATH; without one, a pinned release is installed here from the Python registry.",
            first: half_a_minute,
        },
        Language::AssemblyScript => Facts {
            name: "AssemblyScript",
            sources: ("kernel.ts", template::KERNEL_TS, None),
            library: vec![template::LIBRARY_TS],
            tools: (template::ASSEMBLYSCRIPT, "assemblyscript_version"),
            needs: "Takes asc from PATH; without one, a pinned release is installed here with npm.",
            first: "some seconds",
        },
        Language::JavaScript => Facts {
            name: "JavaScript",
            sources: ("kernel.js", template::KERNEL_JS, None),
            library: vec![template::LIBRARY_JS],
            tools: (template::JAVASCRIPT, "componentize_qjs_version"),
            needs: "Takes componentize-qjs from PATH; without one, a pinned release is installed here with npm.",
            first: "some seconds",
        },
        Language::Python => Facts {
            name: "Python",
            sources: ("kernel.py", template::KERNEL_PY, None),
            library: vec![template::LIBRARY_PY],
            tools: (template::PYTHON, "componentize_py_version"),
            needs: "Takes componentize-py from PATH; without one, a pinned release is installed here from the Python registry.",
            first: "some seconds",
        },
        Language::Rust => Facts {
            name: "Rust",
            sources: ("src/lib.rs", template::KERNEL_RS, None),
            library: Vec::new(),
            tools: (template::RUST, ""),
            needs: "Takes cargo, with the target wasm32-unknown-unknown: rustup target add wasm32-unknown-unknown",
            first: half_a_minute,
        },
    }
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
                let text = |path: &str| &files.iter().find(|file| file.path == path).expect("it is there").text;
                let build = text("build.sh");
                assert!(
                    build.contains("my-kernel.wasm") && !build.contains("KERNEL"),
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
                        assert!(!file.text.contains(place), "{language:?} {kind:?}: {place} in {}", file.path);
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
        let refused = Project::new("a", Language::Go, Some(KindName::Component)).expect_err("Go has no components");
        assert_eq!(refused.message, "kernels in Go are made as raw, command here, not as component");
    }
}
