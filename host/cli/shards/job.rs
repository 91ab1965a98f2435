//! The jobs of a shard: those of the run, of which only a stretch is run.

use std::path::Path;

use taskhost_os::eventfd::Waker;
use taskhost_pool::job::{JobFeed, JobSpec, JobWork, KeptParts, Output, PictureForm};
use taskhost_protocol::picture::PicturePlan;
use taskhost_protocol::work::Merge;

use super::Plan;
use super::cut::{Shard, Stretch};
use super::feed::{PlannedSources, check};
use super::file::PlannedInput;
use crate::args::RunArguments;
use crate::exit_code::Failure;
use crate::feed::OneJob;
use crate::inputs::Found;
use crate::output::{self, Place};
use crate::plan::{self, Shape};
use crate::report::Notes;
use crate::run::Given;
use crate::run::many::{ManyJobs, Outputs};
use crate::run::picture_work::PictureWork;

/// What jobs are made of.
#[derive(Clone, Copy)]
pub(super) struct Making<'a> {
    pub(super) arguments: &'a RunArguments,
    pub(super) inputs: &'a [PlannedInput],
    pub(super) shape: Shape,
}

impl Making<'_> {
    /// The inputs of a shard.
    pub(super) fn inputs_of(&self, stretch: &Stretch) -> &[PlannedInput] {
        let range = match stretch {
            Stretch::All | Stretch::Rows { .. } => 0..self.inputs.len(),
            Stretch::Items { first, portion } => *first as usize..(first + portion.last + 1) as usize,
            Stretch::Files { first, end } => *first as usize..*end as usize,
        };
        // No input at all still makes a result.
        self.inputs.get(range).unwrap_or_default()
    }

    /// The one job of a stretch whose results go to one place. `target` is where the result of the run goes, since its
    /// name says what it looks like.
    pub(super) fn one(&self, shard: &Shard, target: Option<&Path>, output: Output) -> Result<JobSpec, Failure> {
        let name = self.inputs.first().map(|input| input.file.name.clone()).unwrap_or_default();
        let name = if self.inputs.len() == 1 { name } else { "the input".into() };
        match &shard.work {
            Stretch::Items { portion, .. } => {
                let own_file = matches!(output, Output::File(_));
                let mut plan = plan::items_plan(self.shape, self.arguments, Some(shard.bytes), own_file)
                    .ok_or_else(|| Failure::usage("the kernel filters pictures, not items"))?;
                plan.portion = Some(*portion);
                let sources = self.inputs_of(&shard.work).iter().cloned().collect();
                let is_first = portion.base == 0 && portion.start == 0;
                let output = if plan.merge == Merge::Discard { Output::Nothing } else { output };
                let work = JobWork::Items {
                    plan,
                    sources: Box::new(PlannedSources { inputs: sources }),
                    header: self.arguments.items.header,
                    keep_header: self.arguments.items.keep_header && is_first,
                    output,
                    resume: None,
                    parts: KeptParts::new(),
                    splice: None,
                };
                Ok(JobSpec { name, work })
            }
            Stretch::All | Stretch::Rows { .. } => {
                let input = self.inputs.first().ok_or_else(|| Failure::input("there is no picture"))?;
                check(input)?;
                let found = Found::File(input.file.clone());
                let made = PictureWork::new(&found, target, self.arguments);
                let work = made.map_err(|failure| Failure::input(failure.to_string()))?;
                let mut spec = work.spec(name, output, self.arguments);
                if let (JobWork::Picture { plan, form, .. }, Stretch::Rows { first, end }) =
                    (&mut spec.work, &shard.work)
                {
                    plan.rows = Some((*first, *end));
                    // What stands in front of all rows, the first shard writes.
                    if let (true, PictureForm::Samples { header }) = (*first > 0, form) {
                        *header = no_header;
                    }
                }
                Ok(spec)
            }
            Stretch::Files { .. } => Err(Failure::input("the shard has a result for each of its inputs")),
        }
    }

    /// The jobs of a shard of a plan; results go to `data`, or to their own places.
    pub(super) fn jobs<'s>(
        &'s self,
        shard: &Shard,
        place: Place,
        data: &Path,
        (waker, notes): (Waker, std::rc::Rc<Notes>),
    ) -> Result<Box<dyn JobFeed + 's>, Failure> {
        match place {
            Place::PerInput(destination) => {
                let inputs = self.inputs_of(&shard.work);
                inputs.iter().try_for_each(check)?;
                let found = inputs.iter().map(|input| Found::File(input.file.clone())).collect();
                let outputs = Outputs { destination, notes, left: None };
                let jobs = ManyJobs::new(Given::Known(found), outputs, self.arguments, self.shape, waker)?;
                Ok(Box::new(jobs))
            }
            Place::File(target) => {
                Ok(Box::new(OneJob(Some(self.one(shard, Some(&target), output::file(data, None)?)?))))
            }
            Place::Stdout { .. } => Ok(Box::new(OneJob(Some(self.one(shard, None, output::file(data, None)?)?)))),
        }
    }
}

impl Plan {
    /// What its jobs are made of.
    pub(super) fn making<'a>(&'a self, arguments: &'a RunArguments, shape: Shape) -> Making<'a> {
        Making { arguments, inputs: &self.inputs, shape }
    }
}

fn no_header(_: &PicturePlan, _: u32) -> Vec<u8> {
    Vec::new()
}
