//! `--profile`: what the workers wrote down of where their kernel spent its time, as one file that the Firefox Profiler opens,
//! and the functions that took most of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

use fxprof_processed_profile::{
    CategoryHandle, CpuDelta, Frame, FrameFlags, FrameInfo, Profile, StringHandle, ThreadHandle, Timestamp,
};

use crate::exit_code::Failure;
use crate::report::{escape, note};

/// Time between two samples, as workers take them.
const INTERVAL: Duration = Duration::from_millis(1);

/// Most bytes that are read of one worker: some hours of samples.
const MOST: u64 = 1 << 30;

/// Functions that are named at the end of a run.
const SHOWN: usize = 5;

/// Writes the profile of a run, and says where its time went.
pub(crate) fn write(path: &Path, kernel: &str, workers: Vec<(u32, OwnedFd)>, quiet: bool) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::input(format!("--profile {}: {error}", path.display()));
    let mut made = Making::new(kernel);
    for (worker, file) in workers {
        let mut file = File::from(file);
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.take(MOST).read_to_end(&mut bytes)).map_err(failed)?;
        made.worker(worker, &String::from_utf8_lossy(&bytes));
    }
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    serde_json::to_writer(&mut file, &made.profile).map_err(|error| failed(error.into()))?;
    file.flush().map_err(failed)?;
    if !quiet {
        made.say(path);
    }
    Ok(())
}

/// A profile that is being made.
struct Making {
    profile: Profile,
    process: fxprof_processed_profile::ProcessHandle,
    /// Samples in which each function was the innermost.
    innermost: BTreeMap<String, u64>,
    samples: u64,
}

impl Making {
    fn new(kernel: &str) -> Self {
        let mut profile = Profile::new(kernel, SystemTime::now().into(), INTERVAL.into());
        let process = profile.add_process(kernel, std::process::id(), Timestamp::from_nanos_since_reference(0));
        Self { profile, process, innermost: BTreeMap::new(), samples: 0 }
    }

    /// Adds a worker as a thread. What makes no sense in its text is left out.
    fn worker(&mut self, worker: u32, text: &str) {
        let thread =
            self.profile.add_thread(self.process, worker, Timestamp::from_nanos_since_reference(0), worker == 0);
        self.profile.set_thread_name(thread, &format!("worker {worker}"));
        let mut functions: Vec<(String, StringHandle)> = Vec::new();
        let mut last = 0;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("f ") {
                functions.push((name.to_owned(), self.profile.intern_string(name)));
            } else if let Some((nanos, stack)) = sample(line) {
                // Samples stand in the order of their times.
                last = nanos.max(last);
                self.sample(thread, last, &stack, &functions);
            }
        }
        self.profile.set_thread_end_time(thread, Timestamp::from_nanos_since_reference(last));
    }

    fn sample(&mut self, thread: ThreadHandle, nanos: u64, stack: &[usize], functions: &[(String, StringHandle)]) {
        let known: Vec<&(String, StringHandle)> = stack.iter().filter_map(|&number| functions.get(number)).collect();
        if let Some((name, _)) = known.first() {
            *self.innermost.entry(name.clone()).or_default() += 1;
        }
        self.samples += 1;
        let frames = known.iter().rev().map(|(_, label)| FrameInfo {
            frame: Frame::Label(*label),
            category_pair: CategoryHandle::OTHER.into(),
            flags: FrameFlags::empty(),
        });
        let stack = self.profile.intern_stack_frames(thread, frames);
        let at = Timestamp::from_nanos_since_reference(nanos);
        self.profile.add_sample(thread, at, stack, CpuDelta::from_nanos(INTERVAL.as_nanos() as u64), 1);
    }

    /// Says which functions took most of the time.
    fn say(&self, path: &Path) {
        let mut functions: Vec<(&String, &u64)> = self.innermost.iter().collect();
        functions.sort_by_key(|(name, samples)| (std::cmp::Reverse(**samples), *name));
        let share = |samples: u64| samples as f64 * 100.0 / self.samples.max(1) as f64;
        let shown: Vec<String> = functions
            .into_iter()
            .take(SHOWN)
            .map(|(name, samples)| format!("{} {:.0} %", escape(name), share(*samples)))
            .collect();
        let most = if shown.is_empty() { "the run was too short for any".to_owned() } else { shown.join(", ") };
        note(&format!("profile: {} samples, most of them in: {most}", self.samples));
        note(&format!("profile: open {} with https://profiler.firefox.com", path.display()));
    }
}

/// A line `s NANOSECONDS FUNCTION…`.
fn sample(line: &str) -> Option<(u64, Vec<usize>)> {
    let mut numbers = line.strip_prefix("s ")?.split(' ');
    let nanos = numbers.next()?.parse().ok()?;
    Some((nanos, numbers.map(str::parse).collect::<Result<_, _>>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_threads_of_one_profile_and_nonsense_is_left_out() {
        let mut made = Making::new("k.wasm");
        made.worker(0, "f outer\nf inner\ns 1000000 1 0\ns 2000000 1 0\ns 3000000 0\n");
        made.worker(1, "f outer\ns 500 7\ns x\nnonsense\ns 18446744073709551615 0\ns 5 0\n");
        assert_eq!(made.samples, 6);
        assert_eq!(made.innermost, BTreeMap::from([("inner".into(), 2), ("outer".into(), 3)]));
        let json = serde_json::to_value(&made.profile).expect("it can be written");
        let threads = json["threads"].as_array().expect("threads");
        assert_eq!(threads.len(), 2);
        assert_eq!(threads[0]["samples"]["length"], 3);
    }
}
