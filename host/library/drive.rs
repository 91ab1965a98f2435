//! Who drives the pool of a kernel: the thread that made it, which owns its workers; or for a moment a thread that waits for a
//! single item; or a loop of the program's own that attends to it. These send the item and receive the result themselves: no
//! other thread has to be woken for it, which costs more than the item. After a single item nobody drives for a while, since
//! another may follow; then the pool's thread does. While a loop attends, the pool's thread rests until it is called, for what
//! only it can do, or until there is something to do at that time.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use taskhost_os::eventfd::Waker;
use taskhost_os::poll::wait_readable_for;
use taskhost_pool::error::PoolError;
use taskhost_pool::runner::{Course, Next, Pool};

use super::desk::{Counter, lock};
use super::reactor::Watcher;

/// How long a guest looks again and again for the result: being woken takes as long.
const LOOK: Duration = Duration::from_micros(60);

/// How long a guest drives. What takes longer is worth waking a thread.
const VISIT: Duration = Duration::from_millis(2);

/// How long nobody drives after a guest has left.
const PAUSE: Duration = Duration::from_millis(2);

/// Who waits for what happens to the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    /// The thread that made the pool.
    Home,
    /// A thread that waits for a single item.
    Guest,
    /// Nobody, for a moment: there is nothing to wait for.
    Nobody,
}

#[derive(Debug)]
struct Order {
    lead: Lead,
    /// Guests there were.
    visits: u64,
    /// Until when the pool's thread sleeps, unless it is woken: for ever when it says nothing.
    sleeps_until: Option<Instant>,
    /// Loops that attend.
    attendants: usize,
    home: Home,
    /// The pool's thread is not to rest before it has looked once more.
    is_called: bool,
}

/// What the pool's thread is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    /// It drives, or waits until it may.
    Busy,
    /// It waits for events. Never while a loop attends, which would take from it what is to wake it.
    AtEvents,
    /// It waits until it is called.
    Rests,
}

/// The pool, and what goes in and out.
struct Driven {
    pool: Pool,
    course: Course,
    counter: Counter,
    watcher: Watcher,
    /// What a guest found.
    failure: Option<PoolError>,
}

impl Driven {
    fn step(&mut self) -> Result<Next, PoolError> {
        match self.failure.take() {
            Some(error) => Err(error),
            None => self.pool.step(&mut self.course, &mut self.counter, &mut self.watcher),
        }
    }

    fn begin(&mut self) -> Next {
        self.pool.begin(&mut self.course, &mut self.counter, &mut self.watcher)
    }

    /// After how long the pool's thread is to look: at once, for what only it can do.
    fn time_left(&self, next: Next) -> Option<Duration> {
        match next {
            Next::After(left) if !self.pool.needs_home() => left,
            Next::After(_) | Next::Over => Some(Duration::ZERO),
        }
    }
}

/// A pool that several threads may drive.
pub(crate) struct Drive {
    /// Nothing when the pool is gone.
    driven: Mutex<Option<Driven>>,
    order: Mutex<Order>,
    changed: Condvar,
    /// Readable when something has happened.
    events: OwnedFd,
    waker: Waker,
    /// Whether a thread may look for something while another process makes it.
    can_look: bool,
}

impl Drive {
    pub(crate) fn new(pool: Pool, counter: Counter, watcher: Watcher) -> std::io::Result<Self> {
        let events = pool.events().try_clone_to_owned()?;
        let waker = pool.waker();
        let driven = Driven { pool, course: Course::begin(), counter, watcher, failure: None };
        let order = Order {
            lead: Lead::Home,
            visits: 0,
            sleeps_until: None,
            attendants: 0,
            home: Home::Busy,
            is_called: false,
        };
        Ok(Self {
            driven: Mutex::new(Some(driven)),
            order: Mutex::new(order),
            changed: Condvar::new(),
            events,
            waker,
            can_look: std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1),
        })
    }

    /// Drives until all is done, and ends the workers. By the thread that made the pool.
    pub(crate) fn run(&self) -> Result<(), PoolError> {
        let result = loop {
            self.come_home();
            let mut driven = lock(&self.driven);
            let left = match driven.as_mut().map_or(Ok(Next::Over), Driven::step) {
                Ok(Next::After(left)) => left,
                Ok(Next::Over) => break Ok(()),
                Err(error) => break Err(error),
            };
            // Before anybody else drives, who may find that this is too long.
            lock(&self.order).sleeps_until = left.map(|left| Instant::now() + left);
            drop(driven);
            let waited = if self.rest() { Ok(()) } else { wait_readable_for(self.events.as_fd(), left) };
            self.wake_up();
            if let Err(error) = waited {
                break Err(PoolError::Host { what: "waiting for events", error });
            }
        };
        let gone = lock(&self.driven).take();
        drop(gone);
        result
    }

    /// Waits until it is time, or the pool's thread is called, while a loop attends. False when none does, and events are to be
    /// waited for.
    fn rest(&self) -> bool {
        let mut order = lock(&self.order);
        // One that was called while a loop attended was not woken by an event, and looks once more also when that has left.
        if order.attendants == 0 && !order.is_called {
            order.home = Home::AtEvents;
            return false;
        }
        order.home = Home::Rests;
        while order.attendants > 0 && !order.is_called {
            let Some(until) = order.sleeps_until else {
                order = self.changed.wait(order).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            order = self.changed.wait_timeout(order, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        order.is_called = false;
        true
    }

    /// The pool's thread waits no more.
    fn wake_up(&self) {
        let mut order = lock(&self.order);
        order.home = Home::Busy;
        order.sleeps_until = Some(Instant::now());
        if order.attendants > 0 {
            // The first of them may wait for this.
            self.changed.notify_all();
        }
    }

    /// Has the pool's thread look, wherever it waits.
    fn call(&self, mut order: MutexGuard<'_, Order>) {
        if order.attendants == 0 {
            drop(order);
            return self.waker.wake();
        }
        order.is_called = true;
        let rests = order.home == Home::Rests;
        drop(order);
        if rests {
            self.changed.notify_all();
        }
    }

    /// A loop attends from now on: it calls [`Drive::turn`] whenever these events are readable.
    pub(crate) fn attend(&self) -> std::io::Result<OwnedFd> {
        let events = self.events.try_clone()?;
        let mut order = lock(&self.order);
        order.attendants += 1;
        while order.home == Home::AtEvents {
            // It may have to be done again: a guest can take what was to wake it.
            self.waker.wake();
            order = self.changed.wait_timeout(order, PAUSE).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(events)
    }

    /// One loop less attends.
    pub(crate) fn leave(&self) {
        lock(&self.order).attendants -= 1;
        self.changed.notify_all();
    }

    /// Deals with what has happened, in a loop that attends. Never waits.
    pub(crate) fn turn(&self) {
        // A guest waits for the same events, and does this.
        if lock(&self.order).lead == Lead::Guest {
            return;
        }
        // What is in the middle of a step may have looked before this happened.
        let Some(mut driven) = self.try_driven() else { return self.call(lock(&self.order)) };
        let Some(inside) = driven.as_mut() else { return };
        let next = inside.step();
        let left = match next {
            Ok(next) => inside.time_left(next),
            Err(error) => {
                inside.failure = Some(error);
                Some(Duration::ZERO)
            }
        };
        drop(driven);
        self.be_back_in(left);
    }

    /// Waits until nobody else drives.
    fn come_home(&self) {
        let mut order = lock(&self.order);
        while order.lead != Lead::Home {
            let visits = order.visits;
            let (woken, timeout) = self.changed.wait_timeout(order, PAUSE).unwrap_or_else(PoisonError::into_inner);
            order = woken;
            if timeout.timed_out() && order.lead == Lead::Nobody && order.visits == visits {
                order.lead = Lead::Home;
            }
        }
    }

    /// There is something on the desk: whoever drives looks at it.
    pub(crate) fn wake(&self) {
        // Also where a loop attends: it may be what waits for this.
        self.call(lock(&self.order));
        self.send_home();
    }

    /// Somebody waits for something without driving.
    pub(crate) fn send_home(&self) {
        let mut order = lock(&self.order);
        if order.lead == Lead::Nobody {
            order.lead = Lead::Home;
            drop(order);
            self.changed.notify_all();
        }
    }

    /// Begins what was just asked for, when that can be done at once; otherwise has it done.
    pub(crate) fn begin(&self) {
        let Some(mut driven) = self.try_driven() else { return self.wake() };
        let Some(inside) = driven.as_mut() else { return };
        let next = inside.begin();
        let left = inside.time_left(next);
        drop(driven);
        self.be_back_in(left);
    }

    /// The pool's thread is to look in so long, at the latest.
    fn be_back_in(&self, left: Option<Duration>) {
        let order = lock(&self.order);
        let until = left.map(|left| Instant::now() + left);
        // It is to be back in time; when nobody drives, it will look soon.
        let is_late = until.is_some_and(|until| order.sleeps_until.is_none_or(|sleeps| sleeps > until));
        let is_urgent = left.is_some_and(|left| left.is_zero());
        match order.lead {
            Lead::Home if is_late => self.call(order),
            // It may sleep still: a guest can have taken what was to wake it.
            Lead::Nobody if is_urgent || is_late => {
                drop(order);
                self.wake();
            }
            Lead::Home | Lead::Guest | Lead::Nobody => {}
        }
    }

    /// Drives until something is there, or it takes too long.
    pub(crate) fn visit(&self, until: Option<Instant>, is_there: impl Fn() -> bool) {
        let began = Instant::now();
        let mut order = lock(&self.order);
        let before = order.lead;
        let only_looks = until.is_some_and(|until| until <= began);
        if before == Lead::Guest || (before == Lead::Home && only_looks) {
            return;
        }
        order.lead = Lead::Guest;
        order.visits += 1;
        drop(order);
        let mut visit = Visit { drive: self, is_done: false };
        if before == Lead::Home {
            // It sleeps until something happens, which from now on this thread waits for.
            self.call(lock(&self.order));
        }
        let ends = until.map_or(began + VISIT, |until| until.min(began + VISIT));
        visit.is_done = self.drive(began, ends, is_there);
    }

    fn try_driven(&self) -> Option<MutexGuard<'_, Option<Driven>>> {
        match self.driven.try_lock() {
            Ok(driven) => Some(driven),
            // A hook has panicked, between two steps of the pool.
            Err(TryLockError::Poisoned(driven)) => Some(driven.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Whether nothing is left to be driven.
    fn drive(&self, began: Instant, ends: Instant, is_there: impl Fn() -> bool) -> bool {
        loop {
            // The pool's thread may be in the middle of a step. A hook that waits for its own pool has that itself.
            let Some(mut driven) = self.try_driven() else {
                if Instant::now() >= ends {
                    return false;
                }
                std::thread::yield_now();
                continue;
            };
            let Some(inside) = driven.as_mut() else { return false };
            let next = inside.step();
            let is_done = inside.pool.has_nothing();
            let left = match next {
                Ok(Next::After(left)) if !inside.pool.needs_home() => left,
                Ok(_) => return false,
                Err(error) => {
                    inside.failure = Some(error);
                    return false;
                }
            };
            drop(driven);
            if is_there() {
                return is_done;
            }
            let now = Instant::now();
            if now >= ends {
                return false;
            }
            if !self.can_look || now - began >= LOOK {
                let most = ends - now;
                // What fails here fails for the pool's thread as well, which says so.
                if wait_readable_for(self.events.as_fd(), Some(left.map_or(most, |left| left.min(most)))).is_err() {
                    return false;
                }
            }
        }
    }

    /// Looks at the pool while nobody drives it.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&Pool) -> R) -> Option<R> {
        lock(&self.driven).as_ref().map(|driven| look(&driven.pool))
    }
}

/// A guest. When it leaves, in whatever way, somebody else drives.
struct Visit<'a> {
    drive: &'a Drive,
    /// Nothing is left to be driven.
    is_done: bool,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        lock(&self.drive.order).lead = if self.is_done { Lead::Nobody } else { Lead::Home };
        if !self.is_done {
            self.drive.changed.notify_all();
            // It may sleep still, and know of nothing that was begun since: what was to wake it, this guest can have taken.
            self.drive.waker.wake();
        }
    }
}

impl std::fmt::Debug for Drive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drive").field("order", &self.order).finish_non_exhaustive()
    }
}
