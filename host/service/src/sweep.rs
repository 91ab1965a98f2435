//! Removing what nobody needs any more: what came of jobs whose time is over, later their records, and contents that nobody has.
//!
//! A file goes only when the thread that writes to the store sees that nobody has it, and whoever stores a content is told
//! that it is stored only when that thread sees the file: so none goes between the two.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crate::blobs::{Blobs, Digest, PARTS};
use crate::compiled::{self, Compiled};
use crate::store::retention::{self, Unused};
use crate::store::{self, Store, StoreError, contents, uploads, usage};
use crate::tenant::TenantId;
use crate::time::Moment;

/// How often it is looked for what is over.
const EVERY: Duration = Duration::from_secs(10);

/// How often it is looked for contents that nobody has: those of requests that came to nothing.
const ORPHANS_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a file may be there before what it is for is written down: a request lays it down first.
const UNCOUNTED: Duration = Duration::from_secs(60 * 60);

/// What clocks of file systems are late by, at most: they tick.
const TICK: Duration = Duration::from_millis(10);

/// How often it is looked for what there is too much of, which takes looking at everything.
const BOUNDS_EVERY: Duration = Duration::from_secs(5 * 60);

/// How long what has come of a content waits for the rest.
const PARTS_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Contents that are looked at in one transaction.
const GROUP: usize = 100;

/// Files that are removed in one transaction: nobody can write meanwhile, and a disk may take milliseconds for each.
const REMOVED: usize = 8;

/// For how many seconds after their end the records of jobs are kept; may be changed meanwhile.
pub type KeepJobs = Arc<AtomicU64>;

/// A thread that removes what is over, until it is dropped.
#[derive(Debug)]
pub struct Sweeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sweeper {
    /// Starts it.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        store: Store,
        blobs: Arc<dyn Blobs>,
        data: &Path,
        keep_jobs: KeepJobs,
        warn: Box<dyn Fn(&str) + Send>,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let (tenants, compiled) = (data.join("tenants"), Compiled::new(data));
        // What was there before there was a server is of none that is under way, however late the thread begins.
        let (mut before, started) = (SystemTime::now() - TICK, Instant::now());
        let thread = std::thread::Builder::new().name("sweep".into()).spawn(move || {
            let (mut orphans_at, mut bounds_at) = (Instant::now(), Instant::now());
            let mut patience = None;
            loop {
                let keep = Duration::from_secs(keep_jobs.load(Ordering::Relaxed));
                let mut result = expired(&store, &blobs, Moment::now(), keep);
                if Instant::now() >= orphans_at {
                    orphans_at = Instant::now() + ORPHANS_EVERY;
                    result = result.and_then(|()| orphans(&store, &blobs, &tenants, before));
                    let day = Moment::now().day() - usage::KERNEL_DAYS;
                    result = result.and_then(|()| store.write(move |rows| usage::forget_kernels(rows, day)));
                }
                if Instant::now() >= bounds_at {
                    bounds_at = Instant::now() + BOUNDS_EVERY;
                    let unused = patience.replace(compiled::PATIENCE).unwrap_or_else(|| started.elapsed() + TICK);
                    result = result.and_then(|()| compiled.sweep(&store, unused));
                    result = result.and_then(|()| bounded(&store, &blobs, retention::MOST));
                }
                if let Err(error) = result {
                    warn(&error.to_string());
                }
                before = SystemTime::now() - UNCOUNTED;
                if stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Forgets what came of jobs whose time is over, and removes their records when they have been kept for so long.
fn expired(store: &Store, blobs: &Arc<dyn Blobs>, now: Moment, keep: Duration) -> store::Result<()> {
    loop {
        let (unused, is_more) = store.write(move |rows| retention::expire(rows, now))?;
        remove(store, blobs, unused)?;
        if !is_more {
            break;
        }
    }
    while store.write(move |rows| retention::remove_records(rows, now, keep))? {}
    abandoned(store, blobs, Moment(now.0.saturating_sub(i64::try_from(PARTS_WAIT.as_millis()).unwrap_or(i64::MAX))))
}

/// Removes records of jobs that are over, as far as a tenant has more than so many.
fn bounded(store: &Store, blobs: &Arc<dyn Blobs>, most: u64) -> store::Result<()> {
    for (tenant, mut number) in store.read(|rows| retention::too_many(rows, most))? {
        while number > 0 {
            let (unused, removed) = store.write(move |rows| retention::remove_oldest(rows, tenant, number))?;
            remove(store, blobs, unused)?;
            if removed == 0 {
                break;
            }
            number = number.saturating_sub(removed);
        }
    }
    Ok(())
}

/// Forgets contents that come in parts, of which nothing has come since then.
fn abandoned(store: &Store, blobs: &Arc<dyn Blobs>, since: Moment) -> store::Result<()> {
    for (tenant, digest) in store.read(|rows| uploads::idle(rows, since))? {
        // One part may take longer than that, as long as it comes.
        if blobs.part_so_far(tenant, &digest).is_ok_and(|far| far.is_some_and(|(_, last)| last >= since)) {
            continue;
        }
        let blobs = Arc::clone(blobs);
        store.write(move |rows| {
            if uploads::remove_idle(rows, tenant, &digest, since)? {
                // One that cannot be removed now is found another day.
                let _ = blobs.forget_part(tenant, &digest);
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Removes the files of contents, as far as nobody has them.
///
/// # Errors
/// When the store cannot say whether somebody does.
pub fn remove(store: &Store, blobs: &Arc<dyn Blobs>, unused: Vec<Unused>) -> store::Result<()> {
    for group in unused.chunks(REMOVED) {
        let (blobs, group) = (Arc::clone(blobs), group.to_vec());
        let freed = store.write(move |rows| {
            let mut freed = Vec::new();
            for unused in &group {
                if !retention::is_wanted(rows, unused)? {
                    // One that cannot be removed now is found another day.
                    freed.extend(blobs.remove(unused.0, &unused.1));
                }
            }
            Ok(freed)
        })?;
        // Here, where nobody waits for it.
        drop(freed);
    }
    Ok(())
}

/// Says whether a content is there, for whoever keeps its row.
///
/// # Errors
/// When it is not there any more.
pub fn check_kept(blobs: &dyn Blobs, tenant: TenantId, digest: &Digest) -> store::Result<()> {
    match blobs.open(tenant, digest) {
        Ok(Some(_)) => Ok(()),
        _ => Err(StoreError::Database(format!("{digest} went while it was stored; it can be sent again"))),
    }
}

/// Removes files that nobody has and that were there before, since a server ended between writing them and keeping their row.
fn orphans(store: &Store, blobs: &Arc<dyn Blobs>, tenants: &Path, before: SystemTime) -> store::Result<()> {
    store.write(contents::forget_unneeded)?;
    let mut group = Vec::new();
    for tenant in entries(tenants) {
        let Ok(id) = tenant.1.parse() else { continue };
        for part in entries(&tenant.0.join(PARTS)) {
            let Ok(digest) = format!("blake3:{}", part.1).parse() else { continue };
            let blobs = Arc::clone(blobs);
            store.write(move |rows| {
                if uploads::find(rows, TenantId(id), &digest)?.is_none() {
                    let _ = blobs.forget_part(TenantId(id), &digest);
                }
                Ok(())
            })?;
        }
        for folder in entries(&tenant.0.join("blobs")) {
            for blob in entries(&folder.0) {
                let written = fs::metadata(&blob.0).and_then(|file| file.modified());
                if written.is_ok_and(|written| written >= before) {
                    continue;
                }
                let Ok(digest) = format!("blake3:{}{}", folder.1, blob.1).parse() else { continue };
                group.push((TenantId(id), digest));
                if group.len() == GROUP {
                    remove(store, blobs, std::mem::take(&mut group))?;
                }
            }
        }
    }
    remove(store, blobs, group)
}

fn entries(folder: &Path) -> impl Iterator<Item = (std::path::PathBuf, String)> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| Some((entry.path(), entry.file_name().into_string().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::LocalBlobs;
    use crate::job::{Conclusion, Input, JobId, JobSpec, JobState};
    use crate::store::contents::{self, Stay};
    use crate::store::jobs;
    use crate::tenant::Quotas;

    #[test]
    fn what_nobody_has_goes_and_the_rest_stays() {
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("store.db")).expect("a store");
        let tenant = store.write(|rows| store::access::add(rows, "anna", 1, &Quotas::default()));
        let tenant = tenant.expect("written").expect("a new one").id;
        let blobs: Arc<dyn Blobs> = Arc::new(LocalBlobs::new(place.path()));
        let keep = |bytes: &[u8]| {
            let mut blob = blobs.begin(tenant).expect("a place");
            blob.write(bytes).expect("room");
            blobs.keep(blob).expect("kept").0
        };
        let (wanted, unwanted, unneeded) = (keep(b"wanted"), keep(b"unwanted"), keep(b"unneeded"));
        store.write(move |rows| contents::add(rows, tenant, &wanted, 6, Stay::UntilDeleted)).expect("written");
        store.write(move |rows| contents::add(rows, tenant, &unneeded, 8, Stay::WhileNeeded)).expect("written");
        let sweep = |before| orphans(&store, &blobs, &place.path().join("tenants"), before).expect("looked at");
        // It may be somebody's who has not written it down yet.
        sweep(SystemTime::now() - UNCOUNTED);
        assert!(check_kept(&*blobs, tenant, &unwanted).is_ok());
        sweep(SystemTime::now() + TICK);
        assert!(check_kept(&*blobs, tenant, &wanted).is_ok());
        for digest in [unwanted, unneeded] {
            assert!(check_kept(&*blobs, tenant, &digest).is_err());
        }
        assert_eq!(store.read(|rows| contents::total(rows, tenant)).expect("read"), contents::counted(6));
        store.write(move |rows| contents::remove(rows, tenant, &wanted)).expect("written");
        remove(&store, &blobs, vec![(tenant, wanted)]).expect("looked at");
        assert!(check_kept(&*blobs, tenant, &wanted).is_err());
    }

    #[test]
    fn what_comes_in_parts_is_waited_for_and_then_forgotten() {
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("store.db")).expect("a store");
        let tenant = store.write(|rows| store::access::add(rows, "anna", 1, &Quotas::default()));
        let tenant = tenant.expect("written").expect("a new one").id;
        let blobs: Arc<dyn Blobs> = Arc::new(LocalBlobs::new(place.path()));
        let (begun, unknown) = (Digest::of(b"begun"), Digest::of(b"unknown"));
        let begin = move |rows: &rusqlite::Connection| uploads::begin(rows, tenant, &begun, 5, true, 100_000);
        store.write(begin).expect("written");
        for digest in [begun, unknown] {
            blobs.part(tenant, &digest, false).and_then(|mut part| part.write(b"be")).expect("room");
        }
        let there = |digest| blobs.part_so_far(tenant, digest).expect("looked at").is_some();
        orphans(&store, &blobs, &place.path().join("tenants"), SystemTime::now()).expect("looked at");
        assert!(there(&begun) && !there(&unknown), "nobody knows of the other");
        let stored = || store.read(|rows| contents::total(rows, tenant)).expect("read");
        for (wait, is_there) in [(PARTS_WAIT / 2, true), (PARTS_WAIT * 2, false)] {
            expired(&store, &blobs, Moment::now().after(wait), Duration::ZERO).expect("looked at");
            assert_eq!((there(&begun), stored() == contents::counted(5)), (is_there, is_there));
        }
    }

    #[test]
    fn records_of_jobs_are_kept_for_their_time_and_what_was_used_for_ever() {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("store.db")).expect("a store");
        let tenant = store.write(|rows| store::access::add(rows, "anna", 1, &Quotas::default()));
        let tenant = tenant.expect("written").expect("a new one").id;
        let blobs: Arc<dyn Blobs> = Arc::new(LocalBlobs::new(place.path()));
        let mut blob = blobs.begin(tenant).expect("a place");
        blob.write(b"1 2 3\n").expect("room");
        let (input, bytes) = blobs.keep(blob).expect("kept");
        let spec = || JobSpec {
            input_bytes: bytes,
            labels: [("project".to_owned(), "x".to_owned())].into(),
            ..JobSpec::over(vec![Input::whole(input, "a".into())])
        };
        let job = |keep: Duration, ends: bool| {
            let job = JobId::create();
            let spec = JobSpec { keep_seconds: Some(keep.as_secs()), ..spec() };
            let made = job.clone();
            let write = move |rows: &rusqlite::Connection| {
                contents::add(rows, tenant, &input, bytes, Stay::WhileNeeded)?;
                jobs::submit(rows, &made, tenant, &spec, &Quotas::default(), None)?;
                jobs::begin(rows, &made)?;
                if ends {
                    let done = Conclusion { cpu_ms: 5, ..Conclusion::default() };
                    jobs::finish(rows, &made, tenant, JobState::Succeeded, &done, 5)?;
                }
                Ok(())
            };
            store.write(write).expect("written");
            job
        };
        let (short, long, open) = (job(DAY, true), job(DAY * 20, true), job(DAY, false));
        let now = Moment::now();
        let there = |table: &str, job: &JobId, column: &str| {
            let sql = format!("SELECT count(*) FROM {table} WHERE {column} = ?1");
            let count =
                |rows: &rusqlite::Connection| Ok(rows.query_row(&sql, [job.as_str()], |row| row.get::<_, u32>(0))?);
            store.read(count).expect("read") > 0
        };
        let records = || [&short, &long, &open].map(|job| there("jobs", job, "id"));
        for (day, wanted) in [(2, [true; 3]), (9, [true; 3]), (11, [false, true, true]), (19, [false, true, true])] {
            expired(&store, &blobs, now.after(DAY * day), DAY * 10).expect("looked at");
            assert_eq!(records(), wanted, "after {day} days");
        }
        assert!(!there("job_labels", &short, "job") && !there("attempts", &short, "job"), "they go with it");
        assert!(there("job_labels", &long, "job") && there("attempts", &long, "job"));
        // As long as there is something of what came of it, its record is there, too; one that is not over stays.
        expired(&store, &blobs, now.after(DAY * 21), DAY * 10).expect("looked at");
        assert_eq!(records(), [false, false, true]);
        assert!(check_kept(&*blobs, tenant, &input).is_ok(), "the last one needs it");
        // What is asked for at length counts until it is forgotten.
        let stored = || store.read(|rows| contents::total(rows, tenant)).expect("read");
        let before = stored();
        let (mut long, id) = (JobSpec { inputs: Vec::new(), ..spec() }, JobId::create());
        long.parameters.arguments = vec!["x".repeat(4000); 3];
        long.labels.clear();
        let (kept, tight) = (id.clone(), Quotas { stored_bytes: before + 12_000, ..Quotas::default() });
        let submitted = store.write(move |rows| {
            let refused = jobs::submit(rows, &kept, tenant, &long, &tight, None)?;
            assert_eq!(refused, jobs::Submitted::Full(before));
            jobs::submit(rows, &kept, tenant, &long, &Quotas::default(), None)?;
            jobs::finish(rows, &kept, tenant, JobState::Cancelled, &Conclusion::default(), 0)
        });
        submitted.expect("written");
        assert!((before + 12_000..before + 13_000).contains(&stored()), "{before} and {}", stored());
        store.write(move |rows| retention::forget(rows, tenant, &id)).expect("written");
        assert_eq!(stored(), before);
        let used = store.read(|rows| usage::on_day(rows, tenant, now.day())).expect("read");
        assert_eq!((used.jobs, used.cpu_ms), (3, 10));
    }

    #[test]
    fn of_too_many_records_the_oldest_go_and_what_came_of_them() {
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("store.db")).expect("a store");
        let blobs: Arc<dyn Blobs> = Arc::new(LocalBlobs::new(place.path()));
        let mut blob = blobs.begin(TenantId(1)).expect("a place");
        blob.write(b"1 2 3\n").expect("room");
        let (input, bytes) = blobs.keep(blob).expect("kept");
        let ids = store.write(move |rows| {
            let tenant = store::access::add(rows, "anna", 1, &Quotas::default())?.expect("a new one").id;
            let other = store::access::add(rows, "bert", 1, &Quotas::default())?.expect("a new one").id;
            let mut ids = Vec::new();
            // The second and the fourth have an input; the last is not over, and one is somebody else's.
            for number in 0..7_i64 {
                let inputs = if [1, 3].contains(&number) { vec![Input::whole(input, "a".into())] } else { Vec::new() };
                let spec = JobSpec {
                    input_bytes: bytes,
                    labels: [("project".to_owned(), "x".to_owned())].into(),
                    ..JobSpec::over(inputs)
                };
                let (job, owner) = (JobId::create(), if number == 5 { other } else { tenant });
                contents::add(rows, tenant, &input, bytes, Stay::WhileNeeded)?;
                jobs::insert(rows, &job, owner, &spec, None)?;
                if number < 6 {
                    jobs::finish(rows, &job, owner, JobState::Cancelled, &Conclusion::default(), 0)?;
                    rows.execute("UPDATE jobs SET ended = ?2 WHERE id = ?1", rusqlite::params![job.as_str(), number])?;
                }
                ids.push(job);
            }
            // Of this one nothing is left.
            retention::forget(rows, tenant, &ids[2])?;
            Ok(ids)
        });
        let ids = ids.expect("written");
        let there = || store.read(|rows| ids.iter().map(|id| Ok(jobs::get(rows, id)?.is_some())).collect());
        for (most, wanted) in [(5, [1, 1, 1, 1, 1, 1, 1]), (4, [1, 1, 0, 1, 1, 1, 1]), (2, [0, 0, 0, 1, 1, 1, 1])] {
            bounded(&store, &blobs, most).expect("looked at");
            let there: Vec<bool> = there().expect("read");
            assert_eq!(there, wanted.map(|is_there| is_there == 1), "{most} at most");
        }
        assert!(check_kept(&*blobs, TenantId(1), &input).is_ok(), "the fourth has it");
        bounded(&store, &blobs, 1).expect("looked at");
        assert!(check_kept(&*blobs, TenantId(1), &input).is_err());
        let labels = "SELECT count(*) FROM job_labels";
        assert_eq!(store.read(|rows| Ok(rows.query_row(labels, [], |row| row.get::<_, u64>(0))?)).expect("read"), 3);
    }
}
