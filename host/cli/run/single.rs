//! One result of all inputs: one job.

use std::path::Path;

use taskhost_os::eventfd::Waker;
use taskhost_pool::event::{JobFailure, Placement, Resume};
use taskhost_pool::job::{JobSpec, JobWork, KeptParts, Output};
use taskhost_protocol::work::Merge;

use super::Given;
use super::picture_work::PictureWork;
use crate::args::RunArguments;
use crate::exit_code::{Exit, Failure};
use crate::feed::{AllSources, Sources, name_of, path_of};
use crate::journal::Left;
use crate::output::{self, Place};
use crate::plan::{self, Shape};
use crate::report::Notes;

/// All inputs make one result.
pub(super) struct SingleJob<'a> {
    pub(super) arguments: &'a RunArguments,
    pub(super) shape: Shape,
    /// Whether the kernel is a program, which mostly print what somebody wants to read.
    pub(super) is_program: bool,
    /// Bytes of all inputs, when known.
    pub(super) bytes: Option<u64>,
    pub(super) notes: &'a Notes,
    /// What another run left behind.
    pub(super) left: Option<&'a Left>,
}

impl SingleJob<'_> {
    /// The job. The waker is for a list of inputs that somebody may still be writing.
    pub(super) fn spec(self, inputs: Given, place: Place, waker: Waker) -> Result<JobSpec, Failure> {
        let Self { arguments, shape, is_program, bytes, notes, left } = self;
        notes.taken_over.set(Some(0));
        if shape == Shape::Picture {
            return one_picture(inputs, place, arguments, notes);
        }
        let first = match &inputs {
            Given::Known(known) => known.front().cloned(),
            Given::List(_) => None,
        };
        let input = first.as_ref().and_then(path_of);
        let mut resume = None;
        let mut splice = None;
        let mut parts = KeptParts::new();
        let new_file = |path: &Path| output::file(path, output::work(path, arguments));
        let unpack = !arguments.input.no_compression;
        let output = match &place {
            Place::File(path) => match left {
                Some(left) if left.has_parts() => {
                    let (done, kept) = left.reduction();
                    resume = Some(done);
                    parts = kept;
                    left.forget_output(path);
                    new_file(path)?
                }
                Some(left) if left.ended.is_some() => {
                    if let (Given::Known(known), true) = (&inputs, unpack) {
                        left.check_readable(known)?;
                    }
                    let (old, items) = left.splice(path)?;
                    (splice, resume) = (Some(old), Some(items));
                    new_file(path)?
                }
                Some(left) => match left.go_on(path)? {
                    Some((output, place)) => {
                        resume = Some(place);
                        output
                    }
                    None => new_file(path)?,
                },
                None => new_file(path)?,
            },
            Place::Stdout { .. } | Place::PerInput(_) => match &shape {
                Shape::Items { merge: (Merge::Discard, _), .. } => Output::Nothing,
                shape if shape.is_binary() && !is_program => match output::spare_terminal(&place, input) {
                    Some(path) => new_file(&path)?,
                    None => output::stdout()?,
                },
                _ => output::stdout()?,
            },
        };
        notes.taken_over.set(Some(resume.as_deref().map_or(0, Resume::items)));
        let own_file = matches!(output, Output::File(_));
        let mut plan = plan::items_plan(shape, arguments, bytes, own_file)
            .ok_or_else(|| Failure::usage("the kernel filters pictures, not items"))?;
        if splice.is_some() && plan.placement != Placement::Nowhere {
            // Results are put between those that are there.
            plan.placement = Placement::Append;
        }
        let (name, sources) = match inputs {
            Given::Known(known) if known.len() == 1 => {
                (known.front().map(name_of).unwrap_or_default(), Sources::Known(known))
            }
            Given::Known(known) => ("the input".to_owned(), Sources::Known(known)),
            Given::List(list) => {
                let listed = Sources::listed(*list, waker);
                ("the input".to_owned(), listed.map_err(|error| Failure::new(Exit::Host, error.to_string()))?)
            }
        };
        let work = JobWork::Items {
            plan,
            sources: Box::new(AllSources { sources, unpack }),
            header: arguments.items.header,
            keep_header: arguments.items.keep_header,
            output,
            resume,
            parts,
            splice,
        };
        Ok(JobSpec { name, work })
    }
}

/// One picture makes one picture.
fn one_picture(inputs: Given, place: Place, arguments: &RunArguments, notes: &Notes) -> Result<JobSpec, Failure> {
    let several = || {
        Failure::usage(
            "the kernel makes one picture of each input: name a folder for them, -o FOLDER/, or -o 'FOLDER/{stem}.png'",
        )
    };
    let Given::Known(mut known) = inputs else { return Err(several()) };
    let found = known.pop_front().ok_or_else(several)?;
    if !known.is_empty() {
        return Err(several());
    }
    let path = match &place {
        Place::File(path) => Some(path.clone()),
        Place::Stdout { .. } | Place::PerInput(_) => output::spare_terminal(&place, path_of(&found)),
    };
    let failed = |failure: JobFailure| Failure::input(failure.to_string());
    let name = name_of(&found);
    let job = PictureWork::new(&found, path.as_deref(), arguments).map_err(failed)?;
    let output = match &path {
        Some(path) => output::file(path, None)?,
        None => output::stdout()?,
    };
    job.note(path.as_deref(), notes);
    Ok(job.spec(name, output, arguments))
}
