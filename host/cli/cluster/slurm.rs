//! Slurm: `sbatch`, `squeue`, `sacct`, `scancel` and `scontrol`, wherever PATH finds them.
//!
//! The merge depends on `afterany`: with `afterok` it would wait for ever behind an element that failed once. What is
//! known of elements comes from `sacct`, where there is accounting, and from `squeue`, which remembers them for a
//! while. That an element is run again is left to the merge; should Slurm do so itself, on a node that it has lost sight
//! of, for example, that is harmless: see [`crate::shards::part`].

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::engine::{Capabilities, End, Engine, EngineError, Standing, State, Submission, Work};

/// Slurm's own limit where the configuration says none: the largest index is one less.
const USUAL_ARRAY: u32 = 1001;

/// What says how threads of cores are used: one of them is enough.
const THREADS: [&str; 5] = ["--hint", "--threads-per-core", "--ntasks-per-core", "--extra-node-info", "-B"];

/// What says how much memory there is: `sbatch` refuses two of them.
const MEMORY: [&str; 3] = ["--mem", "--mem-per-cpu", "--mem-per-gpu"];

/// Slurm by its commands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slurm;

impl Engine for Slurm {
    fn capabilities(&self) -> Result<Capabilities, EngineError> {
        let said = ask("scontrol", &["show", "config"])?;
        let size = said.lines().find_map(|line| line.strip_prefix("MaxArraySize")?.trim().strip_prefix('='));
        let size = size.and_then(|size| size.trim().parse().ok()).unwrap_or(USUAL_ARRAY);
        Ok(Capabilities { shards: size.max(1) })
    }

    fn submit(&self, work: &Work<'_>) -> Result<Submission, EngineError> {
        let array = format!("--array={}", ranges(work.shards));
        let log = |name: &str| format!("--output={}/{name}", work.logs.display());
        let name = format!("--job-name={}", work.name);
        let options: Vec<String> = wanted(work).into_iter().chain(work.options.iter().cloned()).collect();
        let mut words = vec![name.clone(), log("shard-%a.log"), "--open-mode=append".into()];
        // Slurm would have it wait for two minutes before it runs it again; the merge does not wait.
        words.push("--no-requeue".into());
        words.extend(options.iter().cloned());
        words.push(array);
        let array = batch(&words, work.shard)?;
        let mut words = vec![name, log("merge.log"), "--open-mode=append".into(), "--requeue".into()];
        words.extend(options);
        words.push(format!("--dependency=afterany:{array}"));
        match batch(&words, work.merge) {
            Ok(merge) => Ok(Submission { array, merge }),
            Err(error) => {
                // Shards that nobody merges are of no use.
                let _ = ask("scancel", &[&array]);
                Err(error)
            }
        }
    }

    fn poll(&self, submission: &Submission) -> Result<Standing, EngineError> {
        let Submission { array, merge } = submission;
        let jobs = format!("--jobs={array},{merge}");
        let mut standing = Standing::default();
        // Without accounting it only says so.
        let accounts = ask("sacct", &["--parsable2", "--noheader", "--allocations", "--format=JobID,State", &jobs]);
        if let Ok(said) = accounts {
            read(&said, submission, &mut standing);
        }
        // The queue knows better what has not ended, and that an element is run again.
        match ask("squeue", &["--noheader", "--array", "--states=all", "--format=%i|%T|%r", &jobs]) {
            Ok(said) => read(&said, submission, &mut standing),
            // It has forgotten them.
            Err(EngineError::Refused { said, .. }) if said.contains("Invalid job id") => {}
            Err(error) => return Err(error),
        }
        Ok(standing)
    }

    fn cancel(&self, submission: &Submission) -> Result<(), EngineError> {
        ask("scancel", &["--quiet", &submission.merge, &submission.array]).map(|_| ())
    }
}

/// What an element is to have, in Slurm's words.
fn wanted(work: &Work<'_>) -> Vec<String> {
    let wants = work.wants;
    let is_said = |names: &[&str]| {
        let name = |word: &String| word.split('=').next().unwrap_or_default().to_owned();
        work.options.iter().any(|word| names.contains(&name(word).as_str()))
    };
    let mut words = vec!["--ntasks=1".to_owned()];
    words.extend(wants.cores.map(|cores| format!("--cpus-per-task={cores}")));
    if wants.whole_cores && !is_said(&THREADS) {
        words.push("--hint=nomultithread".into());
    }
    let memory = wants.memory.filter(|_| !is_said(&MEMORY));
    words.extend(memory.map(|bytes| format!("--mem={}M", bytes.div_ceil(1 << 20))));
    words.extend(wants.time.map(|time| format!("--time={}", time.as_secs().div_ceil(60))));
    words
}

/// Hands in a batch job that becomes this command, and says its number.
fn batch(words: &[String], command: &[&str]) -> Result<String, EngineError> {
    let quoted: Vec<String> = command.iter().map(|word| quote(word)).collect();
    let script = format!("#!/bin/sh\nexec {}\n", quoted.join(" "));
    let mut options = vec!["--parsable"];
    options.extend(words.iter().map(String::as_str));
    let said = ask_with("sbatch", &options, &script)?;
    // `NUMBER` or `NUMBER;CLUSTER`.
    let number = said.trim().split(';').next().unwrap_or_default();
    if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(number.to_owned());
    }
    Err(EngineError::Refused { program: "sbatch", said: said.trim().to_owned() })
}

/// A word as a shell takes it for itself.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Numbers as Slurm writes them: `0-3,7`.
fn ranges(numbers: &[u32]) -> String {
    let mut text = String::new();
    let mut rest = numbers;
    while let Some(first) = rest.first() {
        let run = rest.iter().zip(*first..).take_while(|(number, wanted)| *number == wanted).count();
        let last = first + u32::try_from(run).unwrap_or(1) - 1;
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&if last == *first { first.to_string() } else { format!("{first}-{last}") });
        rest = &rest[run..];
    }
    text
}

/// Takes in lines of `JOB|STATE` and perhaps `|REASON`.
fn read(said: &str, submission: &Submission, standing: &mut Standing) {
    for line in said.lines() {
        let mut words = line.trim().split('|');
        let (Some(job), Some(word)) = (words.next(), words.next()) else { continue };
        let state = state(word, words.next().unwrap_or_default());
        match job.split_once('_') {
            Some((array, index)) if array == submission.array => {
                // `7`, or `[0-3,7%2]` for those that wait.
                for index in index.parse().map_or_else(|_| indices(index), |index| vec![index]) {
                    standing.shards.insert(index, state.clone());
                }
            }
            None if job == submission.merge => standing.merge = Some(state),
            _ => {}
        }
    }
}

/// Numbers in Slurm's notation.
fn indices(text: &str) -> Vec<u32> {
    let text = text.trim_matches(['[', ']']);
    let text = text.split('%').next().unwrap_or_default();
    let range = |part: &str| match part.split_once('-') {
        Some((first, last)) => first.parse().ok().zip(last.parse().ok()).map(|(first, last): (u32, u32)| first..=last),
        None => part.parse().ok().map(|number: u32| number..=number),
    };
    text.split(',').filter_map(range).flatten().collect()
}

/// What a word of Slurm means.
fn state(word: &str, reason: &str) -> State {
    // `CANCELLED by 1000`.
    match word.split_whitespace().next().unwrap_or_default() {
        "PENDING" | "CONFIGURING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "SPECIAL_EXIT" | "SUSPENDED" => {
            State::Waiting(reason.to_owned())
        }
        "RUNNING" | "COMPLETING" | "RESIZING" | "SIGNALING" | "STAGE_OUT" | "STOPPED" => State::Running,
        "COMPLETED" => State::Ended(End::Done),
        "FAILED" => State::Ended(End::Failed),
        "OUT_OF_MEMORY" => State::Ended(End::OutOfMemory),
        "TIMEOUT" | "DEADLINE" => State::Ended(End::TimeLimit),
        "NODE_FAIL" | "BOOT_FAIL" => State::Ended(End::NodeLost),
        "PREEMPTED" | "REVOKED" => State::Ended(End::Preempted),
        "CANCELLED" => State::Ended(End::Cancelled),
        other => State::Ended(End::Other(other.to_owned())),
    }
}

/// What a command of Slurm answers.
fn ask(program: &'static str, words: &[&str]) -> Result<String, EngineError> {
    ask_with(program, words, "")
}

fn ask_with(program: &'static str, words: &[&str], input: &str) -> Result<String, EngineError> {
    let missing = |error: std::io::Error| EngineError::Missing { program, error: error.to_string() };
    let mut command = Command::new(program);
    // Plans of columns that a user has set for his own eyes.
    for variable in ["SQUEUE_FORMAT", "SACCT_FORMAT", "SLURM_TIME_FORMAT"] {
        command.env_remove(variable);
    }
    // A merge hands in new jobs: those must not take what it was given for what they ask.
    for variable in
        std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("SLURM_"))
    {
        if variable != "SLURM_CONF" {
            command.env_remove(variable);
        }
    }
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(missing)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read its input says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(missing)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(EngineError::Refused { program, said: if said.is_empty() { output.status.to_string() } else { said } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_and_read_as_ranges() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(ranges(&[4]), "4");
        assert_eq!(indices("[0-2,5,7-8%2]"), [0, 1, 2, 5, 7, 8]);
        assert_eq!(indices("x"), Vec::<u32>::new());
    }

    #[test]
    fn what_slurm_says_is_understood() {
        let submission = Submission { array: "12".into(), merge: "13".into() };
        let mut standing = Standing::default();
        read("12_0|COMPLETED\n12_1|CANCELLED by 0\n12_[4-5]|PENDING\n13|PENDING\n", &submission, &mut standing);
        read(
            "12_2|OUT_OF_MEMORY|\n12_1|RUNNING|None\n99_0|FAILED|\n13|PENDING|Dependency\n",
            &submission,
            &mut standing,
        );
        let expected = [
            (0, State::Ended(End::Done)),
            (1, State::Running),
            (2, State::Ended(End::OutOfMemory)),
            (4, State::Waiting(String::new())),
            (5, State::Waiting(String::new())),
        ];
        assert_eq!(standing.shards, expected.into());
        assert_eq!(standing.merge, Some(State::Waiting("Dependency".into())));
        assert_eq!(state("NODE_FAIL", ""), State::Ended(End::NodeLost));
        assert_eq!(state("NEWS", ""), State::Ended(End::Other("NEWS".into())));
    }

    #[test]
    fn words_stay_words() {
        assert_eq!(quote("a b'c"), r"'a b'\''c'");
    }
}
