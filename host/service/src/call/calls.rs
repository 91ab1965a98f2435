//! The kernels that are ready to be called, and the way of a call: admitted, in line, on a worker, over.

mod ending;
mod opening;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::attend::Attending;
use super::lines::Lines;
use super::numbers::{Counts, Numbers};
use super::ready::Ready;
use super::{CallError, Callee, Engine, Outcome, Purpose, Running};
use crate::counts::Times;
use crate::job::Shared;
use crate::tenant::{Tenant, TenantId};

/// Calls that wait at a time, of all tenants, unless it is said otherwise: more would wait for longer than they may.
pub const MOST_WAITING: usize = 4096;

/// Kernels that are kept ready: each costs two threads and some descriptors, beside its workers.
const MOST_READY: usize = 64;

/// How many calls there may be.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Workers at a time.
    pub workers: usize,
    /// Of these, how many are kept for tenants that have none.
    pub kept: usize,
    /// Calls that wait at a time, of all tenants: those that come then are refused.
    pub waiting: usize,
}

/// All calls of a service.
pub struct Calls {
    shared: Arc<Shared>,
    engine: Arc<dyn Engine>,
    most_waiting: usize,
    books: Mutex<Books>,
    counts: Counts,
    /// Where results are received: known since the first kernel was made ready.
    runtime: OnceLock<Handle>,
    me: Weak<Self>,
}

struct Books {
    lines: Lines<Waiting>,
    kernels: HashMap<Purpose, Ready>,
    /// Calls that wait or run, by tenant.
    present: HashMap<TenantId, u32>,
    is_stopping: bool,
    /// Counts calls: by this they and what they use are told apart and ordered.
    next: u64,
}

/// A call in line.
struct Waiting {
    number: u64,
    purpose: Purpose,
    item: Vec<u8>,
    came: Instant,
    sender: oneshot::Sender<Answer>,
    place: Place,
}

/// What a call is told.
type Answer = Result<Outcome, CallError>;

/// Where a call finds those that it is run with, once it is.
type Place = Arc<Mutex<Option<Arc<Group>>>>;

/// Calls that are run together. When all of them are over, or nobody waits for any, its place is free.
struct Group {
    calls: Weak<Calls>,
    purpose: Purpose,
    size: u32,
    began: Instant,
    is_lost: Arc<AtomicBool>,
    running: Mutex<Option<Running>>,
}

/// A call that is under way, for as long as somebody waits for it.
struct Ticket<'a> {
    calls: &'a Calls,
    number: u64,
    purpose: Purpose,
    place: Place,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these guard is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Calls {
    /// With so much room.
    #[must_use]
    pub fn new(shared: Arc<Shared>, engine: Arc<dyn Engine>, capacity: Capacity) -> Arc<Self> {
        let books = Books {
            lines: Lines::new(capacity.workers, capacity.kept),
            kernels: HashMap::new(),
            present: HashMap::new(),
            is_stopping: false,
            next: 0,
        };
        Arc::new_cyclic(|me| Self {
            shared,
            engine,
            most_waiting: capacity.waiting,
            books: Mutex::new(books),
            counts: Counts::default(),
            runtime: OnceLock::new(),
            me: Weak::clone(me),
        })
    }

    /// Has one item run, and waits for its result, not beyond a time.
    ///
    /// # Errors
    /// When there is none.
    pub async fn call(
        &self,
        tenant: &Tenant,
        purpose: Purpose,
        item: Vec<u8>,
        until: Instant,
    ) -> Result<Vec<u8>, CallError> {
        let began = Instant::now();
        let result = self.perform(tenant, purpose, item, until).await;
        self.counts.over(&result, began.elapsed());
        if let Err(CallError::Failed(failure)) = &result {
            self.shared.counts.failed(failure.verdict, 1);
        }
        result
    }

    async fn perform(
        &self,
        tenant: &Tenant,
        purpose: Purpose,
        item: Vec<u8>,
        until: Instant,
    ) -> Result<Vec<u8>, CallError> {
        self.admit(tenant).await?;
        let (ticket, receiver, is_new) = self.enter(tenant, purpose, item)?;
        if is_new {
            self.open(ticket.purpose.clone());
        }
        let outcome = tokio::time::timeout_at(until.into(), receiver).await;
        let has_begun = lock(&ticket.place).is_some();
        match outcome {
            Ok(Ok(Ok(Outcome::Done(result)))) => Ok(result),
            Ok(Ok(Ok(Outcome::Failed(failure)))) => Err(CallError::Failed(failure)),
            Ok(Ok(Ok(Outcome::Lost(why)))) => Err(CallError::Lost(why)),
            Ok(Ok(Err(error))) => Err(error),
            Ok(Err(_)) if has_begun => Err(CallError::Lost("its workers are gone".into())),
            Ok(Err(_)) => Err(CallError::Stopping),
            Err(_) if has_begun => Err(CallError::Late),
            Err(_) => Err(CallError::Busy),
        }
    }

    /// Refuses a tenant who has used up what it has today.
    async fn admit(&self, tenant: &Tenant) -> Result<(), CallError> {
        let used_up = self.shared.accounts.used_up(self.shared.store(), tenant).await.map_err(CallError::Store)?;
        used_up.map_or(Ok(()), |used| Err(CallError::CpuUsedUp(used, tenant.quotas.cpu_seconds_per_day)))
    }

    /// Puts a call in line. True when its kernel is still to be made ready.
    fn enter(
        &self,
        tenant: &Tenant,
        purpose: Purpose,
        item: Vec<u8>,
    ) -> Result<(Ticket<'_>, oneshot::Receiver<Answer>, bool), CallError> {
        let mut books = lock(&self.books);
        if books.is_stopping {
            return Err(CallError::Stopping);
        }
        if books.lines.waiting() >= self.most_waiting && !books.lines.has_place(tenant.id) {
            return Err(CallError::Busy);
        }
        let most = tenant.quotas.concurrent_calls;
        let present = books.present.entry(tenant.id).or_default();
        if *present >= most {
            return Err(CallError::TooMany(most));
        }
        *present += 1;
        if *present == 1 {
            self.shared.know(tenant.id);
        }
        self.shared.fair().call_came(tenant.id);
        let number = books.next;
        books.next += 1;
        let is_new = !books.kernels.contains_key(&purpose);
        self.counts.came(!is_new);
        let ready = books.kernels.entry(purpose.clone()).or_insert_with(Ready::new);
        ready.calls += 1;
        ready.last_use = number;
        let (sender, receiver) = oneshot::channel();
        let place = Place::default();
        let came = Instant::now();
        let waiting = Waiting { number, purpose: purpose.clone(), item, came, sender, place: Arc::clone(&place) };
        books.lines.push(tenant.id, waiting);
        self.dispatch(&mut books);
        Ok((Ticket { calls: self, number, purpose, place }, receiver, is_new))
    }

    /// Forgets a kernel that is ready, having charged what it used.
    fn take_out(&self, books: &mut Books, purpose: &Purpose) -> Option<Ready> {
        let mut ready = books.kernels.remove(purpose)?;
        self.measure(purpose, &mut ready);
        Some(ready)
    }

    /// Gives out all places that can be.
    fn dispatch(&self, books: &mut Books) {
        let fair = &self.shared;
        loop {
            let Books { lines, kernels, .. } = &mut *books;
            let is_ready = |call: &Waiting| kernels.get(&call.purpose).is_some_and(|ready| ready.callee.is_some());
            let debt = |tenant| fair.fair().debt(tenant);
            let may = |tenant, has: usize| {
                let fair = fair.fair();
                has < fair.cores_of(tenant) && !fair.is_held(tenant)
            };
            let Some((tenant, first)) = lines.next(debt, may, is_ready) else { return };
            let most = match kernels.get(&first.purpose) {
                // Where there is room for all, each has a worker of its own.
                Some(ready) if !lines.has_room() => ready.together(),
                _ => 1,
            };
            let more = lines.more(tenant, most - 1, |call| call.purpose == first.purpose);
            let mut group = vec![first];
            group.extend(more);
            self.begin(books, tenant, group);
        }
    }

    /// Has calls run together that have a place.
    fn begin(&self, books: &mut Books, tenant: TenantId, waiting: Vec<Waiting>) {
        let Some(purpose) = waiting.first().map(|call| call.purpose.clone()) else { return };
        let is_lost = Arc::new(AtomicBool::new(false));
        let (mut items, mut senders, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for call in waiting {
            self.counts.waits.add(call.came.elapsed());
            items.push(call.item);
            senders.push(Some(call.sender));
            places.push(call.place);
        }
        let lost = Arc::clone(&is_lost);
        let told = move |item: usize, outcome: Outcome| {
            if matches!(outcome, Outcome::Lost(_)) {
                lost.store(true, Ordering::Relaxed);
            }
            if let Some(sender) = senders.get_mut(item).and_then(Option::take) {
                // One that does not wait any more has nothing to be told.
                let _ = sender.send(Ok(outcome));
            }
        };
        let submitted = match books.kernels.get_mut(&purpose) {
            Some(Ready { callee: Some(callee), cost, charged, .. }) => {
                let estimate = cost.as_secs_f64() * items.len() as f64;
                *charged += estimate;
                self.shared.fair().charge(tenant, estimate);
                callee.submit(&items, Box::new(told))
            }
            _ => Err("it is not ready any more".to_owned()),
        };
        let size = u32::try_from(items.len()).unwrap_or(u32::MAX);
        self.shared.accounts.called(tenant, purpose.kernel, size);
        if size > 1 {
            self.counts.run_together(size);
        }
        let running = submitted.inspect_err(|why| {
            // Those who wait hear that it was lost.
            is_lost.store(true, Ordering::Relaxed);
            tracing::warn!(why, "a call cannot be run");
        });
        let group = Arc::new(Group {
            calls: Weak::clone(&self.me),
            purpose,
            size,
            began: Instant::now(),
            is_lost,
            running: Mutex::new(running.ok()),
        });
        for place in places {
            *lock(&place) = Some(Arc::clone(&group));
        }
        // Those who wait hold it now: none of them can go as long as the books are locked.
    }

    /// Measures what was used since this was last done; to be called some times a second.
    pub fn measure_all(&self) {
        let mut books = lock(&self.books);
        for (purpose, ready) in &mut books.kernels {
            self.measure(purpose, ready);
        }
        // Somebody who was held may go on.
        self.dispatch(&mut books);
    }

    fn measure(&self, purpose: &Purpose, ready: &mut Ready) {
        let Some(callee) = &ready.callee else { return };
        let now = callee.cpu_time().max(ready.seen);
        let more = now - ready.seen;
        let correction = more.as_secs_f64() - std::mem::take(&mut ready.charged);
        ready.seen = now;
        if !more.is_zero() {
            self.shared.accounts.used(purpose.tenant, purpose.kernel, more);
            self.shared.counts.called(more);
        }
        if correction != 0.0 {
            self.shared.fair().charge(purpose.tenant, correction);
        }
    }

    /// Has written down what was used; to be called about once a second.
    pub fn write_down(&self) {
        self.shared.accounts.write(self.shared.store());
    }

    /// Whether anything is under way, or was used that is not written down.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        lock(&self.books).present.is_empty()
    }

    /// Takes no more calls.
    pub fn drain(&self) {
        lock(&self.books).is_stopping = true;
    }

    /// Gives up what waits and runs, ends all workers, and writes down what they have used.
    pub fn stop(&self) {
        let mut books = lock(&self.books);
        books.is_stopping = true;
        let all: Vec<Purpose> = books.kernels.keys().cloned().collect();
        let unused: Vec<Ready> = all.iter().filter_map(|purpose| self.take_out(&mut books, purpose)).collect();
        for purpose in all {
            drop(books.lines.remove(purpose.tenant, |_| true));
        }
        drop(books);
        drop(unused);
        self.write_down();
    }

    /// How long calls took that have a result.
    #[must_use]
    pub fn times(&self) -> &Times {
        &self.counts.times
    }

    /// How long calls waited for a worker.
    #[must_use]
    pub fn waits(&self) -> &Times {
        &self.counts.waits
    }

    /// What was done so far, and what is under way.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        let books = lock(&self.books);
        Numbers {
            waiting: books.lines.waiting(),
            busy: books.lines.taken(),
            ready: books.kernels.len(),
            ..self.counts.numbers()
        }
    }

    /// Calls that were run together are over.
    fn ended(&self, group: &Group) {
        let mut books = lock(&self.books);
        books.lines.free(group.purpose.tenant);
        if group.is_lost.load(Ordering::Relaxed) && !books.is_stopping {
            // Of calls that were lost together, the first has it made ready again.
            let had_workers = books.kernels.get(&group.purpose).is_some_and(|ready| ready.callee.is_some());
            let unused = had_workers.then(|| self.take_out(&mut books, &group.purpose)).flatten();
            // Now for those who wait, else for the next call.
            let again = books.lines.has(group.purpose.tenant, |call| call.purpose == group.purpose);
            if let Some(Ready { calls, last_use, .. }) = unused.as_ref().filter(|_| again) {
                let new = Ready { calls: *calls, last_use: *last_use, ..Ready::new() };
                books.kernels.insert(group.purpose.clone(), new);
            }
            self.dispatch(&mut books);
            drop(books);
            if let (Some(unused), Some(me), Some(runtime)) = (unused, self.me.upgrade(), self.runtime.get()) {
                let purpose = group.purpose.clone();
                // Its workers are waited for, which is not for whoever ends a call.
                runtime.spawn_blocking(move || {
                    drop(unused);
                    if again {
                        me.make_ready(&purpose);
                    }
                });
            }
            return;
        }
        if let Some(ready) = books.kernels.get_mut(&group.purpose) {
            let took = group.began.elapsed() / group.size.max(1);
            // Half old, half new: what the average misses is measured.
            ready.cost = (ready.cost + took) / 2;
        }
        self.dispatch(&mut books);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What nobody waits for any more is given up before anything else gets its place.
        drop(lock(&self.running).take());
        if let Some(calls) = self.calls.upgrade() {
            calls.ended(self);
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut books = lock(&self.calls.books);
        let tenant = self.purpose.tenant;
        // When it is still in line.
        let gone = books.lines.remove(tenant, |call| call.number == self.number);
        if let Some(present) = books.present.get_mut(&tenant) {
            *present -= 1;
            if *present == 0 {
                books.present.remove(&tenant);
            }
        }
        if let Some(ready) = books.kernels.get_mut(&self.purpose) {
            ready.calls = ready.calls.saturating_sub(1);
        }
        self.calls.shared.fair().call_went(tenant);
        let group = lock(&self.place).take();
        drop(books);
        drop(group);
        drop(gone);
    }
}
