//! The folder in which a job is run, and what is found there when its process has ended.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::Deserialize;

use super::launch;
use super::progress::Far;
use super::report;
use super::spec::KERNEL;
use super::{JobId, JobSpec, JobState};
use crate::blobs::{Blobs, Digest, NewBlob, Sha256};
use crate::tenant::TenantId;

/// A content that was made: its digest, its bytes, and what else it is known by.
pub(super) type Made = (Digest, u64, Option<Sha256>);

/// What came of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conclusion {
    /// What its run ended with; none when it was not run to an end.
    pub exit: Option<u8>,
    /// Why there is no result, or not all of it, in words.
    pub message: Option<String>,
    /// Items that were run, failed ones included.
    pub items: Option<u64>,
    /// Those that failed.
    pub failed: Option<u64>,
    /// Bytes that were read.
    pub input_bytes: Option<u64>,
    /// Bytes that were written.
    pub output_bytes: Option<u64>,
    /// CPU time, in milliseconds.
    pub cpu_ms: u64,
    /// Its result.
    pub result: Option<Digest>,
    /// Its failed items, a line of JSON for each.
    pub failures: Option<Digest>,
    /// What the kernel and the run said.
    pub log: Option<Digest>,
    /// The report of its run, when one was asked for.
    pub report: Option<Digest>,
    /// How many items failed in which way.
    pub verdicts: BTreeMap<String, u64>,
}

impl Conclusion {
    /// What a job is that came to this.
    #[must_use]
    pub(super) fn state(&self) -> JobState {
        match (self.exit, self.result) {
            (Some(0), _) => JobState::Succeeded,
            (_, Some(_)) => JobState::Partial,
            (_, None) => JobState::Failed,
        }
    }
}

/// The name of the file in a job's folder with what the kernel and the run said.
pub(super) const LOG: &str = "log.txt";

/// What a run writes about itself, as far as it is wanted here.
#[derive(Debug, Deserialize)]
struct Report {
    exit_code: u8,
    items: u64,
    failed_items: u64,
    input_bytes: u64,
    output_bytes: u64,
    cpu_seconds: f64,
    coordinator: Coordinator,
    /// Of processes before the one that has written this.
    #[serde(default)]
    earlier: Option<Earlier>,
    #[serde(default)]
    verdicts: BTreeMap<String, u64>,
    /// The name of the limit that the run has hit.
    #[serde(default)]
    limit: Option<String>,
}

/// What a run calls the limit of its results.
const RESULTS: &str = "results";

#[derive(Debug, Deserialize)]
struct Coordinator {
    cpu_seconds: f64,
}

#[derive(Debug, Deserialize)]
struct Earlier {
    cpu_seconds: Option<f64>,
}

impl Report {
    /// How far it came.
    fn far(&self) -> Far {
        let &Self { items, failed_items, input_bytes, output_bytes: saved_bytes, .. } = self;
        Far { items, failed_items, input_bytes, saved_bytes }
    }

    /// CPU time of the process that has written it, in milliseconds: exact, which nobody else's is.
    fn own_cpu_ms(&self) -> u64 {
        ((self.cpu_seconds + self.coordinator.cpu_seconds) * 1000.0).ceil() as u64
    }

    /// That of all processes of the job, as far as anybody knows.
    fn cpu_ms(&self) -> u64 {
        let earlier = self.earlier.as_ref().and_then(|earlier| earlier.cpu_seconds).unwrap_or(0.0);
        self.own_cpu_ms().saturating_add((earlier * 1000.0) as u64)
    }
}

/// How a process of a job is started in its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From the beginning.
    Run,
    /// Where the one before was.
    Resume,
    /// Not at all: the one before had come to its end.
    Conclude(u8),
}

/// The folder of a job that is run.
#[derive(Clone, Debug)]
pub struct WorkFolder {
    path: PathBuf,
}

impl WorkFolder {
    /// That of a job, below the folder of all of them.
    #[must_use]
    pub fn new(all: &Path, job: &JobId) -> Self {
        Self { path: all.join(job.as_str()) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where what the run says is kept.
    pub(super) fn open_log(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).mode(0o600).open(self.path.join(LOG))
    }

    /// Why the run ended, as far as it has said so; for whoever did not hear it.
    pub(super) fn last_words(&self) -> String {
        // It has a limit.
        let said = fs::read(self.path.join(LOG)).unwrap_or_default();
        launch::last_words(&String::from_utf8_lossy(&said))
    }

    /// Takes the folder, waiting for the end of whatever process still has it: one that outlives a killed server by some
    /// milliseconds. Whoever has the file has the folder.
    pub(super) fn take(&self) -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        let file = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(self.path.join("taken"))?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    }

    /// What is to be done, by what is in the folder. A run removes its journal when it has ended well, and has written its
    /// report before that. One that ended for the host's sake, or for want of room, is run again: what it says was true then.
    pub(super) fn way(&self) -> Way {
        if self.path.join("journal").exists() {
            return Way::Resume;
        }
        match self.report() {
            Some(Report { exit_code: 1 | 5, .. }) | None => Way::Run,
            Some(report) => Way::Conclude(report.exit_code),
        }
    }

    /// Nothing of what was done counts: the next run begins at the beginning.
    pub(super) fn forget(&self) -> io::Result<()> {
        for name in ["journal", report::FACTS, report::PAGE] {
            match fs::remove_file(self.path.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the run has ended since its results had more bytes than they may. What it says in words may be a kernel's.
    pub(super) fn is_over_room(&self) -> bool {
        self.report().is_some_and(|report| report.limit.as_deref() == Some(RESULTS))
    }

    /// CPU time that the process which has written the report says it has used itself, in milliseconds.
    pub(super) fn own_cpu_ms(&self) -> u64 {
        self.report().map_or(0, |report| report.own_cpu_ms())
    }

    fn report(&self) -> Option<Report> {
        serde_json::from_slice(&fs::read(self.path.join(report::FACTS)).ok()?).ok()
    }

    /// Lays out what a run from the beginning needs.
    pub(super) fn lay_out(&self, blobs: &dyn Blobs, tenant: TenantId, spec: &JobSpec) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name() != "taken" {
                fs::remove_file(entry.path())?;
            }
        }
        blobs.lay_out(tenant, &spec.kernel, &self.path.join(KERNEL))?;
        for (number, input) in spec.inputs.iter().enumerate() {
            let path = self.path.join(spec.file_name(number));
            match input.range {
                Some(range) => blobs.lay_out_part(tenant, &input.blob, range, &path)?,
                None => blobs.lay_out(tenant, &input.blob, &path)?,
            }
        }
        Ok(())
    }

    /// What is in the folder after a run that ended with this code. Its files stay, until what is returned is kept.
    pub(super) fn conclude(
        &self,
        exit: u8,
        blobs: &dyn Blobs,
        tenant: TenantId,
        spec: &JobSpec,
    ) -> io::Result<(Conclusion, Vec<Made>)> {
        let mut kept = Vec::new();
        let mut keep = |name: &str| {
            let file = match File::open(self.path.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                file => file?,
            };
            let blob = copy(blobs, tenant, file)?;
            kept.push(blob);
            io::Result::Ok(Some(blob.0))
        };
        let result = keep(&spec.result_name())?;
        let failures = if self.is_empty("errors.jsonl") { None } else { keep("errors.jsonl")? };
        let log = if self.is_empty(LOG) { None } else { keep(LOG)? };
        let report = self.report();
        // One that was killed between its result and its report has come as far as it says.
        let far = report.as_ref().map(Report::far).or_else(|| self.far().filter(|_| result.is_some()));
        let conclusion = Conclusion {
            exit: Some(exit),
            message: None,
            items: far.map(|far| far.items),
            failed: far.map(|far| far.failed_items),
            input_bytes: far.map(|far| far.input_bytes),
            output_bytes: far.map(|far| far.saved_bytes),
            cpu_ms: report.as_ref().map_or(0, Report::cpu_ms),
            result,
            failures,
            log,
            report: None,
            verdicts: report.map(|report| report.verdicts).unwrap_or_default(),
        };
        Ok((conclusion, kept))
    }

    /// Keeps the report of its run, when one was asked for and there is one. `hidden` are folders of which nobody hears.
    pub(super) fn keep_report(
        &self,
        blobs: &dyn Blobs,
        tenant: TenantId,
        spec: &JobSpec,
        hidden: &[&Path],
    ) -> io::Result<Option<Made>> {
        let Some(report) = report::read(&self.path, spec, hidden)? else { return Ok(None) };
        let mut blob = blobs.begin(tenant)?;
        blob.write(&report)?;
        keep(blobs, blob).map(Some)
    }

    fn is_empty(&self, name: &str) -> bool {
        fs::metadata(self.path.join(name)).is_ok_and(|file| file.len() == 0)
    }

    /// Removes the folder. What remains of it is removed when a server starts.
    pub(super) fn remove(&self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Keeps a content that has been written.
fn keep(blobs: &dyn Blobs, blob: NewBlob) -> io::Result<Made> {
    let sha256 = blob.sha256();
    blobs.keep(blob).map(|(digest, bytes)| (digest, bytes, sha256))
}

fn copy(blobs: &dyn Blobs, tenant: TenantId, mut file: File) -> io::Result<Made> {
    let mut blob = blobs.begin(tenant)?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return keep(blobs, blob),
            read => blob.write(&buffer[..read])?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_folder_says_what_is_to_be_done() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = WorkFolder::new(place.path(), &JobId::create());
        drop(folder.take().expect("taken"));
        assert_eq!(folder.way(), Way::Run);
        let report = |code: u8| {
            let text = format!(
                r#"{{"exit_code": {code}, "items": 0, "failed_items": 0, "input_bytes": 0, "output_bytes": 0,
                    "cpu_seconds": 0, "coordinator": {{ "cpu_seconds": 0 }}}}"#
            );
            fs::write(folder.path().join("report.json"), text).expect("written");
        };
        for (code, way) in [(0, Way::Conclude(0)), (3, Way::Conclude(3)), (5, Way::Run), (1, Way::Run)] {
            report(code);
            assert_eq!(folder.way(), way);
        }
        fs::write(folder.path().join("journal"), "x").expect("written");
        assert_eq!(folder.way(), Way::Resume);
        folder.forget().expect("forgotten");
        assert_eq!(folder.way(), Way::Run);
    }

    #[test]
    fn a_job_without_a_report_has_come_as_far_as_it_said() {
        let place = tempfile::tempdir().expect("a folder");
        let blobs = crate::blobs::LocalBlobs::new(&place.path().join("blobs"));
        let folder = WorkFolder::new(place.path(), &JobId::create());
        drop(folder.take().expect("taken"));
        let spec = crate::job::spec::tests::spec();
        let conclude = || folder.conclude(0, &blobs, TenantId(1), &spec).expect("concluded").0;
        fs::write(
            folder.path().join("progress.json"),
            r#"{"items": 3, "failed_items": 1, "input_bytes": 9, "saved_bytes": 7}"#,
        )
        .expect("written");
        assert_eq!(conclude().items, None, "there is no result");
        fs::write(folder.path().join(spec.result_name()), "7 bytes").expect("written");
        let ended = conclude();
        assert_eq!(
            (ended.items, ended.failed, ended.input_bytes, ended.output_bytes),
            (Some(3), Some(1), Some(9), Some(7))
        );
    }
}
