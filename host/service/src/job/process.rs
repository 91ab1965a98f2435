//! One process of a job, from its start to what came of it.

use std::error::Error;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::attempt::{Conclusion, Made, Way, WorkFolder};
use super::handle::Handle;
use super::launch::{self, Ended};
use super::room;
use super::runner::{FAULTS, Order, Outcome, Shared};
use super::spec::Allowed;
use super::veil::Veil;
use super::{JobId, JobSpec};
use crate::counts::Restart;
use crate::store::jobs::JobRow;
use crate::store::{self, StoreError, jobs};
use crate::sweep;
use crate::tenant::TenantId;

/// One process of a job, from its start to what came of it.
pub(super) struct Attempt {
    pub(super) shared: Arc<Shared>,
    pub(super) job: JobId,
    pub(super) tenant: TenantId,
    pub(super) workers: u32,
    pub(super) handle: Arc<Handle>,
    pub(super) is_last: bool,
    pub(super) orders: Sender<Order>,
}

impl Attempt {
    pub(super) fn perform(self) {
        let folder = WorkFolder::new(&self.shared.data.join("work"), &self.job);
        let outcome = self.outcome(&folder).unwrap_or_else(|error| {
            // Somebody cancelled it a moment ago.
            if self.is_over().unwrap_or(false) {
                folder.remove();
                return Outcome::Over;
            }
            let text = error.to_string();
            (self.shared.warn)(&self.job, &text);
            if error.is::<StoreError>() || is_full(&text) {
                return Outcome::NoRoom;
            }
            let is_over = self.is_last && self.give_up(&folder, "something on the server's side").is_ok();
            if is_over { Outcome::Over } else { Outcome::Fault }
        });
        let text = match outcome {
            Outcome::Over => "over",
            Outcome::Parked => "parked",
            Outcome::NoRoom => "no room",
            Outcome::Fault => "fault",
        };
        let job = self.job.clone();
        let kept = self.shared.store().write(move |rows| jobs::end_attempt(rows, &job, text));
        if let Err(error) = kept {
            (self.shared.warn)(&self.job, &error.to_string());
        }
        let _ = self.orders.send(Order::Ended(self.job, outcome));
    }

    fn outcome(&self, folder: &WorkFolder) -> Result<Outcome, Box<dyn Error>> {
        let taken = folder.take()?;
        let kept = self.shared.store().read(|rows| jobs::get(rows, &self.job))?;
        let Some(JobRow { spec, .. }) = kept.filter(|job| !job.state.is_over()) else {
            folder.remove();
            return Ok(Outcome::Over);
        };
        let job = self.job.clone();
        let before = self.shared.store().write(move |rows| jobs::begin(rows, &job))?;
        (self.shared.began)(&self.job, self.tenant, before + 1);
        let way = if before == 0 { Way::Run } else { folder.way() };
        let sandbox = self.shared.launcher.sandbox.as_str();
        let memory = self.shared.directory.tenant(self.tenant).map_or(0, |tenant| tenant.quotas.worker_memory);
        let output = self.shared.store().read(|rows| room::left(rows, self.tenant, self.quota()))?;
        // Before anything in the folder is laid out anew.
        let used = folder.taken();
        let mut arguments = match way {
            // What it has used was counted by the server that it had.
            Way::Conclude(code) => return self.conclude(folder, &spec, (code, folder.last_words()), 0),
            Way::Run => {
                folder.lay_out(&*self.shared.blobs, self.tenant, &spec)?;
                spec.arguments(Allowed { workers: self.workers, memory, sandbox, output })
            }
            Way::Resume => vec!["resume".into(), format!("--workers={}", self.workers), "journal".into()],
        };
        if before > 0 {
            // Behind the command: what a report says of those before.
            arguments.insert(1, format!("--earlier={before}:{}:{}", used.ran_ms, used.cpu_ms));
        }
        let cache = self.shared.compiled.used(self.tenant, &spec.kernel);
        // Before there is a process that somebody has to wait for.
        let log = folder.open_log()?;
        let done_before = folder.items();
        let started = self.shared.launcher.start(folder.path(), &cache, taken, &arguments);
        let child = started.inspect_err(|error| {
            if !is_full(&error.to_string()) {
                self.shared.starts.jobs.failed();
            }
        })?;
        self.handle.has_room(output);
        self.handle.runs(spec.kernel);
        self.handle.began(child.id());
        let _ = self.orders.send(Order::Started(self.job.clone()));
        let veil = Veil::new(&[folder.path(), &cache, &self.shared.data]);
        let ended = launch::wait(child, Some(log), veil, &self.handle)?;
        self.note_start(&ended, &spec, folder.items() > done_before);
        if self.is_over()? {
            // What was done until then is paid for.
            let (job, tenant, cpu_ms) = (self.job.clone(), self.tenant, self.cpu_ms(folder));
            self.charged(0, move |rows, more_ms| jobs::charge(rows, &job, tenant, cpu_ms, more_ms))?;
            folder.remove();
            return Ok(Outcome::Over);
        }
        if ended.code.is_none() && self.handle.is_out_of_room() {
            return self.conclude(folder, &spec, (room::RUN_LIMIT, room::refusal(self.quota())), 0);
        }
        match ended.code {
            Some(130 | 143) => Ok(Outcome::Parked),
            // Neither the job's fault nor the end of it: there will be room again.
            Some(1 | 5) if is_full(&without_names(&spec, &ended.said)) => {
                (self.shared.warn)(&self.job, &ended.said);
                Ok(Outcome::NoRoom)
            }
            // What was written down cannot be gone on with; nothing of it was seen, so it may be done again.
            Some(2 | 5) if way == Way::Resume && !self.is_last => {
                self.shared.counts.restarted(Restart::Journal);
                (self.shared.warn)(&self.job, &format!("it begins again: {}", ended.said));
                folder.forget()?;
                Ok(Outcome::Fault)
            }
            Some(code @ (0 | 2..=7)) => self.conclude(folder, &spec, (code, ended.said), folder.own_cpu_ms()),
            _ if self.is_last => self.give_up(folder, &ended.said),
            _ => {
                let reason = if ended.code.is_none() { Restart::Killed } else { Restart::Failed };
                self.shared.counts.restarted(reason);
                (self.shared.warn)(&self.job, &format!("its process ended unexpectedly: {}", ended.said));
                Ok(Outcome::Fault)
            }
        }
    }

    /// Notes whether its process has become one, for whoever asks whether processes can be started.
    fn note_start(&self, ended: &Ended, spec: &JobSpec, has_done_something: bool) {
        let starts = &self.shared.starts.jobs;
        match ended.code {
            // There is a wall missing, or no worker was made: that is the machine's fault.
            Some(6) => starts.failed(),
            Some(1) if !has_done_something && !is_full(&without_names(spec, &ended.said)) => starts.failed(),
            Some(_) => starts.succeeded(),
            // Whoever has killed it may have done so for any reason.
            None => {}
        }
    }

    /// Bytes that the tenant may have stored.
    fn quota(&self) -> u64 {
        self.shared.directory.tenant(self.tenant).map_or(0, |tenant| tenant.quotas.stored_bytes)
    }

    /// Whether somebody has cancelled it.
    fn is_over(&self) -> store::Result<bool> {
        let job = self.shared.store().read(|rows| jobs::get(rows, &self.job))?;
        Ok(job.is_none_or(|job| job.state.is_over()))
    }

    /// CPU time of all its processes, those of other servers included, in milliseconds.
    fn cpu_ms(&self, folder: &WorkFolder) -> u64 {
        self.handle.cpu_ms().max(folder.taken().cpu_ms)
    }

    /// `says_itself` is what its last process says it has used, when that is not counted yet.
    fn conclude(
        &self,
        folder: &WorkFolder,
        spec: &JobSpec,
        (code, said): (u8, String),
        says_itself: u64,
    ) -> Result<Outcome, Box<dyn Error>> {
        let blobs = &*self.shared.blobs;
        let (mut conclusion, mut kept) = folder.conclude(code, blobs, self.tenant, spec)?;
        let cache = self.shared.compiled.folder(self.tenant, &spec.kernel);
        let report = folder.keep_report(blobs, self.tenant, spec, &[folder.path(), &cache, &self.shared.data])?;
        conclusion.report = report.map(|(digest, ..)| digest);
        kept.extend(report);
        let said = if folder.is_over_room() { room::refusal(self.quota()) } else { spec.as_named(said) };
        conclusion.message = Some(said).filter(|said| code != 0 && !said.is_empty());
        self.finish(folder, conclusion, kept, says_itself)
    }

    /// It has cost enough processes.
    fn give_up(&self, folder: &WorkFolder, said: &str) -> Result<Outcome, Box<dyn Error>> {
        let message = format!("its process ended unexpectedly, {FAULTS} times: {said}");
        let conclusion = Conclusion { exit: Some(1), message: Some(message), ..Conclusion::default() };
        self.finish(folder, conclusion, Vec::new(), 0)
    }

    /// Has something written with what was not charged yet of the CPU time that the job says it has used, in milliseconds.
    fn charged<T: Send + 'static>(
        &self,
        says_itself: u64,
        write: impl FnOnce(&rusqlite::Connection, u64) -> store::Result<T> + Send + 'static,
    ) -> store::Result<T> {
        let more_ms = self.handle.charge(says_itself);
        // What was charged before is in line before this: whoever reads how the job ended reads that, too.
        self.shared.accounts.write(self.shared.store());
        // What comes next is held to it.
        let accounts = &self.shared.accounts;
        let written = accounts.settle(self.shared.store(), self.tenant, move |rows| write(rows, more_ms));
        match &written {
            Ok(_) => self.shared.fair().charge(self.tenant, Duration::from_millis(more_ms).as_secs_f64()),
            Err(_) => self.handle.give_back(more_ms),
        }
        written
    }

    fn finish(
        &self,
        folder: &WorkFolder,
        mut conclusion: Conclusion,
        kept: Vec<Made>,
        says_itself: u64,
    ) -> Result<Outcome, Box<dyn Error>> {
        // What a run says of itself is exact, but only of its last process.
        conclusion.cpu_ms = conclusion.cpu_ms.max(self.cpu_ms(folder));
        let (job, tenant, quota, blobs) = (self.job.clone(), self.tenant, self.quota(), Arc::clone(&self.shared.blobs));
        let (over, unused) = self.charged(says_itself, move |rows, more_ms| {
            let unused = room::keep(rows, &*blobs, (tenant, quota), kept, &mut conclusion)?;
            let is_first = jobs::finish(rows, &job, tenant, conclusion.state(), &conclusion, more_ms)?;
            Ok((if is_first { jobs::get(rows, &job)? } else { None }, unused))
        })?;
        // At once: whoever sees the end may ask for the numbers next.
        if let Some(job) = over {
            self.shared.counts.over(tenant, job.state, &job.conclusion);
            let (created, started) = (job.created, job.started.unwrap_or(job.created));
            self.shared.counts.queued.add(started.since(created));
            self.shared.counts.ran.add(job.ended.unwrap_or(started).since(started));
        }
        sweep::remove(self.shared.store(), &self.shared.blobs, unused)?;
        folder.remove();
        Ok(Outcome::Over)
    }
}

/// What was said without the names of inputs that say themselves that a disk is full.
fn without_names(spec: &JobSpec, said: &str) -> String {
    let names = spec.inputs.iter().map(|input| &input.name).filter(|name| is_full(name));
    names.fold(said.to_owned(), |said, name| said.replace(name, ""))
}

/// Whether this says that a disk is full, or what this user may have of it.
fn is_full(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    // As the system, the store and a run say it.
    let ways = ["no space left", "no space is left", "disk is full", "quota exceeded", "file too large"];
    ways.iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_known_by_what_is_said() {
        for text in ["x: No space left on device (os error 28)", "the store: database or disk is full"] {
            assert!(is_full(text), "{text}");
        }
        assert!(is_full("error: no space is left for the journal") && !is_full("error: in.png is no picture"));
    }
}
