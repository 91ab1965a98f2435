//! The worker processes of a pool: starting them, and noting what became of them.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use taskhost_os::memfd::{self, OutputArena};
use taskhost_os::poll::Interest;
use taskhost_os::progress::ProgressCell;
use taskhost_os::usage::{oom_kills, resident};
use taskhost_protocol::ids::WorkerId;
use taskhost_protocol::message::{Role, Start, StartExecute};

use super::config::WorkerNow;
use super::process::{Circumstances, Phase, WorkerProcess};
use super::regions::Regions;
use super::timeline::lane_name;
use super::{Pool, Watched, WorkerReport};
use crate::death::Death;
use crate::error::{PoolError, Tried as _};
use crate::event::{Event, Post};
use crate::verdict::Verdict;

/// Workers that died of which a report is kept: enough to see what is wrong.
const REPORTS: usize = 1000;

impl Pool {
    pub(super) fn spawn(&mut self, post: Post) -> Result<(), PoolError> {
        let role = post.role();
        let id = WorkerId(self.next_worker);
        self.next_worker += 1;
        let core = match post {
            // A replacement gets the core of the one that is gone.
            Post::Execute => self.free_cpu(),
            Post::Isolation | Post::Convert => None,
        };
        let mut worker = self.starter.start(id, role, core)?;
        worker.post = post;
        let sent = match role {
            Role::Execute => self.start_execute(&mut worker)?,
            Role::Compile | Role::Convert => worker.begin(Start::Convert, &[]),
        };
        if let Err(reason) = sent {
            worker.violated(reason);
        }
        self.poller.add(worker.socket_fd(), Watched::Socket(id).token(), Interest::Read).tried("watching a worker")?;
        self.poller.add(worker.child_fd(), Watched::Exit(id).token(), Interest::Read).tried("watching a worker")?;
        if let Some(recorder) = &mut self.recorder {
            recorder.started(id.0, &lane_name(&worker));
        }
        self.workers.insert(id, worker);
        Ok(())
    }

    fn start_execute(&mut self, worker: &mut WorkerProcess) -> Result<Result<(), String>, PoolError> {
        let arena = OutputArena::create().tried("making an output arena")?;
        let progress = ProgressCell::create().tried("making a progress cell")?;
        let since_1970 = self.config.clock.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let mut seed = [0; 16];
        seed.copy_from_slice(&self.artifact.digest.0[..16]);
        let start = Start::Execute(StartExecute {
            kind: self.artifact.info.kind,
            exports: self.artifact.info.exports,
            invoke: self.config.invoke.clone(),
            limits: self.config.limits,
            settings: self.config.settings.clone(),
            describe_only: self.config.describe_only,
            clock: u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX),
            seed,
            fresh: self.config.fresh,
            grants: super::grants::for_message(&self.config.grants),
            needs: self.artifact.info.needs,
            given: self.config.given.clone(),
        });
        let mut fds = vec![self.artifact.code.as_fd(), progress.as_fd(), arena.as_fd()];
        fds.extend(self.config.grants.iter().map(|granted| granted.folder.as_fd()));
        fds.extend(self.config.broadcast.as_ref().map(AsFd::as_fd));
        if self.config.given.profile {
            self.profiles.push((worker.id.0, memfd::create(c"taskhost-profile").tried("making room for a profile")?));
            fds.extend(self.profiles.last().map(|(_, profile)| profile.as_fd()));
        }
        let sent = worker.begin(start, &fds);
        worker.regions = Some(Arc::new(Regions::new(arena)));
        worker.progress = Some(progress);
        Ok(sent)
    }

    /// What workers wrote down of where their kernel spent its time (`Given::profile`), with their numbers. The format is that
    /// of `taskhost_engine::SampleLog`; nothing of it is evidence.
    pub fn take_profiles(&mut self) -> Vec<(u32, OwnedFd)> {
        std::mem::take(&mut self.profiles)
    }

    /// The workers that are ready, and what they are at.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerNow> {
        let ready = self.workers.values().filter(|worker| worker.phase == Phase::Ready && !worker.is_killed());
        let now = |worker: &WorkerProcess| WorkerNow {
            id: worker.id.0,
            process: worker.process().get(),
            core: worker.core().filter(|_| worker.is_pinned()),
            is_busy: !worker.asked.is_empty(),
            items: worker.times.items(),
            cpu: worker.cpu_time(),
            // One that has just ended has none.
            private: resident(worker.process()).map_or(0, |memory| memory.private()),
        };
        ready.map(now).collect()
    }

    /// CPU time of all workers so far, as the system measures it: those that are gone, and those that are there.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        self.cpu_of_gone + self.workers.values().map(WorkerProcess::cpu_time).sum::<Duration>()
    }

    /// Waits for a process that is gone or killed, and notes what it did.
    pub(super) fn report(&mut self, worker: WorkerProcess, lost: bool) -> Death {
        let (id, core) = (worker.id.0, worker.core().filter(|_| worker.is_pinned()));
        let role = match worker.role {
            Role::Compile => "compile",
            Role::Execute => "execute",
            Role::Convert => "convert",
        };
        // Those that were ended on purpose need no explanation.
        let now = lost.then(oom_kills);
        let grew = now.as_ref().zip(self.oom.as_ref()).is_some_and(|(now, before)| now.grew_since(before));
        let cpu_limit = self.config.limits.cpu.map(Duration::from_secs);
        let circumstances = Circumstances { out_of_memory: grew, cpu_limit };
        self.oom = now.or(self.oom.take());
        let (book, memory) = (worker.times, worker.memory);
        let (death, exit) = worker.reap(&circumstances);
        if lost && !matches!(death.verdict, Verdict::Retired(_)) {
            super::origin::renew();
        }
        self.cpu_of_gone += exit.user_time + exit.system_time;
        if let Some(recorder) = &mut self.recorder {
            let text = lost.then(|| death.text.clone());
            recorder.ended(id, book.began(), book.ready_since(), text);
        }
        if lost && self.reports.len() >= REPORTS {
            return death;
        }
        self.reports.push(WorkerReport {
            id,
            role,
            core,
            cpu: exit.user_time + exit.system_time,
            max_resident: exit.max_resident,
            memory,
            killed: lost && matches!(death.verdict, Verdict::Killed(_) | Verdict::OutOfMemory),
            death: lost.then(|| death.text.clone()),
            times: book.close(),
        });
        death
    }

    /// Starts a worker. To the machine one that cannot be started has died early: it tries again, and knows when to
    /// give up.
    pub(super) fn spawn_or_report(&mut self, post: Post) {
        let id = WorkerId(self.next_worker);
        if let Err(error) = self.spawn(post) {
            if matches!(error, PoolError::Sandbox { .. }) {
                self.broken.get_or_insert(error);
                return;
            }
            self.warnings.push(error.to_string());
            let death = Death::not_started(&error.to_string());
            self.tell_state(Event::WorkerLost { worker: id, post, death });
        }
    }
}
