//! The database: one file, one thread that writes, any number that read.
//!
//! A write is a function over the connection. Those that wait together are committed together, so that a hundred jobs that
//! come at once cost one flush of the disk; each has a savepoint of its own, so that one that fails takes back nothing but
//! its own. Whoever asked for a write hears of it when it is on the disk, not before.

pub mod access;
pub mod aliases;
pub mod audit;
pub mod callbacks;
pub mod changes;
pub mod contents;
pub mod holds;
pub mod jobs;
pub mod kernels;
pub mod listing;
pub mod names;
mod readers;
pub mod records;
pub mod retention;
mod schema;
pub mod uploads;
pub mod usage;
pub mod warnings;
pub mod webhooks;

use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use readers::Readers;
use rusqlite::{Connection, OpenFlags};

/// What stops being true when the store cannot do its work.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refuses: a full disk, a damaged file.
    #[error("the store: {0}")]
    Database(String),
    /// It was made by a newer version of this program.
    #[error(
        "the store has schema {found}, this program knows up to {known}: use the version that wrote it, or a newer one"
    )]
    Newer {
        /// What it has.
        found: i64,
        /// What is known.
        known: i64,
    },
    /// The thread that writes has ended.
    #[error("the store is closed")]
    Closed,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}

/// What a write comes to.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Writes that are committed together at most: what comes after them waits for one flush more.
const GROUP: usize = 256;

/// How long a reader waits for a lock that it needs only while the log is taken into the file.
const PATIENCE: Duration = Duration::from_secs(10);

/// A write on its way: done in a transaction, then told what became of that.
type Write = Box<dyn FnOnce(&Connection) -> Told + Send>;

/// Tells whoever waits, when the transaction has ended.
type Told = Box<dyn FnOnce(Result<()>) + Send>;

/// The database. Clones share it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    writes: Mutex<Option<Sender<Write>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    readers: Readers,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.shared.readers.path).finish_non_exhaustive()
    }
}

fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // What was acknowledged survives a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

impl Store {
    /// Opens the database, which is made or brought up to date when it has to be.
    ///
    /// # Errors
    /// When it cannot be, or was written by a newer version.
    pub fn open(path: &Path) -> Result<Self> {
        let mut connection = open(path)?;
        schema::migrate(&mut connection)?;
        let (writes, incoming) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || write_all(&mut connection, &incoming))
            .map_err(|error| StoreError::Database(format!("its thread cannot be started: {error}")))?;
        let shared =
            Shared { writes: Mutex::new(Some(writes)), thread: Mutex::new(Some(thread)), readers: Readers::new(path) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Has something written, and calls `then` when it is on the disk or has failed. In the thread that writes: `then` is to
    /// be short.
    pub fn write_then<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
        then: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        let run = Box::new(move |connection: &Connection| -> Told {
            let result = in_savepoint(connection, write);
            Box::new(move |committed: Result<()>| then(committed.and(result)))
        });
        let sender = self.shared.writes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let refused: Option<Write> = match sender {
            Some(sender) => sender.send(run).err().map(|refused| refused.0),
            None => Some(run),
        };
        // Nobody is left who could do it: dropping it drops whoever waits, who hears of that.
        drop(refused);
    }

    /// Has something written, and waits until it is on the disk.
    ///
    /// # Errors
    /// When it fails, or cannot be committed.
    pub fn write<T: Send + 'static>(&self, write: impl FnOnce(&Connection) -> Result<T> + Send + 'static) -> Result<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.write_then(write, move |result| {
            let _ = sender.send(result);
        });
        receiver.recv().map_err(|_| StoreError::Closed)?
    }

    /// Reads what was committed. What is read in here must not read again: it might wait for itself.
    ///
    /// # Errors
    /// When that fails.
    pub fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.shared.readers.read(read)
    }

    /// Copies the database as it is now into another file, while it is in use.
    ///
    /// # Errors
    /// When the file is there already or cannot be written.
    pub fn back_up(&self, into: &Path) -> Result<()> {
        let into = into.to_str().ok_or_else(|| StoreError::Database("the path is no text".into()))?.to_owned();
        self.read(move |connection| Ok(connection.execute("VACUUM INTO ?1", [into]).map(drop)?))
    }
}

/// Does something of which nothing stays when it is refused.
///
/// # Errors
/// When it fails.
pub fn unless_refused<T, E>(
    rows: &Connection,
    act: impl FnOnce(&Connection) -> Result<std::result::Result<T, E>>,
) -> Result<std::result::Result<T, E>> {
    rows.execute_batch("SAVEPOINT refusable")?;
    let done = act(rows);
    if !matches!(done, Ok(Ok(_))) {
        rows.execute_batch("ROLLBACK TO refusable")?;
    }
    rows.execute_batch("RELEASE refusable")?;
    done
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The thread ends when nobody can ask it for anything any more.
        drop(self.writes.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

fn in_savepoint<T>(connection: &Connection, write: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    connection.execute_batch("SAVEPOINT one")?;
    let result = write(connection);
    connection.execute_batch(if result.is_ok() { "RELEASE one" } else { "ROLLBACK TO one; RELEASE one" })?;
    result
}

/// The thread that writes.
fn write_all(connection: &mut Connection, incoming: &Receiver<Write>) {
    while let Ok(first) = incoming.recv() {
        let group = std::iter::once(first).chain(incoming.try_iter()).take(GROUP);
        let begun = connection.execute_batch("BEGIN IMMEDIATE").map_err(StoreError::from);
        let told: Vec<Told> = group.map(|write| write(connection)).collect();
        let committed = begun.and_then(|()| Ok(connection.execute_batch("COMMIT")?));
        if committed.is_err() {
            // After a failure in the middle there may be none to roll back.
            let _ = connection.execute_batch("ROLLBACK");
        }
        for tell in told {
            tell(committed.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("store.db")).expect("a store");
        store
            .write(|connection| Ok(connection.execute_batch("CREATE TABLE notes (text TEXT UNIQUE)")?))
            .expect("a table");
        (place, store)
    }

    fn note(store: &Store, text: &'static str) -> Result<usize> {
        store.write(move |connection| Ok(connection.execute("INSERT INTO notes VALUES (?1)", [text])?))
    }

    fn notes(store: &Store) -> i64 {
        let count = |connection: &Connection| {
            Ok(connection.query_row("SELECT count(*) FROM notes", [], |row| row.get::<_, i64>(0))?)
        };
        store.read(count).expect("a number")
    }

    #[test]
    fn what_is_acknowledged_is_there_after_it_was_closed() {
        let (place, store) = store();
        assert_eq!(note(&store, "one").expect("written"), 1);
        drop(store);
        assert_eq!(notes(&Store::open(&place.path().join("store.db")).expect("a store")), 1);
    }

    #[test]
    fn a_write_that_fails_takes_back_its_own_alone() {
        let (_place, store) = store();
        // The first makes the others wait, so that they are one group.
        let (hold, held) = mpsc::channel::<()>();
        let (sender, results) = mpsc::channel();
        let gate = sender.clone();
        store.write_then(
            move |_| Ok(held.recv().is_err()),
            move |result: Result<bool>| gate.send(result.is_ok()).expect("somebody waits"),
        );
        for texts in [["a", "b"], ["c", "a"], ["d", "e"]] {
            let sender = sender.clone();
            let both = move |connection: &Connection| {
                for text in texts {
                    connection.execute("INSERT INTO notes VALUES (?1)", [text])?;
                }
                Ok(())
            };
            store.write_then(both, move |result: Result<()>| sender.send(result.is_ok()).expect("somebody waits"));
        }
        drop(hold);
        let results: Vec<bool> = results.iter().take(4).collect();
        assert_eq!(results, [true, true, false, true]);
        assert_eq!(notes(&store), 4);
    }

    #[test]
    fn many_that_come_at_once_are_few_commits() {
        let (_place, store) = store();
        // The first makes the others wait, so that they come at once.
        let (hold, held) = mpsc::channel::<()>();
        store.write_then(move |_| Ok(held.recv().is_err()), |_: Result<bool>| ());
        let (sender, results) = mpsc::channel();
        let written = Arc::new(AtomicUsize::new(0));
        for number in 0..1000 {
            let (sender, written, by_then) = (sender.clone(), Arc::clone(&written), Arc::clone(&written));
            let write = move |connection: &Connection| {
                written.fetch_add(1, Ordering::Relaxed);
                Ok(connection.execute("INSERT INTO notes VALUES (?1)", [format!("n{number}")])?)
            };
            store.write_then(write, move |result: Result<usize>| {
                sender.send((result.is_ok(), by_then.load(Ordering::Relaxed))).expect("somebody waits");
            });
        }
        drop(hold);
        // Those of one commit are told when so many had been written.
        let told: Vec<(bool, usize)> = results.iter().take(1000).collect();
        assert!(told.iter().all(|(is_written, _)| *is_written));
        let commits: BTreeSet<usize> = told.iter().map(|(_, by_then)| *by_then).collect();
        assert!(commits.len() <= 1000_usize.div_ceil(GROUP) + 1, "{commits:?}");
        assert_eq!(notes(&store), 1000);
    }

    #[test]
    fn a_copy_that_is_made_while_it_is_in_use_is_whole() {
        let (place, store) = store();
        note(&store, "one").expect("written");
        let copy = place.path().join("copy.db");
        store.back_up(&copy).expect("copied");
        note(&store, "two").expect("written");
        assert_eq!(notes(&Store::open(&copy).expect("a store")), 1);
        store.back_up(&copy).expect_err("it is there already");
    }
}
