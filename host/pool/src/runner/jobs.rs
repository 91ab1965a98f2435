//! The files of a job that is running: its inputs by number, its output, and what is between.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use taskhost_os::atomic_file::AtomicFile;
use taskhost_os::{exact, memfd, transfer};
use taskhost_protocol::ids::SourceId;
use taskhost_protocol::limits::HEADER_BYTES;
use taskhost_protocol::picture::{Format, PicturePlan};
use taskhost_protocol::stream::StreamWork;
use taskhost_protocol::work::{Partial, Split};

use super::Progress;
use super::allowance::{self, Allowance};
use super::checked::{Handed, is_taken_by_item};
use super::groups::Groups;
use super::pipe::{Before, Pipe, header_too_long};
use super::sink::Target;
use super::splice::Splicing;
use super::table::{Held, TableJob};
use crate::event::{ItemsPlan, JobFailure, JobPlan, JobTotals, Placement, Prefix, Resume};
use crate::job::{JobSpec, JobWork, KeptParts, Output, PictureForm, SourceFeed, SourceFile, SourceKind};
use crate::plan::Share;

/// An input that workers read.
#[derive(Debug)]
pub(crate) struct OpenSource {
    pub(crate) name: String,
    pub(crate) file: Arc<OwnedFd>,
    pub(crate) header: Option<Vec<u8>>,
    /// Where it begins in the file.
    pub(crate) at: u64,
    /// The part of the file that it has for itself, when it is not all of it.
    pub(crate) held: Option<Arc<Held>>,
    /// Bytes of memory that it takes, when it was made for this job.
    pub(crate) memory: u64,
}

/// Where the results of a running job go.
#[derive(Debug)]
pub(crate) enum JobOutput {
    /// A file that is not yet in its place. Appended to, or written by the workers.
    File {
        atomic: Box<AtomicFile>,
        target: Arc<Target>,
        direct: Arc<OwnedFd>,
    },
    /// A file that is not yet in its place, to which a worker writes what it makes of what is written to the pipe.
    Converted {
        atomic: Box<AtomicFile>,
        work: StreamWork,
        /// The pipe, until everything is written.
        target: Option<Arc<Target>>,
    },
    /// Something that is written from front to back.
    Stream(Arc<Target>),
    Nothing,
}

/// The picture of a picture job.
#[derive(Debug)]
pub(crate) struct Picture {
    /// Its file.
    pub(crate) file: Arc<OwnedFd>,
    pub(crate) file_bytes: u64,
    /// Its samples: the file itself, or what was decoded.
    pub(crate) samples: Arc<OwnedFd>,
    pub(crate) form: PictureForm,
    /// The result's samples, when they are encoded afterwards.
    pub(crate) result: Option<Arc<OwnedFd>>,
    /// The encoded file, when the output is a stream.
    pub(crate) encoded: Option<Arc<OwnedFd>>,
    pub(crate) result_format: Option<Format>,
}

/// A running job.
pub(crate) struct RunningJob {
    pub(crate) name: String,
    pub(crate) feed: Option<Box<dyn SourceFeed>>,
    pub(crate) waits_for_source: bool,
    pub(crate) waits_for_header: Option<SourceId>,
    pub(crate) header: bool,
    pub(crate) keep_header: bool,
    pub(crate) split: Split,
    pub(crate) sources: HashMap<SourceId, OpenSource>,
    pub(crate) next_source: u32,
    /// The pipe that is being read.
    pub(crate) pipe: Option<(SourceId, Pipe)>,
    /// The input that is taken apart into others.
    pub(crate) groups: Option<Groups>,
    /// Pipes that were read to their end, of which blocks are still to be run.
    pub(crate) read_pipes: HashMap<SourceId, Pipe>,
    /// Bytes that the pipe is to be read for; 0 when it is not.
    pub(crate) wanted: u64,
    pub(crate) output: JobOutput,
    pub(crate) picture: Option<Picture>,
    /// Partial results that another run has made, by input and first byte of their stretch.
    pub(crate) parts: KeptParts,
    /// Of a portion of a reduction: what its output consists of.
    pub(crate) partials: Vec<Partial>,
    /// The output that is made anew.
    pub(crate) splicing: Option<Splicing>,
    /// Whoever hands its items over and gets the results.
    pub(crate) table: Option<TableJob>,
    /// Batches whose results somebody has yet to take.
    pub(crate) handed: VecDeque<Handed>,
    /// Whether somebody takes them item by item.
    pub(crate) is_checked: bool,
    /// Its share of the workers; without one, it goes before all that came later.
    pub(crate) share: Option<Share>,
    /// Whether workers write results straight to their places.
    pub(crate) is_direct: bool,
    /// Items and bytes of input that the progress of the run counts for it.
    shown: (u64, u64),
    /// How far another run had come.
    pub(crate) merged: Prefix,
    /// What is known of its pipe up to there.
    pub(crate) read: Option<(u64, [u8; 32])>,
    /// Whether a journal is kept, so that a pipe has to be known again.
    pub(crate) is_kept: bool,
    /// Why a worker that converts its input or output has given up. The state machine was told, but may have finished the
    /// job before it hears of it.
    pub(crate) conversion: Option<JobFailure>,
    /// The inputs of failed items, by name: their files may be closed when the failures are told.
    pub(crate) failed_sources: BTreeMap<SourceId, String>,
}

/// What came of asking for the next input.
pub(crate) enum Opened {
    File {
        source: SourceId,
        start: u64,
        end: u64,
    },
    Pipe {
        source: SourceId,
    },
    /// A table, of which each group of rows will be an input.
    Groups,
}

impl RunningJob {
    /// Takes over the files of a job, of which the results have at most `limit` bytes, and says what it is.
    pub(crate) fn new(spec: JobSpec, limit: Option<u64>) -> io::Result<(Self, JobPlan, Option<Box<Resume>>)> {
        let mut begun = None;
        let mut splicing = None;
        let mut table = None;
        let mut share = None;
        let mut kept = HashMap::new();
        let (mut plan, feed, header, keep_header, output, picture, split) = match spec.work {
            JobWork::Items { plan, sources, header, keep_header, output, resume, parts, splice } => {
                // The header in front of the output is there already.
                let keep_header = keep_header && resume.is_none();
                begun = resume;
                splicing = splice.map(Splicing::new);
                kept = parts;
                (JobPlan::Items(plan), Some(sources), header, keep_header, output, None, plan.split)
            }
            JobWork::Table { plan, blocks, recipient, share: its } => {
                table = Some(TableJob::new(blocks, recipient));
                share = Some(its);
                (JobPlan::Items(plan), None, false, false, Output::Nothing, None, plan.split)
            }
            JobWork::Picture { plan, source, output, form } => {
                let SourceKind::Regular { len } = source.kind else {
                    return Err(io::Error::other("a picture is read from a file"));
                };
                let file = Arc::new(source.file);
                let samples = Arc::clone(&file);
                let picture =
                    Picture { file, file_bytes: len, samples, form, result: None, encoded: None, result_format: None };
                (JobPlan::Picture(plan), None, false, false, output, Some(picture), Split::Whole)
            }
        };
        let mut output = match output {
            Output::File(atomic) => {
                let direct = Arc::new(OwnedFd::from(atomic.file().try_clone()?));
                // What another run had written counts.
                let there = if begun.is_some() { atomic.file().metadata()?.len() } else { 0 };
                let target = Arc::new(Target::new(direct.try_clone()?, Allowance::new(limit, there)));
                JobOutput::File { atomic, target, direct }
            }
            Output::Converted(atomic, work) => JobOutput::Converted { atomic, work, target: None },
            Output::Stream(fd) => JobOutput::Stream(Arc::new(Target::new(fd, Allowance::new(limit, 0)))),
            Output::Nothing => JobOutput::Nothing,
        };
        let is_checked = is_taken_by_item(&mut plan, &mut output);
        let job = Self {
            name: spec.name,
            feed,
            waits_for_source: false,
            waits_for_header: None,
            header,
            keep_header,
            split,
            sources: HashMap::new(),
            next_source: 0,
            pipe: None,
            groups: None,
            read_pipes: HashMap::new(),
            wanted: 0,
            output,
            picture,
            parts: kept,
            partials: Vec::new(),
            splicing,
            table,
            handed: VecDeque::new(),
            is_checked,
            share,
            is_direct: matches!(plan, JobPlan::Items(ItemsPlan { placement: Placement::Direct(_), .. })),
            shown: (0, 0),
            merged: begun.as_ref().map_or_else(Prefix::default, |resume| resume.prefix),
            read: begun.as_ref().and_then(|resume| resume.read),
            is_kept: false,
            conversion: None,
            failed_sources: BTreeMap::new(),
        };
        Ok((job, plan, begun))
    }

    /// So much more was run.
    pub(crate) fn show(&mut self, progress: &mut Progress, items: u64, input: u64) {
        self.shown = (self.shown.0.saturating_add(items), self.shown.1.saturating_add(input));
        progress.items = progress.items.saturating_add(items);
        progress.input = progress.input.saturating_add(input);
    }

    /// So much was run in all, by this run and any before it.
    pub(crate) fn show_totals(&mut self, progress: &mut Progress, totals: &JobTotals) {
        if self.picture.is_none() {
            progress.input = progress.input.saturating_sub(self.shown.1).saturating_add(totals.input);
            self.shown.1 = totals.input;
            self.show_items(progress, totals.items);
        }
    }

    /// So many items were run in all.
    pub(crate) fn show_items(&mut self, progress: &mut Progress, items: u64) {
        if self.picture.is_none() {
            progress.items = progress.items.saturating_sub(self.shown.0).saturating_add(items);
            self.shown.0 = items;
        }
    }

    /// Takes an input in.
    pub(crate) fn open(&mut self, file: SourceFile) -> Result<Opened, JobFailure> {
        let source = SourceId(self.next_source);
        self.next_source += 1;
        match file.kind {
            SourceKind::Pipe => {
                let is_begun = source == self.merged.source;
                let before = Before {
                    merged: if is_begun { self.merged.offset } else { 0 },
                    read: self.read.filter(|_| is_begun),
                };
                let hasher = self.is_kept.then(blake3::Hasher::new);
                let pipe = Pipe::new(file.file, source, self.split, self.header)
                    .map_err(|error| JobFailure::Input(format!("no memory to read {}: {error}", file.name)))?;
                let mut pipe = pipe.after(before, hasher);
                if file.unpack {
                    pipe.sniff();
                }
                let open =
                    OpenSource { name: file.name, file: pipe.shared(), header: None, at: 0, held: None, memory: 0 };
                self.sources.insert(source, open);
                self.read_pipes.extend(self.pipe.replace((source, pipe)));
                Ok(Opened::Pipe { source })
            }
            SourceKind::Regular { len: end } => {
                let (header, start) = if self.header {
                    let (header, start) = read_header(&file, end)?;
                    (Some(header), start)
                } else {
                    (None, 0)
                };
                let file =
                    OpenSource { name: file.name, file: Arc::new(file.file), header, at: 0, held: None, memory: 0 };
                self.sources.insert(source, file);
                Ok(Opened::File { source, start, end })
            }
        }
    }

    /// What is known of the pipe up to somewhere in front of this place.
    pub(crate) fn read_before(&self, prefix: Prefix) -> Option<(u64, [u8; 32])> {
        let current = self.pipe.as_ref().filter(|(source, _)| *source == prefix.source).map(|(_, pipe)| pipe);
        current.or_else(|| self.read_pipes.get(&prefix.source))?.read_before(prefix.offset)
    }

    /// The header that goes in front of the output: that of the first input, when it was asked for.
    pub(crate) fn first_header(&mut self, source: SourceId) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.keep_header) {
            return None;
        }
        self.sources.get(&source)?.header.clone()
    }

    /// Nothing more is needed of a file, or of the block of a pipe that begins at `from`.
    pub(crate) fn release(&mut self, source: SourceId, from: u64) {
        let pipe = match &mut self.pipe {
            Some((current, pipe)) if *current == source => Some(pipe),
            _ => self.read_pipes.get_mut(&source),
        };
        let is_over = pipe.is_none_or(|pipe| {
            pipe.release(from);
            pipe.is_drained()
        });
        if is_over {
            self.read_pipes.remove(&source);
            self.sources.remove(&source);
        }
    }

    /// Where appended results go.
    pub(crate) fn target(&self) -> Option<Arc<Target>> {
        match &self.output {
            JobOutput::File { target, .. } | JobOutput::Stream(target) => Some(Arc::clone(target)),
            JobOutput::Converted { target, .. } => target.clone(),
            JobOutput::Nothing => None,
        }
    }

    /// The descriptor that workers write results to.
    pub(crate) fn direct(&self) -> Option<Arc<OwnedFd>> {
        if let Some(result) = self.picture.as_ref().and_then(|picture| picture.result.as_ref()) {
            return Some(Arc::clone(result));
        }
        match &self.output {
            JobOutput::File { direct, .. } => Some(Arc::clone(direct)),
            JobOutput::Converted { .. } | JobOutput::Stream(_) | JobOutput::Nothing => None,
        }
    }

    /// Where the output file will be.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        match &self.output {
            JobOutput::File { atomic, .. } | JobOutput::Converted { atomic, .. } => Some(atomic.path().to_owned()),
            JobOutput::Stream(_) | JobOutput::Nothing => None,
        }
    }

    /// Makes the output ready for a picture. Returns where the first row goes, and what has to be appended in front.
    pub(crate) fn open_picture(
        &mut self,
        plan: &PicturePlan,
        planes: u32,
        bytes: u64,
        limit: Option<u64>,
    ) -> Result<(u64, Vec<u8>), JobFailure> {
        let Some(picture) = &mut self.picture else { return Ok((0, Vec::new())) };
        picture.result_format = Some(plan.output);
        match &picture.form {
            PictureForm::File(_) => {
                let result = memfd::create_sized(c"taskhost-result", bytes)
                    .map_err(|error| JobFailure::Output(format!("no memory for the result: {error}")))?;
                picture.result = Some(Arc::new(result));
                Ok((0, Vec::new()))
            }
            PictureForm::Samples { header } => {
                let header = header(plan, planes);
                let at = header.len() as u64;
                let JobOutput::File { direct, .. } = &self.output else { return Ok((at, header)) };
                preallocate(direct.as_fd(), at + bytes, limit)?;
                exact::pwrite_all(direct.as_fd(), &header, 0).map_err(output_failure)?;
                Ok((at, Vec::new()))
            }
        }
    }
}

/// Makes room for results that workers write to their places, if they may have so many bytes.
pub(crate) fn preallocate(output: BorrowedFd<'_>, bytes: u64, limit: Option<u64>) -> Result<(), JobFailure> {
    allowance::check(limit, bytes)?;
    transfer::preallocate(output, bytes).map_err(output_failure)
}

fn output_failure(error: exact::ExactError) -> JobFailure {
    JobFailure::Output(error.to_string())
}

/// The first line of a file of `end` bytes, and where the next begins.
fn read_header(file: &SourceFile, end: u64) -> Result<(Vec<u8>, u64), JobFailure> {
    let len = usize::try_from(end).unwrap_or(usize::MAX).min(HEADER_BYTES);
    let mut bytes = vec![0; len];
    exact::pread_exact(file.file.as_fd(), &mut bytes, 0)
        .map_err(|error| JobFailure::Input(format!("{}: {error}", file.name)))?;
    match memchr::memchr(b'\n', &bytes) {
        Some(line) => {
            bytes.truncate(line);
            Ok((bytes, line as u64 + 1))
        }
        None if (len as u64) < end => Err(header_too_long(&file.name)),
        None => Ok((bytes, end)),
    }
}
