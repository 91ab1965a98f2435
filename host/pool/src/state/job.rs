//! What the state machine asks of a job, whatever its kind.

use taskhost_data::tree::NodeId;
use taskhost_protocol::ids::BatchId;
use taskhost_protocol::kernel::ResultLength;
use taskhost_protocol::message::Role;
use taskhost_protocol::work::{Budget, Done, Merge, Split};

use super::items::ItemsJob;
use super::picture::PictureJob;
use crate::event::{Action, Destination, JobFailure, JobTotals, Task};

/// A task, and where its results go.
#[derive(Clone, Debug)]
pub(crate) struct Pick {
    pub(crate) task: Task,
    pub(crate) destination: Destination,
    /// For `combine`: the node it resolves; `None` for the identity.
    pub(crate) node: Option<NodeId>,
}

/// What the machine asks of a job.
pub(crate) trait Job {
    /// Asks for input or output, if any is needed now.
    fn pump(&mut self, workers: usize, actions: &mut Vec<Action>);
    /// What is to be run next, if anything can be. The answer changes only with what the job is told.
    fn next(&mut self, workers: usize) -> Option<Pick>;
    /// Whether a reply can be true; `Err` is what the worker did wrong.
    fn check(&self, pick: &Pick, done: &Done) -> Result<(), &'static str>;
    /// A batch was run; its reply was checked. May ask for one more task at once. The batch is released, or appended
    /// and so released later, whatever comes of it.
    fn done(
        &mut self,
        batch: BatchId,
        pick: &Pick,
        done: &Done,
        next_part: &mut u64,
        actions: &mut Vec<Action>,
    ) -> Result<Option<Pick>, JobFailure>;
    /// Bytes that were appended are now in the output.
    fn written(&mut self, bytes: u64);
    /// Bytes that belong to no batch are on their way to the output.
    fn appended(&mut self, bytes: u64);
    /// Whether [`Job::next`] has something.
    fn has_more(&self) -> bool;
    /// Whether everything is in the output.
    fn is_finished(&self) -> bool;
    /// The job is given up: releases what it still holds.
    fn abandon(&mut self, actions: &mut Vec<Action>);
    /// When a batch has to stop early.
    fn budget(&self, workers: usize) -> Budget;
    fn split_and_merge(&self) -> (Split, Merge);
    /// How long each result must be.
    fn length(&self) -> ResultLength;
    fn totals_mut(&mut self) -> &mut JobTotals;
}

/// The two kinds of job.
#[derive(Debug)]
pub(crate) enum AnyJob {
    Items(Box<ItemsJob>),
    Picture(Box<PictureJob>),
}

impl AnyJob {
    pub(crate) fn get(&self) -> &dyn Job {
        match self {
            Self::Items(job) => job.as_ref(),
            Self::Picture(job) => job.as_ref(),
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut dyn Job {
        match self {
            Self::Items(job) => job.as_mut(),
            Self::Picture(job) => job.as_mut(),
        }
    }

    /// Which workers the job's next task needs.
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Items(_) => Role::Execute,
            Self::Picture(picture) => picture.role(),
        }
    }
}
