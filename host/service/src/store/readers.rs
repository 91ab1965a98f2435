//! The connections over which is read: a few that are lent, and kept.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::{Result, open};

/// Connections at most. Each has two descriptors and up to 2 MB of pages of its own (`cache_size` of SQLite), and more of them than
/// cores read no faster.
const MOST: usize = 8;

thread_local! {
    /// Whether this thread has a connection already.
    static READS: Cell<bool> = const { Cell::new(false) };
}

/// Whoever wants to read when all are lent waits for one.
pub(super) struct Readers {
    pub(super) path: PathBuf,
    state: Mutex<State>,
    given_back: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    lent: usize,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), state: Mutex::default(), given_back: Condvar::new() }
    }

    /// Reads over one of them, when one is there.
    ///
    /// # Errors
    /// When one cannot be opened, or reading fails.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        debug_assert!(!READS.get(), "who reads while it reads may wait for itself");
        let _loan = Loan::wait(self);
        let kept = self.state().idle.pop();
        let connection = match kept {
            Some(connection) => connection,
            None => open(&self.path)?,
        };
        READS.set(true);
        let result = read(&connection);
        READS.set(false);
        self.state().idle.push(connection);
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to one connection, as long as this lives.
struct Loan<'a>(&'a Readers);

impl<'a> Loan<'a> {
    fn wait(readers: &'a Readers) -> Self {
        let mut state = readers.state();
        while state.lent == MOST {
            state = readers.given_back.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.lent += 1;
        Self(readers)
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.0.state().lent -= 1;
        self.0.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    /// Those that are lent, and those that are not.
    fn count(readers: &Readers) -> (usize, usize) {
        let state = readers.state();
        (state.lent, state.idle.len())
    }

    #[test]
    fn whoever_comes_when_all_are_lent_has_one_later() {
        let place = tempfile::tempdir().expect("a folder");
        let readers = Readers::new(&place.path().join("store.db"));
        let (all_lent, over) = (Barrier::new(MOST + 1), Barrier::new(MOST + 1));
        let one = |rows: &Connection| Ok(rows.query_row("SELECT 1", [], |row| row.get::<_, i64>(0))?);
        std::thread::scope(|scope| {
            for _ in 0..MOST {
                scope.spawn(|| {
                    let holds = readers.read(|rows| {
                        all_lent.wait();
                        over.wait();
                        one(rows)
                    });
                    assert_eq!(holds.expect("read"), 1);
                });
            }
            all_lent.wait();
            let late = scope.spawn(|| readers.read(one).expect("read"));
            assert_eq!(count(&readers), (MOST, 0));
            over.wait();
            assert_eq!(late.join().expect("it ends"), 1);
        });
        assert_eq!(count(&readers), (0, MOST));
        // What cannot read gives it back, too.
        readers.read(|_| Err::<(), _>(super::super::StoreError::Closed)).expect_err("it fails");
        assert_eq!(count(&readers).0, 0);
    }
}
