//! Looking through what a job has left for what a question is about: single items, and where their results begin.
//!
//! Nobody is charged for that. So each tenant has one such question answered at a time, which costs a core at most; it is done a
//! part at a time, and a few parts at a time for all, so that a long one delays others by parts; and when whoever asked has gone, no
//! part is begun any more, unless it is for a `retry`, which changes something.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::turns::{Turn, Turns};
use super::{Problem, blocking};
use crate::tenant::TenantId;

/// Bytes that a part has, and the longest line that is looked at: of what is longer each piece is a line.
pub(super) const PART: usize = 1 << 20;

/// Parts that are looked at at a time, for all tenants: so many cores are taken from jobs and calls at most.
const AT_A_TIME: usize = 2;

/// Whose questions are being answered.
#[derive(Debug)]
pub(super) struct Looks {
    tenants: Turns,
    parts: Arc<Semaphore>,
}

impl Default for Looks {
    fn default() -> Self {
        Self { tenants: Turns::of_looks(), parts: Arc::new(Semaphore::new(AT_A_TIME)) }
    }
}

/// A question that is being answered, for as long as this lives and a part of it is looked at.
#[derive(Debug)]
pub(super) struct Look {
    turn: Arc<Turn>,
    parts: Arc<Semaphore>,
}

impl Looks {
    /// Waits until no other question of the tenant is being answered.
    pub(super) async fn begin(&self, tenant: TenantId) -> Look {
        Look { turn: Arc::new(self.tenants.next(tenant).await), parts: Arc::clone(&self.parts) }
    }
}

impl Look {
    /// Does a part of it, which is to be short: it comes to its end also when nobody waits for it any more.
    pub(super) async fn part<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let held = (Arc::clone(&self.turn), Arc::clone(&self.parts).acquire_owned().await);
        let done = blocking(move || {
            let _held = held;
            work()
        });
        done.await?.map_err(|error| Problem::internal(&error.to_string()))
    }

    /// Shows the lines of a file one by one, until there is none or enough has been seen. Returns what was seen.
    pub(super) async fn lines<S: Send + 'static>(
        &self,
        file: File,
        seen: S,
        see: fn(&mut S, &[u8]) -> ControlFlow<()>,
    ) -> Result<S, Problem> {
        let mut state = (BufReader::new(file), seen);
        loop {
            let part = self.part(move || {
                let (lines, seen) = &mut state;
                let (mut line, mut looked) = (Vec::new(), 0);
                while looked < PART {
                    line.clear();
                    let read = lines.by_ref().take(PART as u64).read_until(b'\n', &mut line)?;
                    if read == 0 || see(seen, &line).is_break() {
                        return Ok((state, true));
                    }
                    looked += read;
                }
                Ok((state, false))
            });
            let (more, is_all) = part.await?;
            if is_all {
                return Ok(more.1);
            }
            state = more;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::io::{Seek as _, Write as _};
    use std::sync::mpsc::{self, Receiver, Sender};
    use std::time::Duration;

    use super::*;

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(test);
    }

    async fn has_to_wait(work: impl Future) -> bool {
        tokio::time::timeout(Duration::ZERO, work).await.is_err()
    }

    /// A file of lines, which are several parts.
    fn file(lines: usize) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all("a line of some bytes\n".repeat(lines).as_bytes()).expect("room");
        file.rewind().expect("it is a file");
        file
    }

    #[test]
    fn all_lines_are_shown_until_enough_has_been_seen() {
        run(async {
            let look = Looks::default().begin(TenantId(1)).await;
            let count = |until: usize| {
                let see = |(count, until): &mut (usize, usize), line: &[u8]| {
                    assert_eq!(line, b"a line of some bytes\n");
                    *count += 1;
                    if count == until { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                };
                look.lines(file(150_000), (0, until), see)
            };
            for (until, seen) in [(1, 1), (99_999, 99_999), (usize::MAX, 150_000)] {
                assert_eq!(count(until).await.ok().map(|seen| seen.0), Some(seen));
            }
        });
    }

    #[test]
    fn a_tenant_has_one_question_answered_at_a_time_and_others_have_theirs() {
        run(async {
            let looks = Looks::default();
            let first = looks.begin(TenantId(1)).await;
            assert!(has_to_wait(looks.begin(TenantId(1))).await);
            let _other = looks.begin(TenantId(2)).await;
            drop(first);
            looks.begin(TenantId(1)).await;
        });
    }

    #[test]
    fn a_few_parts_are_looked_at_at_a_time_for_all() {
        run(async {
            let looks = Looks::default();
            let (go_on, wait) = mpsc::channel::<()>();
            let wait = Arc::new(std::sync::Mutex::new(wait));
            let mut under_way = Vec::new();
            for tenant in 0..AT_A_TIME {
                let (look, wait) = (looks.begin(TenantId(tenant.try_into().expect("few"))).await, Arc::clone(&wait));
                let part = async move { look.part(move || Ok(wait.lock().expect("whole").recv())).await.map(drop) };
                under_way.push(tokio::spawn(part));
                tokio::task::yield_now().await;
            }
            let last = looks.begin(TenantId(-1)).await;
            assert!(has_to_wait(last.part(|| Ok(()))).await);
            drop(go_on);
            for part in under_way {
                assert!(part.await.expect("it ends").is_ok());
            }
            assert!(last.part(|| Ok(())).await.is_ok());
        });
    }

    /// Whoever asks and goes, again and again, has no more done than whoever waits.
    #[test]
    fn what_nobody_waits_for_ends_with_its_part_and_holds_its_turn_until_then() {
        struct Seen {
            began: Sender<()>,
            go_on: Receiver<()>,
            lines: Sender<()>,
        }
        run(async {
            let looks = Looks::default();
            let ((began, has_begun), (go_on, waits), (lines, seen)) =
                (mpsc::channel(), mpsc::channel(), mpsc::channel());
            let look = looks.begin(TenantId(1)).await;
            let state = Seen { began, go_on: waits, lines };
            let asked = tokio::spawn(async move {
                let see = |seen: &mut Seen, _: &[u8]| {
                    let _ = seen.began.send(());
                    let _ = seen.go_on.recv();
                    let _ = seen.lines.send(());
                    ControlFlow::Continue(())
                };
                look.lines(file(150_000), state, see).await.map(drop)
            });
            tokio::task::yield_now().await;
            has_begun.recv().expect("it is begun");
            asked.abort();
            assert!(asked.await.is_err_and(|error| error.is_cancelled()));
            assert!(has_to_wait(looks.begin(TenantId(1))).await, "it is still looked at");
            drop(go_on);
            looks.begin(TenantId(1)).await;
            let seen = seen.iter().count();
            assert!(seen <= PART / 20, "{seen} lines were looked at for nobody");
        });
    }
}
