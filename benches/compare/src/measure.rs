//! Runs the programs of a row: one after the other, again and again (A B C A B C …), so that whatever else the machine does
//! falls on all of them.

use std::collections::BTreeMap;

use crate::contender::{Contender, OURS};
use crate::machine;
use crate::row::{Bound, Round, Row, Target};
use crate::statistics::Spread;

/// Everything that is known of a row when it was run.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) work: String,
    pub(crate) programs: Vec<Program>,
    pub(crate) targets: Vec<Reached>,
    /// Why its figures mean nothing: something was computed wrongly, or not at all.
    pub(crate) failures: Vec<String>,
    /// When, how often, and how busy the machine was before.
    pub(crate) circumstances: String,
}

pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) seconds: Option<Spread>,
    /// Its time over that of taskhost, within each round.
    pub(crate) ratio: Option<Spread>,
    pub(crate) rounds: usize,
    /// Why it was not run.
    pub(crate) missing: Option<String>,
}

pub(crate) struct Reached {
    pub(crate) what: String,
    pub(crate) bound: String,
    pub(crate) figure: Option<Spread>,
    pub(crate) unit: &'static str,
    pub(crate) holds: Option<bool>,
}

/// Runs a row so many times, and once before without counting.
pub(crate) fn row(name: &'static str, row: &Row, rounds: usize) -> Measured {
    let circumstances = format!("{}, {rounds} rounds, load {:.1} before.", machine::date(), machine::load());
    let mut failures = Vec::new();
    let mut counted: Vec<Round> = Vec::new();
    'rounds: for number in 0..=rounds {
        let mut round = Round::new();
        for contender in row.contenders.iter().filter(|contender| contender.missing().is_none()) {
            // What takes seconds is not warmed up: it is no matter of milliseconds.
            let takes_long = contender.most_rounds < usize::MAX;
            let first = if takes_long { rounds + 1 - contender.most_rounds.min(rounds) } else { 0 };
            if number < first {
                continue;
            }
            match contender.run() {
                Ok(sample) => {
                    round.insert(contender.name.clone(), sample);
                }
                Err(error) => {
                    failures.push(error);
                    break 'rounds;
                }
            }
        }
        failures.extend(differences(&round));
        if !failures.is_empty() {
            break;
        }
        if number > 0 {
            counted.push(round);
        }
    }
    Measured {
        name,
        work: row.work.clone(),
        programs: programs(row, &counted),
        targets: targets(row, &counted),
        failures,
        circumstances,
    }
}

/// Who wrote something else than most.
fn differences(round: &Round) -> Vec<String> {
    let mut by_digest: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, sample) in round {
        if let Some(digest) = &sample.digest {
            by_digest.entry(digest).or_default().push(name);
        }
    }
    if by_digest.len() < 2 {
        return Vec::new();
    }
    let groups = by_digest.values().map(|names| names.join(", "));
    vec![format!("these did not write the same: {}", groups.collect::<Vec<_>>().join(" | "))]
}

fn programs(row: &Row, rounds: &[Round]) -> Vec<Program> {
    let program = |contender: &Contender| {
        let name = contender.name.as_str();
        let seconds: Vec<f64> = rounds.iter().filter_map(|round| Some(round.get(name)?.seconds)).collect();
        let ratio = rounds.iter().filter_map(|round| Some(round.get(name)?.seconds / round.get(OURS)?.seconds));
        Program {
            name: contender.name.clone(),
            rounds: seconds.len(),
            ratio: Spread::of(ratio.collect()),
            seconds: Spread::of(seconds),
            missing: contender.missing().map(str::to_owned),
        }
    };
    row.contenders.iter().map(program).collect()
}

fn targets(row: &Row, rounds: &[Round]) -> Vec<Reached> {
    let reached = |target: &Target| {
        let figure = Spread::of(rounds.iter().filter_map(|round| (target.figure)(round)).collect());
        let (sign, value) = match target.bound {
            Bound::AtMost(value) => ("≤", value),
            Bound::AtLeast(value) => ("≥", value),
        };
        Reached {
            what: target.what.clone(),
            bound: format!("{sign} {value}{}", target.unit),
            figure,
            unit: target.unit,
            holds: figure.map(|figure| target.bound.holds(figure.median)),
        }
    };
    row.targets.iter().map(reached).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(name: &str, output: &std::path::Path, text: &str) -> Contender {
        let script = format!("printf {text} > {}", output.display());
        Contender::new(name, Ok("/bin/sh".into())).argument("-c").argument(script).writes(output)
    }

    fn of(texts: [&str; 2]) -> Measured {
        let output = std::env::temp_dir().join(format!("compare-test-{}-{}", std::process::id(), texts.concat()));
        let contenders = vec![shell(OURS, &output, texts[0]), shell("other", &output, texts[1])];
        let targets = vec![Target::time_over("other", 1e9), Target::faster_than("other", 1e9)];
        row("test", &Row { work: String::new(), contenders, targets }, 3)
    }

    #[test]
    fn programs_that_agree_are_measured() {
        let measured = of(["a", "a"]);
        assert!(measured.failures.is_empty(), "{:?}", measured.failures);
        assert_eq!(measured.programs.iter().map(|program| program.rounds).collect::<Vec<_>>(), [3, 3]);
        assert_eq!(measured.targets.iter().map(|target| target.holds).collect::<Vec<_>>(), [Some(true), Some(false)]);
    }

    #[test]
    fn programs_that_differ_fail_the_row() {
        let measured = of(["a", "b"]);
        assert!(measured.failures[0].contains("other | taskhost"), "{:?}", measured.failures);
        assert_eq!(measured.targets[0].holds, None);
    }
}
