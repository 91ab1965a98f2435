//! `taskhost new`: a folder with a kernel that builds, wherever it lies.

mod languages;
mod project;
mod rust;
mod templates;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Result;

use crate::args::NewArguments;
use crate::exit_code::{Exit, Failure};
use crate::report;

use project::{INPUT, Project};

/// Longest name of a kernel: it becomes the name of files and packages.
const NAME_BYTES: usize = 64;

/// Writes a project and says what to type next.
pub(crate) fn run(arguments: &NewArguments) -> Result<Exit> {
    let folder = &arguments.folder;
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    check_name(name)?;
    let project = Project::new(name, arguments.language, arguments.kind)?;
    check_empty(folder)?;
    for file in project.files() {
        let path = folder.join(&file.path);
        let mode = if file.executable { 0o755 } else { 0o644 };
        write(&path, &file.content, mode)
            .map_err(|error| Failure::input(format!("{} cannot be written: {error}", path.display())))?;
    }
    let flags = project.flags();
    let folder = quoted(folder);
    Ok(report::text(&format!(
        "cd {folder} && ./build.sh\n\
         taskhost check {name}.wasm{flags} --input {INPUT}\n\
         taskhost run {name}.wasm{flags} {INPUT}\n"
    )))
}

/// What cargo, Go and file systems all take.
fn check_name(name: &str) -> Result<(), Failure> {
    let is_letter = |byte: u8| byte.is_ascii_lowercase();
    let is_name = name.len() <= NAME_BYTES
        && name.bytes().next().is_some_and(is_letter)
        && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit() || byte == b'-')
        && !name.ends_with('-');
    // Names that cargo keeps for itself.
    if !is_name || ["test", "core", "std", "alloc", "proc-macro", "taskhost-kernel"].contains(&name) {
        return Err(Failure::usage(format!(
            "`{name}` cannot be the name of a kernel: small letters, digits and `-`, beginning with a letter, as in my-kernel"
        )));
    }
    Ok(())
}

/// Nothing is ever written over.
fn check_empty(folder: &Path) -> Result<(), Failure> {
    let taken = |what: &str| {
        let folder = folder.display();
        Err(Failure::input(format!("{folder} {what}; name another folder, or empty that one")))
    };
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            Some(_) => taken("is not empty"),
            None => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => taken("is no folder"),
        Err(error) => Err(Failure::input(format!("{} cannot be read: {error}", folder.display()))),
    }
}

fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = fs::OpenOptions::new();
    // A file that came meanwhile is somebody's.
    let mut file = options.write(true).create_new(true).open(path)?;
    io::Write::write_all(&mut file, content)?;
    file.set_permissions(fs::Permissions::from_mode(mode))
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |character: char| character.is_alphanumeric() || "/._-+,".contains(character);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_all_tools_take() {
        for good in ["a", "my-kernel", "sobel3"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "3d", "My", "a_b", "ä", "test", "a b", "..", &"a".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_are_quoted_for_a_shell() {
        assert_eq!(quoted(Path::new("a/b-c.d")), "a/b-c.d");
        assert_eq!(quoted(Path::new("it's here/x")), r"'it'\''s here/x'");
    }
}
