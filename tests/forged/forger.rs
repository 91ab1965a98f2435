//! The worker that lies: honest until its walls stand, since nothing runs before they were seen.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use taskhost_os::progress::ProgressWriter;
use taskhost_os::sandbox::{self, Grants, Policy, Role};
use taskhost_os::socket::{Descriptors, Socket};
use taskhost_protocol::fault::{Fault, ItemFailure, ItemPlace};
use taskhost_protocol::ids::{BatchId, Generation, JobId, SourceId};
use taskhost_protocol::limits::{MESSAGE_BYTES, SLOTS};
use taskhost_protocol::message::{FromWorker, Level, LogLine, Start, StartExecute, ToWorker};
use taskhost_protocol::picture::{Format, Sample};
use taskhost_protocol::progress::Progress;
use taskhost_protocol::work::{Assignment, Done, Partial, Rest, Spent, Work};
use taskhost_protocol::{PROTOCOL_VERSION, frame};

/// What this executable is called when it is to lie.
pub(crate) const NAME: &str = "forger";

/// Bytes of an item.
pub(crate) const ITEM: u64 = 4;

/// Whether this process is a worker that lies.
pub(crate) fn is_asked_for() -> bool {
    let is_named = std::env::current_exe().is_ok_and(|path| path.file_name().is_some_and(|name| name == NAME));
    is_named && std::env::args().nth(1).is_some_and(|argument| argument == "__worker")
}

/// A worker, and what it lies about.
struct Forger {
    socket: Socket,
    buffer: Vec<u8>,
    lie: String,
    progress: ProgressWriter,
}

/// Its life: it ends when the coordinator does, or when it is killed.
pub(crate) fn run() {
    taskhost_os::signals::unblock_all();
    let socket = Socket::inherited().expect("a worker has a socket");
    let mut buffer = vec![0; MESSAGE_BYTES];
    let (ToWorker::Start(Start::Execute(start), _), fds) = receive(&socket, &mut buffer) else {
        panic!("only what runs kernels lies");
    };
    let [_code, cell, _arena] = <[OwnedFd; 3]>::try_from(fds).expect("three descriptors");
    let progress = ProgressWriter::from_fd(cell.as_fd()).expect("a progress cell");
    let lie = lie_of(&start);
    let mut forger = Forger { socket, buffer, lie, progress };
    forger.begin();
    // An order that was taken back meanwhile is another worker's: even a liar leaves it alone, or it would be ended for that.
    for order in 0.. {
        let assignment = forger.next_assignment();
        if forger.progress.begin(order) {
            forger.answer(&assignment);
        }
    }
}

/// What the coordinator's settings say it should lie about.
fn lie_of(start: &StartExecute) -> String {
    start.settings.iter().find(|(name, _)| name == "lie").map(|(_, lie)| lie.clone()).unwrap_or_default()
}

fn receive(socket: &Socket, buffer: &mut [u8]) -> (ToWorker, Vec<OwnedFd>) {
    let Ok(received) = socket.recv(buffer, Descriptors::Accept) else { std::process::exit(0) };
    if received.closed {
        std::process::exit(0);
    }
    (frame::decode(&buffer[..received.len]).expect("the coordinator does not lie"), received.fds)
}

impl Forger {
    fn begin(&mut self) {
        let mut build = taskhost_os::exe::identity().expect("this program has an identity");
        let mut version = PROTOCOL_VERSION;
        match self.lie.as_str() {
            "another build" => build[0] ^= 1,
            "another version" => version += 1,
            "no greeting" => self.say(&FromWorker::Locked(Vec::new())),
            "silence at the start" => loop {
                receive(&self.socket, &mut self.buffer);
            },
            _ => {}
        }
        self.say(&FromWorker::Hello { version, build });
        if self.lie == "no walls" {
            self.say(&FromWorker::Locked(Vec::new()));
            // Until it is looked at: walls that go up meanwhile would be true.
            loop {
                receive(&self.socket, &mut self.buffer);
            }
        } else if self.lie == "ready at once" {
            self.say(&FromWorker::Ready { description: None });
        }
        let grants = Grants { control: self.socket.as_fd(), slots: SLOTS as u64, file_bytes: None, threads: 1 };
        sandbox::lock(Role::Execute, &Policy::default(), &grants).expect("it can lock itself in");
        self.say(&FromWorker::Locked(Vec::new()));
        let (ToWorker::Go, _) = receive(&self.socket, &mut self.buffer) else { panic!("it may go") };
        self.say(&FromWorker::Ready { description: None });
        if self.lie == "always a reply to nothing" {
            self.say(&FromWorker::Done(honest_of(JobId(0), BatchId(0))));
        }
    }

    /// Waits for an order.
    fn next_assignment(&mut self) -> Assignment {
        loop {
            if let (ToWorker::Run(assignment), _) = receive(&self.socket, &mut self.buffer) {
                return assignment;
            }
        }
    }

    /// A message. Nobody may be there to hear it any more.
    fn say(&self, message: &FromWorker) {
        self.send(&frame::encode(message).expect("it is short"), &[]);
    }

    fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        if self.socket.send(bytes, fds).is_err() {
            std::process::exit(0);
        }
    }

    /// Answers a batch: with the truth when it was out before, unless the lie is told always.
    fn answer(&self, assignment: &Assignment) {
        let done = honest(assignment);
        let lie = match self.lie.strip_prefix("always ") {
            Some(lie) => lie,
            None if assignment.generation == Generation(0) && assignment.batch.0 < 2 => self.lie.as_str(),
            None => "",
        };
        if !self.forge(lie, assignment, &done) {
            self.say(&FromWorker::Done(done));
        }
    }

    /// Says something else than the truth about a batch. `false` when nothing was said in place of the reply.
    fn forge(&self, lie: &str, assignment: &Assignment, done: &Done) -> bool {
        let mut forged = done.clone();
        match lie {
            "generation" => forged.generation.0 += 1,
            "batch" => forged.batch.0 += 1,
            "job" => forged.job.0 += 1,
            "more items" => forged.items += 1,
            "fewer items" => forged.items -= 1,
            "endless items" => forged.items = u64::MAX,
            "endless output" => forged.output = u64::MAX,
            "rest" => forged.rest = Some(Rest { piece: 0, start: u64::MAX }),
            "rest of another piece" => forged.rest = Some(Rest { piece: u32::MAX, start: 0 }),
            "left out" => forged.failures = vec![failure(assignment, 0, 0, Fault::LeftOut)],
            "failure outside" => forged.failures = vec![failure(assignment, 0, u64::MAX / 2, trap())],
            "failure of no item" => forged.failures = vec![failure(assignment, u64::MAX, 0, trap())],
            "too many failures" => forged.failures = vec![failure(assignment, 0, 0, trap()); 100],
            "partials" => forged.partials = vec![Partial { level: 255, index: u64::MAX, len: u64::MAX }; 10],
            "counter" => forged.counters = vec![("n".repeat(1000), u64::MAX)],
            _ => return self.misbehave(lie, assignment, done),
        }
        self.say(&FromWorker::Done(forged));
        true
    }

    /// Does something else than to reply, or something more.
    fn misbehave(&self, lie: &str, assignment: &Assignment, done: &Done) -> bool {
        let place = |batch, offset, packed| Progress { batch, piece: 0, offset, packed }.encode();
        match lie {
            "twice" => self.say(&FromWorker::Done(done.clone())),
            "garbage" => self.send(&[0xff; 100], &[]),
            "a long message" => self.send(&vec![1; MESSAGE_BYTES + 1], &[]),
            "descriptors" => {
                let bytes = frame::encode(&FromWorker::Done(done.clone())).expect("it is short");
                self.send(&bytes, &[self.socket.as_fd(), self.socket.as_fd()]);
            }
            "greeting" => self.say(&FromWorker::Hello { version: PROTOCOL_VERSION, build: [0; 32] }),
            "ready again" => self.say(&FromWorker::Ready { description: None }),
            "picture" => self.say(&FromWorker::Decoded(Ok(huge()))),
            "file" => self.say(&FromWorker::Encoded(Ok(u64::MAX))),
            "compiled" => self.say(&FromWorker::Compiled { info_bytes: u64::MAX, code_bytes: u64::MAX }),
            "log" => (0..20_000).for_each(|_| self.log(done.job)),
            "endless log" => loop {
                self.log(done.job);
            },
            "silence" => loop {
                receive(&self.socket, &mut [0; MESSAGE_BYTES]);
            },
            "ends" => std::process::exit(0),
            "progress of another batch" => self.dies_at(place(BatchId(assignment.batch.0 + 1000), 0, false)),
            "progress far away" => self.dies_at(place(assignment.batch, 1 << 39, false)),
            "progress of a packed call" => self.dies_at(place(assignment.batch, 0, true)),
            "progress of nothing" => self.dies_at(u64::MAX),
            _ => {}
        }
        matches!(
            lie,
            "garbage" | "a long message" | "descriptors" | "greeting" | "ready again" | "picture" | "file" | "compiled"
        )
    }

    fn log(&self, job: JobId) {
        self.say(&FromWorker::Log(LogLine { job, place: None, level: Level::Info, text: "x".repeat(4000) }));
    }

    /// Leaves a word about where it was, and ends.
    fn dies_at(&self, cell: u64) {
        self.progress.store(cell);
        std::process::exit(1);
    }
}

/// What an honest worker would say that ran everything.
fn honest(assignment: &Assignment) -> Done {
    let Work::Items(pieces) = &assignment.work else { panic!("there are only items") };
    let bytes: u64 = pieces.iter().map(|piece| piece.end - piece.start).sum();
    let mut done = honest_of(assignment.job, assignment.batch);
    done.generation = assignment.generation;
    done.items = bytes / ITEM;
    done.input = bytes;
    if assignment.care.leave_out_first {
        done.failures.push(failure(assignment, 0, 0, Fault::LeftOut));
    }
    done
}

fn honest_of(job: JobId, batch: BatchId) -> Done {
    Done {
        job,
        batch,
        generation: Generation(0),
        items: 0,
        input: 0,
        output: 0,
        rest: None,
        partials: Vec::new(),
        failures: Vec::new(),
        joining: None,
        counters: Vec::new(),
        plan: None,
        spent: Spent::default(),
        memory: 0,
    }
}

fn failure(assignment: &Assignment, ordinal: u64, behind: u64, fault: Fault) -> ItemFailure {
    let start = match &assignment.work {
        Work::Items(pieces) => pieces.first().map_or(0, |piece| piece.start),
        _ => 0,
    };
    let place = ItemPlace { source: SourceId(0), offset: start + behind };
    ItemFailure { place, ordinal, len: ITEM, at: 0, attempts: 1, fault }
}

fn trap() -> Fault {
    Fault::Trap { reason: "a lie".into(), backtrace: Vec::new() }
}

/// A picture that nobody has memory for.
fn huge() -> Format {
    Format { width: u32::MAX, height: u32::MAX, channels: u32::MAX, sample: Sample::U8 }
}
