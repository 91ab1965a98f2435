//! A plan on an engine: what was handed in, round by round, as files beside the parts. Whoever is there first, the merge of
//! a round or somebody who looks on, hands in the next; a claim sees to it that only one does.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::engine::{End, Engine, Standing, State, Submission, Wants, Work};
use super::outcome::{self, Outcome};
use crate::args::EngineName;
use crate::exit_code::{Exit, Failure};
use crate::report;
use crate::shards::part::Found;
use crate::shards::{Plan, Trouble, missing_text};

/// A claim on a round is good for so long: handing in takes seconds.
const CLAIM: Duration = Duration::from_secs(60);

/// What was said when a plan was given to an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) engine: Named,
    /// The user's own options of the engine.
    pub(super) options: Vec<String>,
    pub(super) wants: Wants,
    /// How often missing shards are handed in again.
    pub(super) rounds: u32,
    /// Whether the plan was made for one run, so that it goes with it.
    pub(super) made_for_run: bool,
}

/// An engine, as it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Named {
    Slurm,
}

impl From<EngineName> for Named {
    fn from(name: EngineName) -> Self {
        match name {
            EngineName::Slurm => Self::Slurm,
        }
    }
}

impl Named {
    fn engine(self) -> Box<dyn Engine> {
        match self {
            Self::Slurm => super::engine_of(EngineName::Slurm),
        }
    }
}

/// What was handed in at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Round {
    pub(super) number: u32,
    /// The round with which somebody began, or came back.
    pub(super) since: u32,
    pub(super) shards: Vec<u32>,
    pub(super) submission: Submission,
}

/// A plan on an engine.
pub(super) struct Campaign<'a> {
    pub(super) plan: &'a Plan,
    pub(super) settings: Settings,
    engine: Box<dyn Engine>,
    /// This program, for the commands of jobs.
    program: String,
}

impl<'a> Campaign<'a> {
    /// Hands all of a plan in.
    pub(super) fn begin(plan: &'a Plan, settings: Settings, engine: Box<dyn Engine>) -> Result<Self, Failure> {
        let folder = plan.parts();
        let failed = |error: io::Error| Failure::input(format!("{}: {error}", folder.display()));
        // Of another run, whose plan is gone.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("logs")).map_err(failed)?;
        outcome::write(&folder.join("engine.json"), &settings)?;
        let campaign = Self { plan, settings, engine, program: program()? };
        let all: Vec<u32> = (0..u32::try_from(plan.shards.len()).unwrap_or(u32::MAX)).collect();
        campaign.submit((0, 0), &all)?;
        Ok(campaign)
    }

    /// The plan as it was handed in.
    pub(super) fn found(plan: &'a Plan) -> Result<Self, Failure> {
        let path = plan.parts().join("engine.json");
        let text = fs::read(&path).map_err(|_| {
            let shown = plan.path.display();
            Failure::input(format!(
                "{shown} was not given to an engine; to run it by hand, type: taskhost shard run --plan {shown} --index 0"
            ))
        })?;
        let settings: Settings =
            serde_json::from_slice(&text).map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
        let engine = settings.engine.engine();
        Ok(Self { plan, settings, engine, program: program()? })
    }

    /// Hands shards in as a round of a number, unless somebody else does.
    fn submit(&self, (number, since): (u32, u32), shards: &[u32]) -> Result<(), Failure> {
        let claim = self.plan.parts().join(format!("round-{number}.claim"));
        let file = self.plan.parts().join(format!("round-{number}.json"));
        let is_stale = |claim: &Path| {
            let age =
                fs::metadata(claim).and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
            age.is_some_and(|age| age > CLAIM) && !file.exists()
        };
        if is_stale(&claim) {
            // Whoever claimed it was killed.
            let _ = fs::remove_file(&claim);
        }
        match OpenOptions::new().write(true).create_new(true).open(&claim) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            claimed => claimed.map_err(|error| Failure::input(format!("{}: {error}", claim.display())))?,
        };
        let round = number.to_string();
        let plan = self.plan.path.to_str().ok_or_else(|| Failure::input("the plan's path is not UTF-8"))?;
        let name = format!("taskhost-{}", self.plan.short_digest().get(..8).unwrap_or_default());
        let submitted = self.engine.submit(&Work {
            name: &name,
            shards,
            shard: &[&self.program, "shard", "run", "--plan", plan],
            merge: &[&self.program, "merge", "--plan", plan, "--heal", &round],
            logs: &self.plan.parts().join("logs"),
            options: &self.settings.options,
            wants: &self.settings.wants,
        });
        match submitted {
            Ok(submission) => {
                let round = Round { number, since, shards: shards.to_vec(), submission };
                outcome::write(&file, &round)
            }
            Err(error) => {
                let _ = fs::remove_file(&claim);
                Err(error.into())
            }
        }
    }

    /// The last round that was handed in.
    pub(super) fn last_round(&self) -> Result<Round, Failure> {
        let folder = self.plan.parts();
        let read = |number: u32| {
            let text = fs::read(folder.join(format!("round-{number}.json"))).ok()?;
            serde_json::from_slice::<Round>(&text).ok()
        };
        (0..)
            .map_while(read)
            .last()
            .ok_or_else(|| Failure::input(format!("{} has no round that was handed in", self.plan.path.display())))
    }

    /// What the engine knows of the last round.
    pub(super) fn poll(&self, round: &Round) -> Result<Standing, Failure> {
        Ok(self.engine.poll(&round.submission)?)
    }

    /// Ends all that was handed in.
    pub(super) fn cancel(&self) -> Result<(), Failure> {
        Ok(self.engine.cancel(&self.last_round()?.submission)?)
    }

    /// After a round: hands in again what is missing, or says why that is of no use.
    pub(super) fn heal(&self, number: u32, missing: &[u32]) -> Result<Option<Outcome>, Failure> {
        let round = self.last_round()?;
        if round.number > number {
            return Ok(None);
        }
        let standing = self.poll(&round).unwrap_or_default();
        let verdict = verdict(self.plan, &standing, missing);
        let rounds = number.saturating_sub(round.since);
        if verdict.is_final || rounds >= self.settings.rounds {
            let rounds = report::count(u64::from(rounds) + 1, "round");
            let text = missing_text(missing, self.plan.shards.len());
            let logs = self.plan.parts().join("logs");
            let (why, logs) = (verdict.why, logs.display());
            let said = format!("{text}, after {rounds}; {why}; what they have said is in {logs}");
            return Ok(Some(Outcome { exit: verdict.exit.code(), said }));
        }
        report::note(&format!("round {}: {}", number + 1, missing_text(missing, self.plan.shards.len())));
        self.submit((number + 1, round.since), missing)?;
        Ok(None)
    }

    /// Somebody has come back: what had ended without a result, or was never handed in, is begun again, as far as that is
    /// missing.
    pub(super) fn go_on(&self) -> Result<(), Failure> {
        let last = self.last_round().ok();
        match Outcome::read(self.plan) {
            None if last.is_some() => return Ok(()),
            Some(ended) if matches!(ended.exit(), Exit::Done | Exit::ItemsFailed) => return Ok(()),
            // Without a round, whoever was to hand it in was killed over it.
            _ => {}
        }
        Outcome::remove(self.plan);
        let missing = Found::look(self.plan)?.missing(self.plan);
        if missing.is_empty() {
            // What is left is the merge, which whoever looks on will miss.
            return Ok(());
        }
        let number = last.map_or(0, |last| last.number + 1);
        self.submit((number, number), &missing)
    }

    /// The words of the last merge.
    pub(super) fn merge_log(&self) -> PathBuf {
        self.plan.parts().join("logs").join("merge.log")
    }
}

/// Why shards have no part.
struct Verdict {
    exit: Exit,
    why: String,
    /// Whether another round would find the same.
    is_final: bool,
}

/// What is to be made of missing shards: what they said themselves, and what the engine knows.
fn verdict(plan: &Plan, standing: &Standing, missing: &[u32]) -> Verdict {
    let troubles: BTreeMap<u32, Trouble> =
        missing.iter().filter_map(|shard| Some((*shard, Trouble::read(plan, *shard)?))).collect();
    for shard in missing {
        // What its memory or time was not enough for, it could not say.
        if let Some(State::Ended(end)) = standing.shards.get(shard)
            && end.is_final()
        {
            return Verdict { exit: end.exit(), why: format!("shard {shard} {}", end.describe()), is_final: true };
        }
    }
    if let Some((shard, trouble)) = troubles.iter().next() {
        let exit = trouble.exit();
        let is_final = matches!(exit, Exit::Usage | Exit::Refused | Exit::RunLimit);
        return Verdict { exit, why: format!("shard {shard}: {}", trouble.said), is_final };
    }
    let ended = missing.iter().find_map(|shard| match standing.shards.get(shard) {
        Some(State::Ended(end)) if *end != End::Done => Some((shard, end)),
        _ => None,
    });
    match ended {
        Some((shard, end)) => {
            Verdict { exit: end.exit(), why: format!("shard {shard} {}", end.describe()), is_final: false }
        }
        None => Verdict { exit: Exit::Host, why: "nobody says why".into(), is_final: false },
    }
}

/// This program, as other machines find it.
fn program() -> Result<String, Failure> {
    let path = std::env::current_exe()
        .map_err(|error| Failure::new(Exit::Host, format!("this program cannot be found: {error}")))?;
    utf8(&path)
}

fn utf8(path: &Path) -> Result<String, Failure> {
    path.to_str().map(str::to_owned).ok_or_else(|| Failure::input(format!("{} is not UTF-8", path.display())))
}
