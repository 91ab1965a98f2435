//! The inputs of jobs: opened when they are asked for, pipes read when they have something, both made something else of on the
//! way when they are compressed, or are tables in columns.

use std::os::fd::AsFd as _;

use taskhost_data::formats::{PACKING_BYTES, PARQUET, PARQUET_BYTES, Sniffed, packing};
use taskhost_os::exact;
use taskhost_protocol::ids::{JobId, SourceId};
use taskhost_protocol::stream::{Conversion, Packing, StreamOrder, StreamWork, TableForm};
use taskhost_protocol::work::Split;

use super::converters::{End, Stream};
use super::groups::Groups;
use super::jobs::Opened;
use super::pipe::Brought;
use super::room::sources_at_once;
use super::sink::{Content, Purpose, Write};
use super::{Pool, Watched};
use crate::event::{Event, JobFailure};
use crate::job::{Feed, SourceFile, SourceKind};

impl Pool {
    /// Asks the feeds that had nothing again.
    pub(super) fn open_waiting(&mut self) {
        let waiting: Vec<JobId> = self.jobs.iter().filter(|(_, job)| job.waits_for_source).map(|(id, _)| *id).collect();
        for job in waiting {
            self.next_source(job);
        }
    }

    /// Opens the job's next input.
    pub(super) fn next_source(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        // Those that are open are closed when they are merged.
        job.waits_for_source = job.sources.len() >= sources_at_once(self.config.cores.len(), self.descriptors);
        if job.waits_for_source {
            return;
        }
        if self.next_block(id) || self.next_group(id) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(feed) = &mut job.feed else { return };
        let event = match feed.next() {
            Feed::Later => {
                job.waits_for_source = true;
                return;
            }
            Feed::Ended => Event::SourcesEnded { job: id },
            Feed::Next(Err(failure)) => Event::JobBroken { job: id, failure },
            Feed::Next(Ok(file)) => match self.open_source(id, file) {
                Err(failure) => Event::JobBroken { job: id, failure },
                Ok(Opened::File { source, start, end }) => {
                    let header = self.jobs.get_mut(&id).and_then(|job| job.first_header(source));
                    self.write_header(id, header);
                    Event::SourceOpened { job: id, source, start, end }
                }
                Ok(Opened::Pipe { source }) => {
                    if self.wait_for_header(id, source) {
                        return;
                    }
                    Event::PipeOpened { job: id, source, start: 0 }
                }
                Ok(Opened::Groups) => return self.watch_groups(id),
            },
        };
        self.tell_state(event);
    }

    /// Takes an input in; one that is compressed, or a table, by way of a worker that makes something else of it.
    fn open_source(&mut self, id: JobId, file: SourceFile) -> Result<Opened, JobFailure> {
        let lost = || JobFailure::Lost("its job is gone".into());
        let foreign = match file.kind {
            SourceKind::Regular { len } if file.unpack => sniff(&file, len)?,
            SourceKind::Regular { .. } | SourceKind::Pipe => None,
        };
        let job = self.jobs.get_mut(&id).ok_or_else(lost)?;
        let Some(foreign) = foreign else { return job.open(file) };
        let source = SourceId(job.next_source);
        let order = match foreign {
            Foreign::Packed(packing) => order(packing, Vec::new(), true),
            Foreign::Parquet { len } => {
                let form = table_form(&file.name, job.split, job.header)?;
                let work = StreamWork::ReadTable { form, len };
                let order = StreamOrder { work, prefix: Vec::new(), from_start: true };
                if form == TableForm::Groups {
                    let (reader, _) = self.unpack((id, source), &file.name, order, file.file)?;
                    let job = self.jobs.get_mut(&id).ok_or_else(lost)?;
                    job.groups = Some(Groups::new(file.name, reader.into()));
                    return Ok(Opened::Groups);
                }
                order
            }
        };
        let (reader, _) = self.unpack((id, source), &file.name, order, file.file)?;
        let job = self.jobs.get_mut(&id).ok_or_else(lost)?;
        let opened =
            job.open(SourceFile { name: file.name, file: reader.into(), kind: SourceKind::Pipe, unpack: false })?;
        if let Some((_, pipe)) = &mut job.pipe {
            pipe.distrust();
        }
        Ok(opened)
    }

    /// What was read of a pipe says that it is compressed: a worker reads it from there on.
    fn unpack_pipe(&mut self, id: JobId, source: SourceId, packing: Packing) -> Result<(), JobFailure> {
        let Some(job) = self.jobs.get_mut(&id) else { return Ok(()) };
        let name = job.sources.get(&source).map_or_else(|| job.name.clone(), |source| source.name.clone());
        let Some((_, pipe)) = &mut job.pipe else { return Ok(()) };
        let failed = |error: std::io::Error| JobFailure::Input(format!("no pipe can be made for {name}: {error}"));
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        if std::mem::take(&mut pipe.is_watched) {
            let _ = self.poller.remove(pipe.input());
        }
        pipe.is_busy = false;
        let (prefix, from) = pipe.replace(reader.into());
        let order = order(packing, prefix, false);
        self.convert(Stream { job: id, end: End::Input(source), name, order, from, to: writer.into() })?;
        self.watch_pipe(id);
        Ok(())
    }

    /// The machine hears of the pipe when its header is known, if there is to be one.
    fn wait_for_header(&mut self, id: JobId, source: SourceId) -> bool {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.header) else { return false };
        job.waits_for_header = Some(source);
        job.wanted = 1;
        self.watch_pipe(id);
        true
    }

    /// The first header goes in front of the output, when that was asked for.
    fn write_header(&mut self, id: JobId, header: Option<Vec<u8>>) {
        let Some(mut header) = header else { return };
        if let Some(target) = self.jobs.get(&id).and_then(super::jobs::RunningJob::target) {
            header.push(b'\n');
            self.tell_state(Event::Appended { job: id, bytes: header.len() as u64 });
            self.sink.write(Write { job: id, purpose: Purpose::Header, target, content: Content::Bytes(header) });
        }
    }

    /// The job wants its pipe to be read.
    pub(super) fn watch_pipe(&mut self, id: JobId) {
        let Some((_, pipe)) = self.jobs.get_mut(&id).and_then(|job| job.pipe.as_mut()) else { return };
        if pipe.is_ended() {
            // What is left was read already; there is nothing to wait for.
            return self.read_pipe(id);
        }
        if pipe.is_watched {
            return;
        }
        if pipe.has_unread_rest() {
            // What came with the header may be enough already.
            self.read_pipe(id);
        }
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.wanted > 0) else { return };
        let Some((_, pipe)) = &mut job.pipe else { return };
        let token = Watched::Pipe(id).token();
        match self.poller.add(pipe.input(), token, taskhost_os::poll::Interest::Read) {
            Ok(()) => pipe.is_watched = true,
            // Devices such as /dev/zero cannot be watched, since they never keep anybody waiting.
            Err(_) => pipe.is_busy = true,
        }
    }

    /// Whether an input that cannot be watched is to be read.
    pub(super) fn waits_for_busy_input(&self) -> bool {
        self.jobs.values().any(|job| job.wanted > 0 && job.pipe.as_ref().is_some_and(|(_, pipe)| pipe.is_busy))
    }

    pub(super) fn read_busy_inputs(&mut self) {
        let busy: Vec<JobId> = self
            .jobs
            .iter()
            .filter(|(_, job)| job.wanted > 0 && job.pipe.as_ref().is_some_and(|(_, pipe)| pipe.is_busy))
            .map(|(id, _)| *id)
            .collect();
        for job in busy {
            self.read_pipe(job);
        }
    }

    /// Reads a pipe that is readable.
    pub(super) fn read_pipe(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.groups.is_some() {
            return self.read_groups(id);
        }
        let Some((source, pipe)) = &mut job.pipe else { return };
        let source = *source;
        if job.wanted == 0 {
            return;
        }
        let event = match pipe.read(job.wanted) {
            Ok(Brought::Nothing) => return,
            Ok(Brought::Unproven) => {
                // There is nothing more to come of it but the word of whoever wrote it.
                if std::mem::take(&mut pipe.is_watched) {
                    let _ = self.poller.remove(pipe.input());
                }
                return;
            }
            Ok(Brought::Packed(packing)) => match self.unpack_pipe(id, source, packing) {
                Ok(()) => return,
                Err(failure) => Event::JobBroken { job: id, failure },
            },
            Ok(Brought::Header(len)) => {
                let header = pipe.take_header(len);
                if let Some(open) = job.sources.get_mut(&source) {
                    open.header = Some(header);
                }
                job.waits_for_header = None;
                let header = job.first_header(source);
                self.write_header(id, header);
                Event::PipeOpened { job: id, source, start: len }
            }
            Ok(Brought::Block(piece)) => Event::Block { job: id, piece },
            Ok(Brought::End(end)) => Event::PipeEnded { job: id, end },
            Err(failure) => Event::JobBroken { job: id, failure },
        };
        if let Some(job) = self.jobs.get_mut(&id) {
            job.wanted = 0;
            if let Some((_, pipe)) = &mut job.pipe
                && pipe.is_watched
            {
                pipe.is_watched = false;
                let _ = self.poller.remove(pipe.input());
            }
        }
        self.tell_state(event);
    }
}

/// What a file is that is not taken as it is.
enum Foreign {
    Packed(Packing),
    Parquet { len: u64 },
}

/// Whether a file of `len` bytes is compressed, or a table.
fn sniff(file: &SourceFile, len: u64) -> Result<Option<Foreign>, JobFailure> {
    let failed = |error| JobFailure::Input(format!("{} cannot be read: {error}", file.name));
    let mut first = [0; PACKING_BYTES];
    let got = exact::pread_full(file.file.as_fd(), &mut first, 0).map_err(failed)?;
    if let Sniffed::Packed(packing) = packing(&first[..got]) {
        return Ok(Some(Foreign::Packed(packing)));
    }
    if first != *PARQUET || len < PARQUET_BYTES {
        return Ok(None);
    }
    let mut last = [0; PARQUET.len()];
    exact::pread_full(file.file.as_fd(), &mut last, len - PARQUET.len() as u64).map_err(failed)?;
    Ok((last == *PARQUET).then_some(Foreign::Parquet { len }))
}

/// What a table is made into for items of this kind.
fn table_form(name: &str, split: Split, header: bool) -> Result<TableForm, JobFailure> {
    let wrong = |what: &str| Err(JobFailure::Input(format!("{name} is Parquet, {what}")));
    match split {
        Split::Whole => Ok(TableForm::Groups),
        Split::Lines | Split::Blocks(_) if header => {
            wrong("whose rows come with the names of their columns: leave --header out")
        }
        Split::Lines | Split::Blocks(_) => Ok(TableForm::Rows),
        Split::Records(_) | Split::Chunks(_) | Split::Table => wrong(
            "which is taken by groups of rows (--split whole) or by rows (--split lines); its bytes are taken as they are with \
             --no-compression",
        ),
    }
}

/// An order to decompress all of a file, or what is left of a pipe of which this came first.
fn order(packing: Packing, prefix: Vec<u8>, from_start: bool) -> StreamOrder {
    StreamOrder { work: StreamWork::Convert(Conversion::Unpack(packing)), prefix, from_start }
}
