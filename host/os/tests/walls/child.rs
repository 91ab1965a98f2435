//! A worker to be: locks itself in as it is told, then does what it is told.

use std::ffi::CString;
use std::os::fd::AsFd as _;
use std::sync::OnceLock;
use std::time::Instant;

use taskhost_os::child::Child;
use taskhost_os::last_words::LastWords;
use taskhost_os::rlimits::Rlimits;
use taskhost_os::sandbox::{Grants, Insistence, Layer, Layers, Policy, Role, SandboxError, lock};
use taskhost_os::socket::{Descriptors, Socket};
use taskhost_os::spawn::{Namespaces, Program, Spawn};
use taskhost_os::{allocator, stack_overflow};

use crate::misdeeds;
use crate::raw::end;
use crate::work::work;

/// What a child answers by its exit code: the kernel refused what it tried, or it came through.
pub(crate) const REFUSED: i32 = 20;
pub(crate) const CAME_THROUGH: i32 = 21;

/// Exit codes of a child whose end was foreseen.
pub(crate) const NO_MEMORY: i32 = 71;
pub(crate) const STACK_OVERFLOW: i32 = 72;

/// Slots of these workers.
pub(crate) const SLOTS: u64 = 16;

/// What a child is to be.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) role: Role,
    /// The layers that are left out.
    pub(crate) without: Vec<Layer>,
    /// What it does once it is locked in.
    pub(crate) deed: String,
}

impl Plan {
    pub(crate) fn new(role: Role, deed: &str) -> Self {
        Self { role, without: Vec::new(), deed: deed.to_owned() }
    }

    pub(crate) fn without(mut self, layer: Layer) -> Self {
        self.without.push(layer);
        self
    }

    pub(crate) fn parse(argument: &str) -> Option<Self> {
        let mut fields = argument.strip_prefix("plan=")?.split(';');
        let role = Role::ALL[fields.next()?.parse::<usize>().ok()?];
        // Each layer by its place.
        let without = fields.next()?.bytes().map(|digit| Layer::ALL[usize::from(digit - b'0')]).collect();
        Some(Self { role, without, deed: fields.next()?.to_owned() })
    }

    pub(crate) fn argument(&self) -> CString {
        let role = Role::ALL.iter().position(|role| *role == self.role).expect("all of them");
        let place = |layer| Layer::ALL.iter().position(|other| other == layer).expect("all of them");
        let without: String = self.without.iter().map(|layer| place(layer).to_string()).collect();
        CString::new(format!("plan={role};{without};{}", self.deed)).expect("no zero byte")
    }

    /// Starts the child.
    pub(crate) fn start(&self, namespaces: Namespaces) -> (Child, Socket) {
        let (own, other) = Socket::pair().expect("descriptors are left");
        let argument = self.argument();
        let program = &Program::ProcSelfExe;
        let spawn = Spawn { args: &[&argument], program, namespaces, core: None, socket: other.as_fd() };
        (spawn.start().expect("a process more, and namespaces"), own)
    }

    pub(crate) fn lock(&self, control: &Socket) -> Result<Layers, SandboxError> {
        let policy = Policy { insistence: Insistence::Auto, without: self.without.clone() };
        let threads = if self.role == Role::Compile { 4 } else { 1 };
        lock(self.role, &policy, &Grants { control: control.as_fd(), slots: SLOTS, file_bytes: Some(1 << 30), threads })
    }
}

pub(crate) fn live(plan: &Plan) -> ! {
    static SOCKET: OnceLock<Socket> = OnceLock::new();
    let socket = SOCKET.get_or_init(|| Socket::inherited().expect("the parent's socket"));
    let words = |text: &str, code| LastWords::new(socket.as_fd(), text.as_bytes().to_vec(), code);
    stack_overflow::report_on(words("no stack", STACK_OVERFLOW)).expect("the first thread");
    if plan.deed != "allocate" {
        allocator::report_failure_on(words("no memory", NO_MEMORY));
    }
    let file = taskhost_os::memfd::create_sized(c"arena", 4096).expect("memory");
    // What no worker has.
    let _more = (plan.deed == "wait").then(Socket::pair);
    let threads: usize = if plan.role == Role::Compile { 3 } else { 0 };
    Rlimits { more_data: 256 << 20, cpu: None }.set().expect("limits are lowered");
    let began = Instant::now();
    let layers = match plan.lock(socket) {
        Ok(layers) => layers,
        Err(error) => {
            let _ = socket.send(format!("error: {error}").as_bytes(), &[]);
            end(1)
        }
    };
    let took = began.elapsed().as_micros();
    let missing: Vec<String> = layers.missing().iter().map(ToString::to_string).collect();
    match plan.deed.as_str() {
        "wait" => {
            let _ = socket.send(format!("{took} {}", missing.join(", ")).as_bytes(), &[]);
            let _ = socket.recv(&mut [0; 8], Descriptors::Refuse);
        }
        "work" => {
            work(socket, &file);
            let _ = socket.send(b"worked", &[]);
        }
        "allocate" => {
            let _ = socket.send(allocate().to_string().as_bytes(), &[]);
        }
        "threads" => {
            let sum: usize = (0..threads)
                .map(|number| std::thread::spawn(move || vec![number; 1 << 20].into_iter().sum::<usize>()))
                .map(|thread| thread.join().expect("it computes"))
                .sum();
            let _ = std::thread::available_parallelism();
            let _ = socket.send(sum.to_string().as_bytes(), &[]);
        }
        deed => misdeeds::commit(deed),
    }
    end(0)
}

/// Takes and gives back memory in all sizes beyond the limit, as a decoder does that copes with getting none.
fn allocate() -> usize {
    let mut refused = 0;
    for size in [100, 5_000, 200_000, 3 << 20, 100 << 20] {
        let mut all = Vec::with_capacity(100_000);
        for _ in 0..all.capacity().min((400 << 20) / size) {
            let mut piece = Vec::<u8>::new();
            match piece.try_reserve_exact(size) {
                Ok(()) => all.push(std::hint::black_box(piece)),
                Err(_) => refused += 1,
            }
        }
    }
    refused
}
