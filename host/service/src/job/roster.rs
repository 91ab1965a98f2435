//! The jobs that are not over: which has a process, which rests, what is to be done about them, and until when nothing is. A
//! decision and no more: no clock, no processes, no threads. Whose turn it is [`Fair`] says.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::runner::{FAULTS, Outcome};
use super::{Fair, JobId, JobSize, Rank, Urgency};
use crate::tenant::TenantId;

/// How often it is looked what jobs have used and whose turn it is, while several want the cores.
const TURN: Duration = Duration::from_millis(100);

/// How often while there is nothing to choose.
const LOOK: Duration = Duration::from_millis(100);

/// How long a process may take to park: a run gives the items that are being run some seconds.
const PARKING: Duration = Duration::from_secs(20);

/// How long a job rests for which there was no room.
const REST: Duration = Duration::from_secs(1);

/// What is done about a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// It is given a process. `is_last` when there will be no other after one that goes wrong.
    Start { job: JobId, tenant: TenantId, workers: u32, is_last: bool },
    /// Its process is told something.
    Tell(JobId, Word),
    /// It is over: whoever waits for it hears of that.
    Over(JobId),
}

/// What a process is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Stop until it is your turn again.
    Stop,
    /// Go on.
    GoOn,
    /// Write down how far you are, and end.
    Park,
    /// End.
    Die,
}

/// Until when nothing has to be done, if nobody says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sleep {
    /// For so long.
    Until(Instant),
    /// For ever.
    UntilTold,
    /// No more is ever done.
    Over,
}

/// A job that is not over.
#[derive(Debug)]
struct Entry {
    tenant: TenantId,
    size: JobSize,
    /// How many jobs came before it: one that parks or rests keeps its place.
    came: u64,
    /// Whether it has a process, or is being given one.
    has_process: bool,
    /// What its process was told last, or is to be told when it is there.
    told: Option<Word>,
    is_cancelled: bool,
    faults: u32,
}

/// How many workers a job of a tenant may have.
pub(super) type MostWorkers = Box<dyn Fn(TenantId) -> u32 + Send>;

/// The jobs that are not over.
pub(super) struct Roster {
    entries: HashMap<JobId, Entry>,
    /// Jobs that have come, ended ones included.
    came: u64,
    most_workers: MostWorkers,
    /// Jobs that have a process.
    at_work: usize,
    /// Jobs that are not tried again before a time.
    resting: Vec<(Instant, JobId)>,
    /// When it is looked what jobs have used.
    next_look: Instant,
    is_draining: bool,
    is_stopping: bool,
    /// When processes are killed that were told to park and did not.
    kill_at: Option<Instant>,
}

impl Roster {
    pub(super) fn new(now: Instant, most_workers: MostWorkers) -> Self {
        Self {
            entries: HashMap::new(),
            came: 0,
            most_workers,
            at_work: 0,
            resting: Vec::new(),
            next_look: now + LOOK,
            is_draining: false,
            is_stopping: false,
            kill_at: None,
        }
    }

    /// Jobs that have a process.
    pub(super) fn at_work(&self) -> usize {
        self.at_work
    }

    /// Whether the job is not over.
    pub(super) fn knows(&self, job: &JobId) -> bool {
        self.entries.contains_key(job)
    }

    /// A job was accepted. Its tenant is known.
    pub(super) fn accept(&mut self, fair: &mut Fair, job: JobId, tenant: TenantId, size: JobSize) {
        let came = self.came;
        let entry = Entry { tenant, size, came, has_process: false, told: None, is_cancelled: false, faults: 0 };
        self.came += 1;
        self.entries.insert(job.clone(), entry);
        self.wait(fair, &job);
    }

    /// A job is more urgent than it was, or less.
    pub(super) fn change(&mut self, fair: &mut Fair, job: &JobId, urgency: Urgency) {
        if let Some(entry) = self.entries.get_mut(job) {
            entry.size.urgency = urgency;
            fair.move_to(job, entry.rank());
        }
    }

    /// No job is given a process any more; those that have one may come to their end.
    pub(super) fn drain(&mut self) {
        self.is_draining = true;
    }

    /// No job is given a process any more, and those that have one park.
    pub(super) fn stop(&mut self, now: Instant) -> Vec<Action> {
        self.is_stopping = true;
        self.kill_at = Some(now + PARKING);
        self.tell_all(Word::Park)
    }

    /// A job is not wanted any more.
    pub(super) fn cancel(&mut self, fair: &mut Fair, job: &JobId) -> Option<Action> {
        fair.remove(job);
        let entry = self.entries.get_mut(job)?;
        entry.is_cancelled = true;
        if !entry.has_process {
            self.entries.remove(job);
            return None;
        }
        Some(entry.tell(job, Word::Die))
    }

    /// The process of a job is there: it hears what was to be said meanwhile.
    pub(super) fn started(&self, job: &JobId) -> Option<Action> {
        let told = self.entries.get(job)?.told?;
        (told != Word::GoOn).then(|| Action::Tell(job.clone(), told))
    }

    /// The process of a job has ended.
    pub(super) fn ended(&mut self, now: Instant, fair: &mut Fair, job: &JobId, outcome: Outcome) -> Option<Action> {
        let entry = self.entries.get_mut(job)?;
        fair.remove(job);
        self.at_work -= usize::from(entry.has_process);
        entry.has_process = false;
        entry.told = None;
        entry.faults += u32::from(outcome == Outcome::Fault);
        if outcome == Outcome::Over || entry.is_cancelled {
            self.entries.remove(job);
            return Some(Action::Over(job.clone()));
        }
        if outcome == Outcome::Parked || (outcome == Outcome::Fault && entry.faults < FAULTS) {
            self.wait(fair, job);
        } else {
            // Until there is room, or it can at least be written down that it is given up.
            self.resting.push((now + REST, job.clone()));
        }
        None
    }

    /// Whether it is to be looked what jobs have used, before [`Roster::decide`].
    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.next_look
    }

    /// What is to be done now, and when again.
    pub(super) fn decide(&mut self, now: Instant, fair: &mut Fair) -> (Vec<Action>, Sleep) {
        for (_, job) in self.resting.extract_if(.., |(until, _)| *until <= now).collect::<Vec<_>>() {
            self.wait(fair, &job);
        }
        let mut actions = self.take_turns(fair);
        if self.is_stopping && self.at_work == 0 {
            return (actions, Sleep::Over);
        }
        if self.kill_at.is_some_and(|at| now >= at) {
            // Their journals hold what is done.
            actions.extend(self.tell_all(Word::Die));
        }
        let pace = if fair.is_contested() { TURN } else { LOOK };
        if self.is_due(now) {
            self.next_look = now + pace;
        }
        self.next_look = self.next_look.min(now + pace);
        // Who waits may be one that could not be given a process: nobody would say so.
        let is_idle = self.at_work == 0 && self.resting.is_empty() && fair.waiting() == 0;
        (actions, if is_idle { Sleep::UntilTold } else { Sleep::Until(self.next_look) })
    }

    /// It waits for its turn.
    fn wait(&self, fair: &mut Fair, job: &JobId) {
        let Some(entry) = self.entries.get(job) else { return };
        let workers = entry.size.workers((self.most_workers)(entry.tenant));
        fair.add(job.clone(), entry.tenant, workers as usize, entry.rank());
    }

    fn take_turns(&mut self, fair: &mut Fair) -> Vec<Action> {
        if self.is_stopping {
            return Vec::new();
        }
        let turn = if self.is_draining { fair.turn_of_running() } else { fair.turn() };
        let words = [(turn.stop, Word::Stop), (turn.go_on, Word::GoOn), (turn.park, Word::Park)];
        let mut actions = Vec::new();
        for (job, word) in words.into_iter().flat_map(|(jobs, word)| jobs.into_iter().map(move |job| (job, word))) {
            actions.extend(self.entries.get_mut(&job).map(|entry| entry.tell(&job, word)));
        }
        for job in turn.start {
            let Some(entry) = self.entries.get_mut(&job) else { continue };
            entry.has_process = true;
            self.at_work += 1;
            let (tenant, is_last) = (entry.tenant, entry.faults + 1 >= FAULTS);
            let workers = entry.size.workers((self.most_workers)(tenant));
            actions.push(Action::Start { job, tenant, workers, is_last });
        }
        actions
    }

    fn tell_all(&mut self, word: Word) -> Vec<Action> {
        let at_work = self.entries.iter_mut().filter(|(_, entry)| entry.has_process);
        at_work.map(|(job, entry)| entry.tell(job, word)).collect()
    }
}

impl Entry {
    fn rank(&self) -> Rank {
        Rank::new(self.size.urgency, self.came)
    }

    fn tell(&mut self, job: &JobId, word: Word) -> Action {
        // Who is to end is not told less later.
        if !matches!((self.told, word), (Some(Word::Die), _) | (Some(Word::Park), Word::Stop | Word::GoOn)) {
            self.told = Some(word);
        }
        Action::Tell(job.clone(), self.told.unwrap_or(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::fair::Pause;
    use crate::job::fair::Standing;

    const ANNA: TenantId = TenantId(1);
    const BERT: TenantId = TenantId(2);

    /// One core, and two tenants.
    struct Case {
        roster: Roster,
        fair: Fair,
        now: Instant,
    }

    impl Case {
        fn new() -> Self {
            let mut fair = Fair::new(1, 8);
            fair.know(ANNA, Standing { weight: 1, jobs: 4, cores: 64 });
            fair.know(BERT, Standing { weight: 1, jobs: 4, cores: 64 });
            let now = Instant::now();
            Self { roster: Roster::new(now, Box::new(|_| 1)), fair, now }
        }

        fn accept(&mut self, tenant: TenantId) -> JobId {
            let job = JobId::create();
            self.roster.accept(&mut self.fair, job.clone(), tenant, JobSize::default());
            job
        }

        fn decide(&mut self) -> (Vec<Action>, Sleep) {
            self.roster.decide(self.now, &mut self.fair)
        }

        fn ended(&mut self, job: &JobId, outcome: Outcome) -> Option<Action> {
            self.roster.ended(self.now, &mut self.fair, job, outcome)
        }
    }

    fn start(job: &JobId, tenant: TenantId, is_last: bool) -> Action {
        Action::Start { job: job.clone(), tenant, workers: 1, is_last }
    }

    fn tell(job: &JobId, word: Word) -> Action {
        Action::Tell(job.clone(), word)
    }

    #[test]
    fn a_job_is_started_once_and_forgotten_when_it_is_over() {
        let mut case = Case::new();
        assert_eq!(case.decide(), (Vec::new(), Sleep::UntilTold));
        let job = case.accept(ANNA);
        let (actions, sleep) = case.decide();
        assert_eq!((actions, sleep), (vec![start(&job, ANNA, false)], Sleep::Until(case.now + LOOK)));
        assert_eq!((case.decide().0, case.roster.at_work()), (Vec::new(), 1));
        assert_eq!(case.ended(&job, Outcome::Over), Some(Action::Over(job.clone())));
        assert!(!case.roster.knows(&job));
        assert_eq!(case.decide(), (Vec::new(), Sleep::UntilTold));
    }

    /// Nobody says anything when a job has rested: whoever sleeps for ever because none rests any more never starts it.
    #[test]
    fn who_has_rested_and_cannot_be_started_yet_is_not_forgotten() {
        let mut case = Case::new();
        let job = case.accept(ANNA);
        case.decide();
        assert_eq!(case.ended(&job, Outcome::NoRoom), None);
        let (actions, sleep) = case.decide();
        assert!(actions.is_empty() && matches!(sleep, Sleep::Until(_)), "{sleep:?}");
        // Meanwhile its tenant is kept out.
        case.fair.know(ANNA, Standing { weight: 1, jobs: 0, cores: 64 });
        case.now += REST;
        let (actions, sleep) = case.decide();
        assert!(actions.is_empty() && matches!(sleep, Sleep::Until(_)), "{actions:?} {sleep:?}");
        case.fair.know(ANNA, Standing { weight: 1, jobs: 4, cores: 64 });
        assert_eq!(case.decide().0, [start(&job, ANNA, false)]);
    }

    #[test]
    fn a_process_that_goes_wrong_has_so_many_successors() {
        let mut case = Case::new();
        let job = case.accept(ANNA);
        for fault in 1..=FAULTS {
            assert_eq!(case.decide().0, [start(&job, ANNA, fault == FAULTS)]);
            assert_eq!(case.ended(&job, Outcome::Fault), None);
        }
        assert!(case.decide().0.is_empty(), "it rests");
        case.now += REST;
        assert_eq!(case.decide().0, [start(&job, ANNA, true)]);
    }

    #[test]
    fn turns_are_looked_at_more_often_when_somebody_waits_for_one() {
        let mut case = Case::new();
        let (first, second) = (case.accept(ANNA), case.accept(BERT));
        assert_eq!(case.decide().0, [start(&first, ANNA, false)]);
        case.fair.charge(ANNA, 0.01);
        case.now += LOOK;
        assert!(case.roster.is_due(case.now));
        let (actions, sleep) = case.decide();
        assert_eq!(actions, [tell(&first, Word::Stop), start(&second, BERT, false)]);
        assert_eq!(sleep, Sleep::Until(case.now + TURN));
        case.fair.charge(BERT, 0.02);
        case.now += TURN;
        let (actions, _) = case.decide();
        assert_eq!(actions, [tell(&second, Word::Stop), tell(&first, Word::GoOn)]);
        // Whoever is not there yet hears of it when it is.
        assert_eq!(case.roster.started(&second), Some(tell(&second, Word::Stop)));
        assert_eq!(case.roster.started(&first), None);
    }

    #[test]
    fn who_is_not_wanted_any_more_dies_whatever_it_was_told() {
        let mut case = Case::new();
        let (first, second) = (case.accept(ANNA), case.accept(ANNA));
        case.decide();
        assert_eq!(case.roster.cancel(&mut case.fair, &second), None);
        assert!(!case.roster.knows(&second));
        assert_eq!(case.roster.cancel(&mut case.fair, &first), Some(tell(&first, Word::Die)));
        assert_eq!(case.roster.stop(case.now), [tell(&first, Word::Die)]);
        assert_eq!(case.roster.started(&first), Some(tell(&first, Word::Die)));
        // Whatever its process has come to.
        assert_eq!(case.ended(&first, Outcome::Fault), Some(Action::Over(first)));
        assert_eq!(case.decide().1, Sleep::Over);
    }

    #[test]
    fn at_the_end_all_park_and_who_does_not_is_killed() {
        let mut case = Case::new();
        let job = case.accept(ANNA);
        case.decide();
        assert_eq!(case.roster.stop(case.now), [tell(&job, Word::Park)]);
        assert_eq!(case.roster.started(&job), Some(tell(&job, Word::Park)));
        let (actions, sleep) = case.decide();
        assert!(actions.is_empty() && matches!(sleep, Sleep::Until(_)));
        case.now += PARKING;
        assert_eq!(case.decide().0, [tell(&job, Word::Die)]);
        assert_eq!(case.ended(&job, Outcome::Parked), None);
        assert_eq!(case.decide(), (Vec::new(), Sleep::Over));
    }

    #[test]
    fn a_server_that_drains_starts_nothing_and_lets_what_runs_take_its_turns() {
        let mut case = Case::new();
        let first = case.accept(ANNA);
        case.decide();
        case.roster.drain();
        let waiting = case.accept(BERT);
        case.fair.charge(ANNA, 1.0);
        assert!(case.decide().0.is_empty());
        assert_eq!(case.ended(&first, Outcome::Over), Some(Action::Over(first)));
        assert!(case.decide().0.is_empty() && case.roster.knows(&waiting));
    }

    #[test]
    fn of_a_tenant_that_is_paused_nothing_is_started_and_what_runs_goes_on_or_parks() {
        let mut case = Case::new();
        let first = case.accept(ANNA);
        case.decide();
        case.fair.pause(ANNA, Pause::Starts);
        let second = case.accept(ANNA);
        assert!(case.decide().0.is_empty(), "what runs goes on");
        let other = case.accept(BERT);
        case.fair.charge(ANNA, 1.0);
        assert_eq!(case.decide().0, [tell(&first, Word::Stop), start(&other, BERT, false)], "and takes its turns");
        assert_eq!(case.ended(&other, Outcome::Over), Some(Action::Over(other)));
        assert_eq!(case.decide().0, [tell(&first, Word::GoOn)]);
        case.fair.pause(ANNA, Pause::All);
        assert_eq!(case.decide().0, [tell(&first, Word::Park)]);
        assert_eq!(case.ended(&first, Outcome::Parked), None);
        let (actions, sleep) = case.decide();
        assert!(actions.is_empty() && matches!(sleep, Sleep::Until(_)), "{actions:?} {sleep:?}");
        // Who waits for nothing but the operator holds up nobody, and has saved nothing up.
        case.fair.charge(BERT, 7.0);
        let other = case.accept(BERT);
        assert_eq!(case.decide().0, [start(&other, BERT, false)]);
        case.fair.pause(ANNA, Pause::None);
        assert!(case.fair.debt(ANNA) >= case.fair.debt(BERT));
        assert_eq!(case.ended(&other, Outcome::Over), Some(Action::Over(other)));
        assert_eq!(case.decide().0, [start(&first, ANNA, false)]);
        assert!(case.roster.knows(&second));
    }

    #[test]
    fn the_most_urgent_is_begun_first_and_who_has_begun_keeps_its_place() {
        let mut case = Case::new();
        let (first, second, third) = (case.accept(ANNA), case.accept(ANNA), case.accept(ANNA));
        let urgent = Urgency { priority: 1, ready_by: None };
        case.roster.change(&mut case.fair, &third, urgent);
        case.roster.change(&mut case.fair, &JobId::create(), urgent);
        assert_eq!(case.decide().0, [start(&third, ANNA, false)]);
        // Parked, it waits in front of what is less urgent; as the others, in front of what came later.
        assert_eq!(case.ended(&third, Outcome::Parked), None);
        assert_eq!(case.decide().0, [start(&third, ANNA, false)]);
        case.roster.change(&mut case.fair, &third, Urgency::default());
        assert_eq!(case.ended(&third, Outcome::Parked), None);
        assert_eq!(case.decide().0, [start(&first, ANNA, false)]);
        assert_eq!(case.ended(&first, Outcome::Parked), None);
        assert_eq!(case.decide().0, [start(&first, ANNA, false)]);
        assert_eq!(case.ended(&first, Outcome::Over), Some(Action::Over(first)));
        assert_eq!(case.decide().0, [start(&second, ANNA, false)]);
    }

    #[test]
    fn who_has_used_up_what_it_has_today_parks_and_goes_on_later() {
        let mut case = Case::new();
        let job = case.accept(ANNA);
        case.decide();
        case.fair.spend(ANNA, true);
        assert_eq!(case.decide().0, [tell(&job, Word::Park)]);
        assert_eq!(case.ended(&job, Outcome::Parked), None);
        let (actions, sleep) = case.decide();
        assert!(actions.is_empty() && matches!(sleep, Sleep::Until(_)), "it is looked for the next day");
        case.fair.spend(ANNA, false);
        assert_eq!(case.decide().0, [start(&job, ANNA, false)]);
    }
}
