//! Pools that lend each other cores, acted out step by step: who gets how much, and who waits how long.

use super::*;

const MS: u64 = 1_000_000;

/// One pool of the play.
struct Actor {
    borrower: Borrower,
    weight: u64,
    /// Nanoseconds that its batches take.
    batch: u64,
    /// Batches that may be out at a time.
    most: usize,
    /// Batches that it still has.
    left: u64,
    /// Cores on which its workers are at work, and until when.
    at_work: Vec<(usize, u64)>,
    /// CPU time that it had.
    had: u64,
}

/// Some pools and a clock.
struct Play {
    lending: Lending,
    actors: Vec<Actor>,
    time: u64,
}

impl Play {
    fn new(cores: usize) -> Self {
        Self { lending: Lending::new(cores, cores), actors: Vec::new(), time: 0 }
    }

    fn add(&mut self, weight: u64, batch: u64, left: u64) -> usize {
        let borrower = self.lending.join();
        self.actors.push(Actor { borrower, weight, batch, most: 8, left, at_work: Vec::new(), had: 0 });
        self.talk(self.actors.len() - 1);
        self.actors.len() - 1
    }

    /// The pool uses what it was lent, and says so, and so do all that hear of it.
    fn talk(&mut self, index: usize) {
        let actor = &mut self.actors[index];
        let told = self.lending.told(actor.borrower);
        for core in told.cores {
            let is_used = actor.at_work.iter().any(|(used, _)| *used == core);
            if !is_used && actor.left > 0 && actor.at_work.len() < told.allowed.min(actor.most) {
                actor.left -= 1;
                actor.at_work.push((core, self.time + actor.batch));
            }
        }
        let used: Vec<usize> = actor.at_work.iter().map(|(core, _)| *core).collect();
        let wanted = (used.len() + usize::try_from(actor.left).expect("few")).min(actor.most);
        let report = Report { used, wanted, weight: actor.weight, idle: 0 };
        let before = self.lending.told(actor.borrower).cores;
        let mut tell = self.lending.report(actor.borrower, report);
        if self.lending.told(self.actors[index].borrower).cores.len() > before.len() {
            tell.push(self.actors[index].borrower);
        }
        let heard = |actor: &Actor| tell.contains(&actor.borrower);
        let others: Vec<usize> = (0..self.actors.len()).filter(|index| heard(&self.actors[*index])).collect();
        others.into_iter().for_each(|other| self.talk(other));
        self.assert_whole();
    }

    /// No core is used twice, and none that was not lent.
    fn assert_whole(&self) {
        let mut all: Vec<usize> = Vec::new();
        for actor in &self.actors {
            let told = self.lending.told(actor.borrower);
            for (core, _) in &actor.at_work {
                assert!(told.cores.contains(core), "core {core} was not lent");
            }
            all.extend(told.cores);
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "no core is lent twice");
    }

    /// The next worker replies. False when none is at work.
    fn step(&mut self) -> bool {
        let at_work = |(index, actor): (usize, &Actor)| {
            actor.at_work.iter().map(move |(core, until)| (*until, index, *core)).collect::<Vec<_>>()
        };
        let Some((until, index, core)) = self.actors.iter().enumerate().flat_map(at_work).min() else { return false };
        self.time = until;
        let actor = &mut self.actors[index];
        actor.at_work.retain(|(used, _)| *used != core);
        actor.had += actor.batch;
        self.lending.charge(actor.borrower, actor.batch, actor.batch);
        self.talk(index);
        true
    }

    fn run_until(&mut self, time: u64) {
        while self.time < time && self.step() {}
    }
}

#[test]
fn cpu_time_is_lent_by_weight() {
    for (batches, cores) in
        [([10 * MS, 10 * MS], 2), ([7 * MS, 13 * MS], 2), ([30 * MS, MS], 3), ([10 * MS, 3 * MS], 1)]
    {
        let mut play = Play::new(cores);
        let (three, one) = (play.add(3, batches[0], u64::from(u32::MAX)), play.add(1, batches[1], u64::from(u32::MAX)));
        play.run_until(10_000 * MS);
        let ratio = play.actors[three].had as f64 / play.actors[one].had as f64;
        // Of three cores, three to one is two and a quarter.
        assert!((2.85..3.15).contains(&ratio), "{batches:?} on {cores}: {ratio}");
        let all = play.actors[three].had + play.actors[one].had;
        assert!(all >= (10_000 * MS - 100 * MS) * cores as u64, "no core is idle: {all}");
    }
}

#[test]
fn who_comes_later_waits_no_longer_than_a_batch() {
    let mut play = Play::new(2);
    let first = play.add(3, 10 * MS, u64::from(u32::MAX));
    play.run_until(100 * MS);
    play.add(1, 10 * MS, u64::from(u32::MAX));
    for round in 0..20 {
        play.run_until((500 + 7 * round) * MS);
        let asked = play.time;
        let third = play.add(1, MS / 10, 1);
        while play.actors[third].had == 0 {
            assert!(play.step());
        }
        assert!(play.time - asked <= 10 * MS + MS / 10, "it took {} µs", (play.time - asked) / 1000);
    }
    assert!(play.actors[first].had > 0);
}

#[test]
fn nobody_saves_time_up_and_nobody_pays_for_what_nobody_wanted() {
    let mut play = Play::new(1);
    let first = play.add(1, 10 * MS, 1000);
    play.run_until(9_990 * MS);
    // It had the core for itself for ten seconds.
    let second = play.add(1, 10 * MS, 1000);
    play.run_until(11_000 * MS);
    let before = play.actors[second].had;
    assert!(before <= 1_020 * MS);
    play.actors[first].left = 1000;
    play.talk(first);
    let (had, since) = (play.actors[first].had, play.time);
    play.run_until(since + 2000 * MS);
    let (one, other) = (play.actors[first].had - had, play.actors[second].had - before);
    assert!(one.abs_diff(other) <= 20 * MS, "{one} and {other}");
}

#[test]
fn a_pool_that_only_waits_is_charged_too() {
    let mut lending = Lending::new(1, 1);
    let (sleeper, other) = (lending.join(), lending.join());
    let wants = |used: &[usize]| Report { used: used.to_vec(), wanted: 1, weight: 1, idle: 0 };
    lending.report(sleeper, wants(&[]));
    lending.report(sleeper, wants(&[0]));
    lending.report(other, wants(&[]));
    let told = lending.charge(sleeper, 0, 100 * MS);
    assert_eq!((told.allowed, told.is_contested), (0, true));
    assert_eq!(lending.report(sleeper, wants(&[])), [other]);
    assert_eq!(lending.told(other).cores, [0]);
}

#[test]
fn of_too_many_idle_workers_the_least_recently_used_go() {
    let mut lending = Lending::new(1, 2);
    let idle = |idle| Report { used: Vec::new(), wanted: 0, weight: 0, idle };
    let (first, second, third) = (lending.join(), lending.join(), lending.join());
    assert_eq!(lending.report(first, idle(2)), []);
    assert_eq!(lending.report(second, idle(1)), []);
    lending.report(first, Report { used: Vec::new(), wanted: 1, weight: 1, idle: 2 });
    lending.report(first, Report { used: vec![0], wanted: 1, weight: 1, idle: 1 });
    lending.report(first, idle(2));
    assert_eq!(lending.report(third, idle(2)), [first, second], "the second was not used since");
    assert_eq!([first, second, third].map(|pool| lending.dismissed(pool)), [1, 1, 0]);
    assert_eq!([first, second, third].map(|pool| lending.dismissed(pool)), [0, 0, 0], "it is said once");
    assert_eq!(lending.report(first, idle(1)), []);
}

#[test]
fn what_a_pool_held_that_is_gone_is_lent_again() {
    let mut play = Play::new(2);
    let never = play.add(1, u64::MAX / 2, 2);
    let other = play.add(1, MS, 10);
    assert_eq!(play.actors[other].at_work, []);
    let tell = play.lending.leave(play.actors[never].borrower);
    assert_eq!(tell, [play.actors[other].borrower]);
    assert_eq!(play.lending.told(tell[0]).cores.len(), 2);
}
