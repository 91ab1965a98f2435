//! A result for each input: every input is a job of its own, and one that cannot be run costs one result.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use taskhost_os::eventfd::Waker;
use taskhost_pool::event::{JobFailure, OnError};
use taskhost_pool::job::{Feed, JobFeed, JobSpec, JobWork, SourceFeed, SourceFile};
use taskhost_protocol::work::Split;

use super::Given;
use super::picture_work::PictureWork;
use crate::args::{OnErrorName, RunArguments};
use crate::exit_code::{Exit, Failure};
use crate::feed::{AllSources, Sources, name_of, total_bytes};
use crate::inputs::Found;
use crate::inputs::outputs::{Destination, Output as Named, OutputNames};
use crate::journal::Left;
use crate::output;
use crate::plan::{self, Shape};
use crate::report::Notes;

/// The jobs of a run that makes a result for each input.
pub(crate) struct ManyJobs<'a> {
    notes: Rc<Notes>,
    sources: Sources,
    names: Names,
    arguments: &'a RunArguments,
    shape: Shape,
    /// What another run left behind.
    left: Option<&'a Left>,
}

/// Where results go, and who is told of what is special about them.
pub(crate) struct Outputs<'l> {
    pub(crate) destination: Destination,
    pub(crate) notes: Rc<Notes>,
    /// What another run left behind.
    pub(crate) left: Option<&'l Left>,
}

/// The outputs' names.
enum Names {
    /// All known, and known to be good.
    Known(std::collections::VecDeque<Named>),
    /// Found as the inputs come.
    Coming(OutputNames),
}

impl<'a> ManyJobs<'a> {
    pub(crate) fn new(
        inputs: Given,
        outputs: Outputs<'a>,
        arguments: &'a RunArguments,
        shape: Shape,
        waker: Waker,
    ) -> Result<Self, Failure> {
        if let Some(folder) = outputs.destination.folder()
            && folder.exists()
            && !folder.is_dir()
        {
            let folder = folder.display();
            return Err(Failure::input(format!(
                "{folder} is a file, so no results can be put in it; name another folder"
            )));
        }
        let mut names = OutputNames::new(outputs.destination, arguments.output.skip_existing);
        let (sources, names) = match inputs {
            Given::Known(mut known) => {
                let named =
                    names.name_all(known.make_contiguous()).map_err(|error| Failure::usage(error.to_string()))?;
                if let Some(left) = outputs.left {
                    sweep(left, &named);
                }
                (Sources::Known(known), Names::Known(named.into()))
            }
            Given::List(list) => {
                let listed = Sources::listed(*list, waker);
                let listed = listed.map_err(|error| Failure::new(Exit::Host, error.to_string()))?;
                (listed, Names::Coming(names))
            }
        };
        Ok(Self { notes: outputs.notes, sources, names, arguments, shape, left: outputs.left })
    }

    /// The job of one input. One that cannot be made becomes a job that fails.
    fn job(&self, found: &Found, path: &Path) -> Result<JobSpec, JobFailure> {
        let name = name_of(found);
        let failed = |failure: Failure| JobFailure::Output(failure.message);
        if self.shape == Shape::Picture {
            let work = PictureWork::new(found, Some(path), self.arguments)?;
            work.note(Some(path), &self.notes);
            return Ok(work.spec(name, output::file_of_many(path, None).map_err(failed)?, self.arguments));
        }
        let sources = std::collections::VecDeque::from([found.clone()]);
        let unpack = !self.arguments.input.no_compression;
        let bytes = total_bytes(&sources, unpack);
        let output = output::file_of_many(path, output::work(path, self.arguments)).map_err(failed)?;
        let own_file = matches!(output, taskhost_pool::job::Output::File(_));
        let mut plan = plan::items_plan(self.shape, self.arguments, bytes, own_file)
            .ok_or_else(|| JobFailure::Kernel("the kernel filters pictures, not items".into()))?;
        plan.on_error = match (plan.split, self.arguments.failures.on_error) {
            // A result without its only item would be an empty file.
            (Split::Whole, _) | (_, Some(OnErrorName::Fail)) => OnError::Fail,
            (_, Some(OnErrorName::Skip) | None) => OnError::Skip,
        };
        let work = JobWork::Items {
            plan,
            sources: Box::new(AllSources { sources: Sources::Known(sources), unpack }),
            header: self.arguments.items.header,
            keep_header: self.arguments.items.keep_header,
            output,
            resume: None,
            parts: taskhost_pool::job::KeptParts::new(),
            splice: None,
        };
        Ok(JobSpec { name, work })
    }
}

impl JobFeed for ManyJobs<'_> {
    fn next(&mut self) -> Feed<JobSpec> {
        loop {
            if self.notes.stop.get() {
                return Feed::Ended;
            }
            let found = match self.sources.next() {
                Feed::Later => return Feed::Later,
                Feed::Ended => return Feed::Ended,
                Feed::Next(Err(error)) => {
                    return Feed::Next(failed_job("the list of inputs".into(), JobFailure::Input(error.to_string())));
                }
                Feed::Next(Ok(found)) => found,
            };
            let named = match &mut self.names {
                Names::Known(named) => named.pop_front().ok_or_else(|| "it has no name".to_owned()),
                Names::Coming(names) => names.name(&found).map_err(|error| error.to_string()),
            };
            let name = name_of(&found);
            if self.left.is_some_and(|left| left.is_done(&name)) {
                self.notes.left_out.set(self.notes.left_out.get() + 1);
                continue;
            }
            let path = match named {
                Ok(Named::Write(path)) => path,
                // It is to be made anew.
                Ok(Named::Exists(path)) if self.left.is_some_and(|left| left.is_lacking(&name)) => path,
                // It is there already.
                Ok(Named::Exists(_)) => {
                    self.notes.left_out.set(self.notes.left_out.get() + 1);
                    continue;
                }
                Err(error) => return Feed::Next(failed_job(name, JobFailure::Output(error))),
            };
            return Feed::Next(match self.job(&found, &path) {
                Ok(job) => job,
                Err(failure) => failed_job(name, failure),
            });
        }
    }
}

/// Removes what another run left half-written: those results are made anew.
fn sweep(left: &Left, named: &[Named]) {
    let folder = |named: &Named| match named {
        Named::Write(path) | Named::Exists(path) => path.parent().map(Path::to_owned),
    };
    for folder in named.iter().filter_map(folder).collect::<HashSet<PathBuf>>() {
        left.sweep(&folder, None);
    }
}

/// A job that reports why it could not be made.
fn failed_job(name: String, failure: JobFailure) -> JobSpec {
    struct Failing(Option<JobFailure>);
    impl SourceFeed for Failing {
        fn next(&mut self) -> Feed<Result<SourceFile, JobFailure>> {
            self.0.take().map_or(Feed::Ended, |failure| Feed::Next(Err(failure)))
        }
    }
    let plan = taskhost_pool::event::ItemsPlan {
        split: Split::Whole,
        merge: taskhost_protocol::work::Merge::Discard,
        placement: taskhost_pool::event::Placement::Nowhere,
        length: taskhost_protocol::kernel::ResultLength::Unknown,
        ordered: true,
        batch: taskhost_pool::state::sizing::BatchRule::Auto,
        bytes: None,
        origin: None,
        portion: None,
        on_error: OnError::Fail,
    };
    let work = JobWork::Items {
        plan,
        sources: Box::new(Failing(Some(failure))),
        header: false,
        keep_header: false,
        output: taskhost_pool::job::Output::Nothing,
        resume: None,
        parts: taskhost_pool::job::KeptParts::new(),
        splice: None,
    };
    JobSpec { name, work }
}
