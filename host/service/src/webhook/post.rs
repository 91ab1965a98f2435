//! Sends messages that are due: a thread that looks, and one for each message that is under way.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Courier, Letter, signature};
use crate::store::warnings;
use crate::store::webhooks::{self, Attempted, Due};
use crate::store::{self, Store};
use crate::tenant::TenantId;
use crate::time::Moment;

/// Messages that are under way at a time, of all tenants and of one: a place that does not answer holds up others as little as
/// possible.
const MOST: usize = 16;
const MOST_OF_TENANT: usize = 2;

/// How often it is looked at least.
const LOOK: Duration = Duration::from_secs(60);

/// How long nothing is done after the store has failed.
const REST: Duration = Duration::from_secs(5);

/// How often it is looked which quotas are nearly used up.
const WARN: Duration = Duration::from_secs(10);

/// How often messages are forgotten that are over.
const FORGET: Duration = Duration::from_secs(3600);

/// What the thread is told.
enum Order {
    /// There may be something to send.
    Look,
    /// A message was tried.
    Tried(Due),
    Stop,
}

/// What was counted of attempts.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// Messages that got through.
    pub delivered: AtomicU64,
    /// Attempts that did not.
    pub failed: AtomicU64,
}

/// Sends what is due, as long as it lives.
pub struct Post {
    orders: Mutex<Sender<Order>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    outcomes: Arc<Outcomes>,
}

impl Post {
    /// Sends from now on what the store has.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(store: Store, courier: Arc<dyn Courier>) -> io::Result<Self> {
        let (orders, incoming) = mpsc::channel();
        let outcomes = Arc::<Outcomes>::default();
        let mut office = Office {
            store,
            courier,
            orders: orders.clone(),
            outcomes: Arc::clone(&outcomes),
            under_way: HashMap::new(),
        };
        let thread = std::thread::Builder::new().name("webhooks".into()).spawn(move || office.run(&incoming))?;
        Ok(Self { orders: Mutex::new(orders), thread: Mutex::new(Some(thread)), outcomes })
    }

    fn tell(&self, order: Order) {
        // One that has ended needs to know nothing.
        let _ = self.orders.lock().unwrap_or_else(PoisonError::into_inner).send(order);
    }

    /// There may be something to send.
    pub fn look(&self) {
        self.tell(Order::Look);
    }

    /// What was counted.
    #[must_use]
    pub fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    /// Begins nothing any more. What is under way is not waited for: the next server sends it again.
    pub fn stop(&self) {
        self.tell(Order::Stop);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

struct Office {
    store: Store,
    courier: Arc<dyn Courier>,
    orders: Sender<Order>,
    outcomes: Arc<Outcomes>,
    /// Webhooks of which a message is under way.
    under_way: HashMap<String, TenantId>,
}

impl Office {
    fn run(&mut self, incoming: &Receiver<Order>) {
        let (mut forget_at, mut warn_at) = (Instant::now(), Instant::now());
        loop {
            if Instant::now() >= warn_at {
                warn_at = Instant::now() + WARN;
                if let Err(error) = self.warn() {
                    tracing::warn!(error = error.to_string(), "nobody can be warned of quotas");
                }
            }
            let wait = match self.send_what_is_due() {
                Ok(next) => next.map_or(LOOK, |next| next.since(Moment::now()).min(LOOK)),
                Err(error) => {
                    tracing::warn!(error = error.to_string(), "webhooks cannot be told anything");
                    REST
                }
            };
            if Instant::now() >= forget_at {
                forget_at = Instant::now() + FORGET;
                // When it cannot be written now, it can be later.
                self.store.write_then(|rows| webhooks::forget(rows, Moment::now()), drop);
            }
            let wait = wait.min(warn_at.saturating_duration_since(Instant::now()));
            let mut order = match incoming.recv_timeout(wait) {
                Ok(order) => order,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            loop {
                match order {
                    Order::Look => {}
                    Order::Tried(due) => drop(self.under_way.remove(&due.webhook)),
                    Order::Stop => return,
                }
                match incoming.try_recv() {
                    Ok(next) => order = next,
                    Err(_) => break,
                }
            }
        }
    }

    /// Has webhooks told of quotas that are nearly used up.
    fn warn(&self) -> store::Result<()> {
        let now = Moment::now();
        let due = self.store.read(|rows| warnings::due(rows, now))?;
        if due.is_empty() { Ok(()) } else { self.store.write(move |rows| warnings::announce(rows, now, &due)) }
    }

    /// Begins to send what is due and has a place. Returns when there is more.
    fn send_what_is_due(&mut self) -> store::Result<Option<Moment>> {
        let most = u32::try_from(4 * MOST).unwrap_or(u32::MAX);
        let (due, next) = self.store.read(|rows| webhooks::due(rows, Moment::now(), most))?;
        for message in due {
            let of_tenant = self.under_way.values().filter(|tenant| **tenant == message.tenant).count();
            let has_place = self.under_way.len() < MOST && of_tenant < MOST_OF_TENANT;
            if has_place && !self.under_way.contains_key(&message.webhook) {
                self.begin(message);
            }
        }
        Ok(next)
    }

    fn begin(&mut self, message: Due) {
        let (store, courier) = (self.store.clone(), Arc::clone(&self.courier));
        let (orders, outcomes) = (self.orders.clone(), Arc::clone(&self.outcomes));
        self.under_way.insert(message.webhook.clone(), message.tenant);
        let again = message.clone();
        let send = move || {
            let attempted = attempt(&*courier, &message);
            let counted = match attempted {
                Attempted::Delivered(_) => &outcomes.delivered,
                Attempted::Failed(..) => &outcomes.failed,
            };
            counted.fetch_add(1, Ordering::Relaxed);
            let written = message.clone();
            if store.write(move |rows| webhooks::tried(rows, &written, &attempted)).is_err() {
                // It will be sent once more, but not at once: there may be no room for a while.
                std::thread::park_timeout(REST);
            }
            // A server that stops has nobody who listens.
            let _ = orders.send(Order::Tried(message));
        };
        if let Err(error) = std::thread::Builder::new().name("webhook".into()).spawn(send) {
            tracing::warn!(error = error.to_string(), "no thread can be started for a webhook");
            self.under_way.remove(&again.webhook);
        }
    }
}

/// Sends a message once.
fn attempt(courier: &dyn Courier, message: &Due) -> Attempted {
    let seconds = Moment::now().0 / 1000;
    let Some(signature) = signature(&message.secret, &message.id, seconds, &message.body) else {
        return Attempted::Failed(None, "its secret cannot be read".into());
    };
    let letter = Letter {
        url: message.url.clone(),
        head: vec![
            ("content-type", "application/json".into()),
            ("webhook-id", message.id.clone()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", signature),
        ],
        body: message.body.clone(),
    };
    match courier.deliver(&letter) {
        Ok(status) if (200..300).contains(&status) => Attempted::Delivered(status),
        Ok(status) => Attempted::Failed(Some(status), format!("it was answered with {status}")),
        Err(why) => Attempted::Failed(None, why.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Undelivered;
    use super::*;
    use crate::store::access;
    use crate::tenant::Quotas;

    /// Answers as it is told to, and passes on what it was given.
    struct StandIn {
        answers: Mutex<Receiver<Result<u16, Undelivered>>>,
        letters: Mutex<Sender<Letter>>,
    }

    impl Courier for StandIn {
        fn deliver(&self, letter: &Letter) -> Result<u16, Undelivered> {
            self.letters.lock().expect("whole").send(letter.clone()).expect("somebody reads");
            self.answers.lock().expect("whole").recv().expect("somebody answers")
        }
    }

    #[test]
    fn a_message_is_signed_sent_and_sent_again_when_it_was_not_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("store.db")).expect("a store");
        let secret = super::super::new_secret();
        let add = {
            let secret = secret.clone();
            move |rows: &rusqlite::Connection| {
                let tenant = access::add(rows, "anna", 1, &Quotas::default())?.expect("a new one").id;
                let webhook = webhooks::add(rows, tenant, "https://example.org/", &secret)?.expect("room").id;
                Ok((tenant, webhook.clone(), webhooks::ping(rows, tenant, &webhook)?.expect("it is there").id))
            }
        };
        let (tenant, webhook, message) = store.write(add).expect("written");
        let ((answer, answers), (letters, received)) = (mpsc::channel(), mpsc::channel());
        let courier = StandIn { answers: Mutex::new(answers), letters: Mutex::new(letters) };
        let post = Post::start(store.clone(), Arc::new(courier)).expect("a thread");
        let first = received.recv().expect("it is sent");
        answer.send(Err(Undelivered::Late)).expect("it waits");
        let second = received.recv().expect("it is sent again");
        answer.send(Ok(204)).expect("it waits");
        let field = |letter: &Letter, name: &str| {
            letter.head.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone()).expect("a field")
        };
        for letter in [&first, &second] {
            assert_eq!(field(letter, "webhook-id"), message);
            let seconds = field(letter, "webhook-timestamp").parse().expect("seconds");
            assert_eq!(Some(field(letter, "webhook-signature")), signature(&secret, &message, seconds, &letter.body));
        }
        // What came of it is written before anything else is sent.
        let read = |store: &Store| store.read(|rows| webhooks::deliveries(rows, tenant, &webhook, 1));
        let found = loop {
            let found = read(&store).expect("read").expect("it is there").remove(0);
            if found.next.is_none() {
                break found;
            }
            std::thread::yield_now();
        };
        assert_eq!((found.attempts, found.status, found.error), (2, Some(204), None));
        post.stop();
        let counted = |count: &AtomicU64| count.load(Ordering::Relaxed);
        assert_eq!((counted(&post.outcomes().delivered), counted(&post.outcomes().failed)), (1, 1));
    }
}
