//! Looking on while a cluster works: the same bar as for a run here. Ctrl-C cancels; whoever only goes away can come back.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use taskhost_os::poll::{Interest, Poller, Token};
use taskhost_os::signals::{Signal, Signals};
use taskhost_pool::runner::Progress;

use super::campaign::{Campaign, Round};
use super::engine::{Standing, State};
use super::outcome::Outcome;
use crate::args::ProgressMode;
use crate::exit_code::{Exit, Failure};
use crate::report::{self, Meter};
use crate::shards::Merging;
use crate::shards::part::Found;

/// How often is looked for the end and for parts, and whether somebody wants to go.
const LOOK: Duration = Duration::from_millis(200);

/// So many times as long as it takes to look for parts is not looked again: the storage has other work.
const SPARE: u32 = 20;

/// How often the engine is asked: a scheduler has many users …
const ASK: Duration = Duration::from_secs(2);

/// … and is asked less often as time goes by, down to this.
const ASK_SELDOM: Duration = Duration::from_secs(30);

/// So often in a row the engine may know of no merge that goes on before it is taken for lost: storage that is shared
/// shows files late.
const LOST: u32 = 4;

/// What is shown.
#[derive(Clone, Copy)]
pub(super) struct Shown {
    pub(super) quiet: bool,
    pub(super) progress: ProgressMode,
}

/// Waits for the end of a run on an engine, and says how it was.
pub(super) fn follow(campaign: &Campaign<'_>, shown: Shown) -> Result<Exit, Failure> {
    let signals = Signals::install(&[Signal::Interrupt, Signal::Terminate])
        .map_err(|error| Failure::new(Exit::Host, format!("signals cannot be received: {error}")))?;
    let host = |error: std::io::Error| Failure::new(Exit::Host, format!("nothing can be waited for: {error}"));
    let mut poller = Poller::new().map_err(host)?;
    poller.add(&signals, Token(0), Interest::Read).map_err(host)?;
    let plan = campaign.plan;
    let mut watch = Watch::new(campaign, shown);
    // What was said before somebody came back was heard.
    let heard = if shown.quiet { 0 } else { said_so_far(campaign) };
    loop {
        if let Some(outcome) = Outcome::read(plan) {
            watch.meter.clear();
            repeat(campaign, heard);
            if outcome.exit() == Exit::Done && campaign.settings.made_for_run {
                plan.put_away();
            }
            return Ok(outcome.exit());
        }
        if !plan.parts().exists() && !plan.path.exists() {
            // Somebody else who looks on was first.
            watch.meter.clear();
            if !shown.quiet {
                report::note("it has ended well, as was said where it was begun");
            }
            return Ok(Exit::Done);
        }
        if let Some(signal) = signals.next_signal() {
            watch.meter.clear();
            campaign.cancel()?;
            let shown = plan.path.display();
            report::message("error", "interrupted: the jobs are cancelled");
            report::hint(&format!("what is done stays done; to go on, type: taskhost attach {shown}"));
            let exit = if signal == Signal::Terminate { Exit::Terminated } else { Exit::Interrupted };
            Outcome { exit: exit.code(), said: String::new() }.write(plan)?;
            return Ok(exit);
        }
        watch.look()?;
        poller.wait(Some(LOOK), &mut Vec::new()).map_err(host)?;
    }
}

/// Bytes of the merge's words that are old.
fn said_so_far(campaign: &Campaign<'_>) -> usize {
    match Outcome::read(campaign.plan) {
        // Its end was not heard by anybody yet.
        Some(_) => 0,
        None => fs::metadata(campaign.merge_log()).map_or(0, |metadata| usize::try_from(metadata.len()).unwrap_or(0)),
    }
}

/// Says what the merge has said.
fn repeat(campaign: &Campaign<'_>, heard: usize) {
    let said = fs::read(campaign.merge_log()).unwrap_or_default();
    for line in String::from_utf8_lossy(said.get(heard..).unwrap_or_default()).lines() {
        report::note(&report::escape(line));
    }
}

/// What is seen of a run.
struct Watch<'a> {
    campaign: &'a Campaign<'a>,
    meter: Meter,
    began: Instant,
    shown: Shown,
    /// Shards whose parts were seen, and what they have come to.
    seen: BTreeSet<u32>,
    progress: Progress,
    /// When parts are looked for next, and when the engine is asked.
    next_look: Instant,
    next: Instant,
    /// How often in a row nothing was known of the merge.
    lost: u32,
    /// What was last said of the engine's troubles.
    told: String,
}

impl<'a> Watch<'a> {
    fn new(campaign: &'a Campaign<'a>, shown: Shown) -> Self {
        let meter = Meter::new(shown.progress, shown.quiet, Some(campaign.plan.bytes()));
        let began = Instant::now();
        let (seen, progress) = (BTreeSet::new(), Progress::default());
        let (next_look, next) = (began, began + ASK);
        Self { campaign, meter, began, shown, seen, progress, next_look, next, lost: 0, told: String::new() }
    }

    /// Looks at the parts, and now and then at the engine.
    fn look(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        if now >= self.next_look {
            self.look_for_parts()?;
            self.next_look = Instant::now() + now.elapsed() * SPARE;
        }
        self.progress.elapsed = self.began.elapsed();
        self.meter.show(&self.progress, 0);
        if Instant::now() >= self.next {
            self.next = Instant::now() + (self.began.elapsed() / 50).clamp(ASK, ASK_SELDOM);
            self.ask()?;
        }
        Ok(())
    }

    fn look_for_parts(&mut self) -> Result<(), Failure> {
        let plan = self.campaign.plan;
        let found = Found::look(plan)?;
        let new: Vec<u32> = found.shards().filter(|shard| !self.seen.contains(shard)).collect();
        for shard in new {
            let Some(part) = found.part(plan, shard, false) else { continue };
            self.seen.insert(shard);
            self.progress.items += part.manifest.items;
            self.progress.input += part.manifest.input;
            self.progress.jobs += 1;
        }
        Ok(())
    }

    /// Asks the engine, and does what the merge was to do when that is gone.
    fn ask(&mut self) -> Result<(), Failure> {
        // Somebody is about to hand it in, or was killed over it.
        let Ok(round) = self.campaign.last_round() else { return self.campaign.go_on() };
        let standing = match self.campaign.poll(&round) {
            Ok(standing) => standing,
            // A controller that is restarted knows everything when it is back.
            Err(failure) => {
                self.tell(&format!("{}; waiting", failure.message));
                return Ok(());
            }
        };
        self.tell(&waiting(&round, &standing));
        let is_gone = matches!(standing.merge, None | Some(State::Ended(_)));
        self.lost = if is_gone { self.lost + 1 } else { 0 };
        if self.lost < LOST {
            return Ok(());
        }
        self.lost = 0;
        if Outcome::read(self.campaign.plan).is_some() || self.campaign.last_round()?.number > round.number {
            return Ok(());
        }
        // The merge was killed, or could not hand in anything.
        let merging = Merging::new(self.campaign.plan, None, self.shown.quiet)?;
        self.meter.clear();
        super::heal(self.campaign.plan, &merging, round.number).map(|_| ())
    }

    /// Says something about the engine, once.
    fn tell(&mut self, text: &str) {
        if text != self.told && !text.is_empty() && !self.shown.quiet {
            self.meter.aside(|| report::note(text));
        }
        text.clone_into(&mut self.told);
    }
}

/// Why nothing runs, when nothing does.
fn waiting(round: &Round, standing: &Standing) -> String {
    let reason = standing.shards.values().find_map(|state| match state {
        State::Waiting(reason) => Some(reason.as_str()),
        State::Running | State::Ended(_) => None,
    });
    let is_idle = standing.shards.values().all(|state| matches!(state, State::Waiting(_)));
    // These are how all jobs begin.
    match reason.filter(|reason| is_idle && !matches!(*reason, "" | "None" | "Priority" | "Resources")) {
        Some(reason) => format!("job {} waits: {reason}", round.submission.array),
        None => String::new(),
    }
}
