//! One process of a job, from its start to what came of it.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use super::attempt::{Conclusion, Way, WorkFolder};
use super::launch;
use super::runner::{FAULTS, Order, Outcome, Shared};
use super::spec::Allowed;
use super::{JobId, JobSpec, JobState};
use crate::blobs::Digest;
use crate::store::contents::Stay;
use crate::store::{self, StoreError, contents, jobs};
use crate::sweep;
use crate::tenant::TenantId;

/// One process of a job, from its start to what came of it.
pub(super) struct Attempt {
    pub(super) shared: Arc<Shared>,
    pub(super) job: JobId,
    pub(super) tenant: TenantId,
    pub(super) spec: Arc<JobSpec>,
    pub(super) workers: u32,
    pub(super) used: Arc<AtomicU64>,
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
        if self.is_over()? {
            folder.remove();
            return Ok(Outcome::Over);
        }
        let job = self.job.clone();
        let before = self.shared.store().write(move |rows| jobs::begin(rows, &job))?;
        let way = if before == 0 { Way::Run } else { folder.way() };
        let sandbox = self.shared.launcher.sandbox.as_str();
        let memory = self.shared.directory.tenant(self.tenant).map_or(0, |tenant| tenant.quotas.worker_memory);
        let arguments = match way {
            Way::Conclude(code) => return self.conclude(folder, code, String::new()),
            Way::Run => {
                folder.lay_out(&*self.shared.blobs, self.tenant, &self.spec)?;
                self.spec.arguments(Allowed { workers: self.workers, memory, sandbox })
            }
            Way::Resume => vec!["resume".into(), format!("--workers={}", self.workers), "journal".into()],
        };
        let cache = self.shared.cache(self.tenant);
        // Before there is a process that somebody has to wait for.
        let log = folder.open_log()?;
        let child = self.shared.launcher.start(folder.path(), &cache, taken, &arguments)?;
        let _ = self.orders.send(Order::Started(self.job.clone(), child.id()));
        let ended = launch::wait(child, Some(log))?;
        if self.is_over()? {
            folder.remove();
            return Ok(Outcome::Over);
        }
        match ended.code {
            Some(130 | 143) => Ok(Outcome::Parked),
            // Neither the job's fault nor the end of it: there will be room again.
            Some(1 | 5) if is_full(&self.without_names(&ended.said)) => {
                (self.shared.warn)(&self.job, &ended.said);
                Ok(Outcome::NoRoom)
            }
            // What was written down cannot be gone on with; nothing of it was seen, so it may be done again.
            Some(2 | 5) if way == Way::Resume && !self.is_last => {
                self.shared.counts.restarts.fetch_add(1, Ordering::Relaxed);
                (self.shared.warn)(&self.job, &format!("it begins again: {}", ended.said));
                folder.forget()?;
                Ok(Outcome::Fault)
            }
            Some(code @ (0 | 2..=7)) => self.conclude(folder, code, ended.said),
            _ if self.is_last => self.give_up(folder, &ended.said),
            _ => {
                self.shared.counts.restarts.fetch_add(1, Ordering::Relaxed);
                (self.shared.warn)(&self.job, &format!("its process ended unexpectedly: {}", ended.said));
                Ok(Outcome::Fault)
            }
        }
    }

    /// What was said without the names of inputs, which are whatever the tenant likes.
    fn without_names(&self, said: &str) -> String {
        self.spec.inputs.iter().fold(said.to_owned(), |said, input| said.replace(&input.name, ""))
    }

    /// Whether somebody has cancelled it.
    fn is_over(&self) -> store::Result<bool> {
        let job = self.shared.store().read(|rows| jobs::get(rows, &self.job))?;
        Ok(job.is_none_or(|job| job.state.is_over()))
    }

    fn conclude(&self, folder: &WorkFolder, code: u8, said: String) -> Result<Outcome, Box<dyn Error>> {
        let (mut conclusion, kept) = folder.conclude(code, &*self.shared.blobs, self.tenant, &self.spec)?;
        // Where the server keeps things is nobody's business.
        let said = said.replace(&format!("{}/", folder.path().display()), "");
        conclusion.message = Some(said).filter(|said| code != 0 && !said.is_empty());
        let state = match (code, conclusion.result) {
            (0, _) => JobState::Succeeded,
            (_, Some(_)) => JobState::Partial,
            (_, None) => JobState::Failed,
        };
        self.finish(folder, state, conclusion, kept)
    }

    /// It has cost enough processes.
    fn give_up(&self, folder: &WorkFolder, said: &str) -> Result<Outcome, Box<dyn Error>> {
        let message = format!("its process ended unexpectedly, {FAULTS} times: {said}");
        let conclusion = Conclusion { exit: Some(1), message: Some(message), ..Conclusion::default() };
        self.finish(folder, JobState::Failed, conclusion, Vec::new())
    }

    fn finish(
        &self,
        folder: &WorkFolder,
        state: JobState,
        mut conclusion: Conclusion,
        kept: Vec<(Digest, u64)>,
    ) -> Result<Outcome, Box<dyn Error>> {
        let seen = self.used.load(Ordering::Relaxed);
        // What a run says of itself is exact, but only of its last process.
        conclusion.cpu_ms = conclusion.cpu_ms.max(seen);
        let (job, tenant, blobs, done) =
            (self.job.clone(), self.tenant, Arc::clone(&self.shared.blobs), conclusion.clone());
        let over = self.shared.store().write(move |rows| {
            for (digest, bytes) in kept {
                sweep::check_kept(&*blobs, tenant, &digest)?;
                contents::add(rows, tenant, &digest, bytes, Stay::WhileNeeded)?;
            }
            let is_first = jobs::finish(rows, &job, tenant, state, &conclusion)?;
            Ok(if is_first { jobs::get(rows, &job)? } else { None })
        })?;
        if let Some(job) = over {
            self.shared.counts.over(tenant, state, &done);
            let (created, started) = (job.created, job.started.unwrap_or(job.created));
            self.shared.counts.queued.add(started.since(created));
            self.shared.counts.ran.add(job.ended.unwrap_or(started).since(started));
        }
        folder.remove();
        Ok(Outcome::Over)
    }
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
