//! Where the result of each input goes: `-o DIR/`, `-o 'DIR/{stem}.png'`, `-o FILE`; and the refusal of names that
//! would lose something: two results in one file, or a result in the place of an input.

mod template;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub(crate) use template::{Template, TemplateError};

use super::{Found, FoundFile, walk};

/// What `-o` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// One file for all results, or a device or pipe.
    File(PathBuf),
    /// A folder with a file for each input, at the same relative path.
    Folder(PathBuf),
    /// A file for each input, named by a template.
    Template(Template),
}

impl Destination {
    /// Reads `-o`. A folder is what ends with a slash or exists as one; a template is what has a placeholder.
    ///
    /// # Errors
    /// When braces hold no placeholder.
    pub(crate) fn parse(text: &OsStr) -> Result<Self, TemplateError> {
        let template = Template::parse(text)?;
        if !template.is_literal() {
            return Ok(Self::Template(template));
        }
        let path = template.literal();
        if path.as_os_str().as_bytes().ends_with(b"/") || path.is_dir() {
            return Ok(Self::Folder(path));
        }
        Ok(Self::File(path))
    }

    /// The folder that must not be taken for input: see [`super::InputOptions::exclude`].
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::File(_) | Self::Template(_) => None,
        }
    }

    /// The output of a file.
    pub(crate) fn path_for(&self, file: &FoundFile) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Folder(folder) => folder.join(&file.relative),
            Self::Template(template) => template.fill(&file.relative),
        }
    }
}

/// Why an input cannot have its output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutputNameError {
    /// A second input with the same output.
    #[error(
        "{} would be the output of two inputs, {first} and {second}; tell them apart with a template such as -o 'DIR/{{path}}' or -o 'DIR/{{dir}}/{{stem}}-{{ext}}.out'",
        output.display()
    )]
    Collision {
        /// The output.
        output: PathBuf,
        /// The input that had it first.
        first: String,
        /// The other.
        second: String,
    },
    /// The output is the input itself, or another one.
    #[error(
        "{} is an input: writing the result of {writer} there would destroy it; name another folder, or another name with -o 'DIR/{{stem}}-new.{{ext}}'",
        output.display()
    )]
    OverInput {
        /// The output.
        output: PathBuf,
        /// The input whose result it would be.
        writer: String,
    },
    /// Standard input has no name that an output could have.
    #[error("the result of standard input needs a name: use -o FILE")]
    Stdin,
}

/// What to do with an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Make this file.
    Write(PathBuf),
    /// `--skip-existing`: it is there.
    Exists(PathBuf),
}

/// Gives inputs their outputs and remembers which were given. 16 bytes for each, as lists may be long.
#[derive(Debug)]
pub(crate) struct OutputNames {
    destination: Destination,
    skip_existing: bool,
    hasher: RandomState,
    /// By the hash of the output, the number of its input.
    taken: HashMap<u64, usize>,
}

impl OutputNames {
    pub(crate) fn new(destination: Destination, skip_existing: bool) -> Self {
        Self { destination, skip_existing, hasher: RandomState::new(), taken: HashMap::new() }
    }

    /// The outputs of a list that is known as a whole, so that nothing runs before all of them are known to be good.
    ///
    /// # Errors
    /// When two inputs have one output, an output is one of the inputs, or an input has no name.
    pub(crate) fn name_all(&mut self, inputs: &[Found]) -> Result<Vec<Output>, OutputNameError> {
        let mut files: HashMap<(u64, u64), &FoundFile> = HashMap::new();
        let mut outputs = Vec::with_capacity(inputs.len());
        for found in inputs {
            if let Found::File(file) = found
                && let Some(identity) = walk::identity(&file.path)
            {
                files.insert(identity, file);
            }
        }
        for found in inputs {
            let output = self.name(found).map_err(|error| with_first(error, inputs))?;
            let (Output::Write(path) | Output::Exists(path)) = &output;
            if matches!(output, Output::Write(_)) && walk::identity(path).is_some_and(|same| files.contains_key(&same))
            {
                return Err(OutputNameError::OverInput { output: path.clone(), writer: name_of(found) });
            }
            outputs.push(output);
        }
        Ok(outputs)
    }

    /// The output of the next input of a list that goes on. Compares with the inputs so far, and does not see an
    /// output that is in the place of another input.
    ///
    /// # Errors
    /// As [`OutputNames::name_all`].
    pub(crate) fn name(&mut self, found: &Found) -> Result<Output, OutputNameError> {
        let Found::File(file) = found else { return Err(OutputNameError::Stdin) };
        let output = self.destination.path_for(file);
        // `a/./b` and `a//b` are `a/b`.
        let key = self.hasher.hash_one(output.components().collect::<PathBuf>());
        let number = self.taken.len();
        if let Some(first) = self.taken.insert(key, number) {
            let first = format!("input {}", first + 1);
            return Err(OutputNameError::Collision { output, first, second: name_of(found) });
        }
        let same = walk::identity(&output).filter(|same| walk::identity(&file.path) == Some(*same));
        if same.is_some() {
            return Err(OutputNameError::OverInput { output, writer: name_of(found) });
        }
        if self.skip_existing && output.exists() { Ok(Output::Exists(output)) } else { Ok(Output::Write(output)) }
    }
}

/// What messages call a source.
fn name_of(found: &Found) -> String {
    match found {
        Found::Stdin | Found::Call(_) => "-".into(),
        Found::File(file) => file.path.display().to_string(),
    }
}

/// The error with the paths of both inputs, where the list of them is at hand.
fn with_first(error: OutputNameError, inputs: &[Found]) -> OutputNameError {
    let OutputNameError::Collision { output, first, second } = error else { return error };
    let number = first.strip_prefix("input ").and_then(|number| number.parse::<usize>().ok());
    let first = number.and_then(|number| inputs.get(number - 1)).map_or(first, name_of);
    OutputNameError::Collision { output, first, second }
}

#[cfg(test)]
mod tests;
