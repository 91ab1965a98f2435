//! What the state machine asks of a job, whatever its kind.

use taskhost_data::tree::NodeId;
use taskhost_protocol::ids::{BatchId, WorkerId};
use taskhost_protocol::kernel::ResultLength;
use taskhost_protocol::work::{Budget, Done, Merge, Split};

use super::items::ItemsJob;
use super::mark::{Lost, Mark};
use super::picture::PictureJob;
use crate::event::{Action, Destination, JobFailure, JobTotals, OnError, Post, Task};

/// A task, and where its results go.
#[derive(Clone, Debug)]
pub(crate) struct Pick {
    pub(crate) task: Task,
    pub(crate) destination: Destination,
    /// For `combine`: the node it resolves; `None` for the identity.
    pub(crate) node: Option<NodeId>,
    /// What is known of it from attempts before.
    pub(crate) mark: Option<Mark>,
    /// How often it was lost with its worker, when it cannot be divided.
    pub(crate) attempts: u32,
}

impl Pick {
    /// A task of which nothing is known.
    pub(crate) fn new(task: Task, destination: Destination) -> Self {
        Self { task, destination, node: None, mark: None, attempts: 0 }
    }

    /// Which workers run it.
    pub(crate) fn post(&self) -> Post {
        match Mark::post(self.mark.as_ref()) {
            Post::Isolation => Post::Isolation,
            Post::Execute | Post::Convert => self.task.post(),
        }
    }
}

/// A batch that was run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ran<'a> {
    pub(crate) worker: WorkerId,
    pub(crate) batch: BatchId,
    pub(crate) pick: &'a Pick,
    pub(crate) done: &'a Done,
}

/// What comes of a batch that was lost with its worker.
#[derive(Clone, Debug)]
pub(crate) struct Regained {
    /// What is to be run again at once.
    pub(crate) again: Option<Pick>,
    /// Whether the loss brought the job on: another one like it cannot follow for ever.
    pub(crate) is_explained: bool,
}

impl Regained {
    /// A task that cannot be divided is run again; `before` is how often it was lost before.
    pub(crate) fn whole(again: Pick, before: u32) -> Self {
        Self { is_explained: again.attempts > before, again: Some(again) }
    }
}

/// What the machine asks of a job.
pub(crate) trait Job {
    /// Asks for input or output, if any is needed now.
    fn pump(&mut self, workers: usize, actions: &mut Vec<Action>);
    /// What is to be run next at this post, if anything can be. The answer changes only with what the job is told.
    fn next(&mut self, post: Post, workers: usize) -> Option<Pick>;
    /// Whether a reply can be true; `Err` is what the worker did wrong.
    fn check(&self, pick: &Pick, done: &Done) -> Result<(), &'static str>;
    /// A batch was run; its reply was checked. May ask for one more task at once. The batch is released, or appended
    /// and so released later, whatever comes of it.
    fn done(
        &mut self,
        ran: Ran<'_>,
        next_part: &mut u64,
        actions: &mut Vec<Action>,
    ) -> Result<Option<Pick>, JobFailure>;
    /// A batch was lost with the worker that was at it.
    fn lost(&mut self, pick: Pick, lost: &Lost<'_>) -> Result<Regained, JobFailure>;
    /// A batch was lost with a worker that had not begun it. May ask for it to be run again at once.
    fn untouched(&mut self, pick: Pick) -> Option<Pick>;
    /// Why the job fails, once all results in front of that are written.
    fn failure(&mut self) -> Option<JobFailure>;
    /// What becomes of it when an item fails.
    fn on_error(&self) -> OnError;
    /// Bytes that were appended are now in the output.
    fn written(&mut self, bytes: u64);
    /// Bytes that belong to no batch are on their way to the output.
    fn appended(&mut self, bytes: u64);
    /// Whether [`Job::next`] has something for this post.
    fn has_more(&self, post: Post) -> bool;
    /// How many workers could have something of it, up to `most`.
    fn width(&self, post: Post, most: usize) -> usize {
        if self.has_more(post) { most } else { 0 }
    }
    /// Whether everything is in the output.
    fn is_finished(&self) -> bool;
    /// The job is given up: releases what it still holds.
    fn abandon(&mut self, actions: &mut Vec<Action>);
    /// When a batch has to stop early.
    fn budget(&self, workers: usize) -> Budget;
    fn split_and_merge(&self) -> (Split, Merge);
    /// How long each result must be.
    fn length(&self) -> ResultLength;
    fn totals(&self) -> &JobTotals;
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

    /// Which workers the job's next task needs, unless it is suspected.
    pub(crate) fn post(&self) -> Post {
        match self {
            Self::Items(_) => Post::Execute,
            Self::Picture(picture) => picture.post(),
        }
    }
}
