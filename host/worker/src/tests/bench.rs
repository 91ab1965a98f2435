//! What the tests share: an executor with a kernel in this process, its descriptors, and batches for it.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use taskhost_engine::{LoadOptions, LoadedKernel, compile};
use taskhost_os::memfd;
use taskhost_os::progress::{ProgressCell, ProgressWriter};
use taskhost_os::socket::{Descriptors, Socket};
use taskhost_protocol::frame;
use taskhost_protocol::given::Given;
use taskhost_protocol::ids::{BatchId, Generation, JobId, SlotId, SourceId};
use taskhost_protocol::kernel::{CompileOptions, ResultLength};
use taskhost_protocol::limits::{MESSAGE_BYTES, WorkerLimits};
use taskhost_protocol::message::{Fresh, FromWorker, LogLine, Open, Source, StartExecute};
use taskhost_protocol::progress::Progress;
use taskhost_protocol::work::{Assignment, Budget, Care, Done, Merge, Piece, Place, Split, Work};

use crate::begin::begin;
use crate::execute::Executor;
use crate::startup::{Channel, Fatal};

/// A module with `body` as its `taskhost_process`: `$at` and `$len` are the item, whose first byte is in `$first`. The
/// result of `$place` is the item itself.
pub(crate) fn raw(imports: &str, body: &str) -> String {
    raw_with(imports, body, "")
}

/// The same with other functions.
pub(crate) fn raw_with(imports: &str, body: &str, more: &str) -> String {
    format!(
        r#"(module {imports}
            (memory (export "memory") 40)
            (global $items (mut i32) (i32.const 0))
            (func (export "taskhost_alloc") (param $len i32) (result i32) (i32.const 65536))
            (func $place (param $at i32) (param $len i32) (result i64)
                (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32))
                    (i64.extend_i32_u (local.get $len))))
            (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
                (local $first i32)
                (if (local.get $len) (then (local.set $first (i32.load8_u (local.get $at)))))
                (global.set $items (i32.add (global.get $items) (i32.const 1)))
                {body}
                (call $place (local.get $at) (local.get $len)))
            {more})"#
    )
}

/// Fails in the manner that the first letter of an item names: `b`ad, `t`rap, `a`gain; gives all others back.
pub(crate) const FAILS: &str = "
    (if (i32.eq (local.get $first) (i32.const 98)) (then (return (i64.const -2))))
    (if (i32.eq (local.get $first) (i32.const 116)) (then unreachable))
    (if (i32.eq (local.get $first) (i32.const 97)) (then (return (i64.const -3))))";

/// An executor, and the coordinator's ends of what it holds.
pub(crate) struct Bench {
    executor: Executor<'static>,
    socket: Socket,
    cell: ProgressCell,
    arena: File,
    batches: u64,
}

/// Kernel, freshness and settings of a bench.
pub(crate) fn bench(kernel: &[u8], fresh: Fresh, settings: &[(&str, &str)]) -> Bench {
    let compiled = compile(kernel, CompileOptions::default()).expect("the kernel compiles");
    let code = memfd::sealed_copy(c"code", &compiled.code).expect("memory");
    let code_path = PathBuf::from(format!("/proc/self/fd/{}", code.as_raw_fd()));
    let start = StartExecute {
        kind: compiled.info.kind,
        exports: compiled.info.exports,
        invoke: None,
        limits: WorkerLimits::default(),
        settings: settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        describe_only: false,
        clock: 0,
        seed: [0; 16],
        fresh,
        grants: Vec::new(),
        needs: compiled.info.needs,
        given: Given::default(),
    };
    let options = LoadOptions {
        kind: start.kind,
        exports: start.exports,
        invoke: None,
        limits: start.limits,
        needs: start.needs,
        sampled: false,
        folders: &[],
        code_path: &code_path,
    };
    let loaded = LoadedKernel::load(options).expect("the kernel loads");
    let (kernel, _) = begin(loaded, &start, std::sync::Arc::default()).expect("the kernel starts");
    let (ours, its) = Socket::pair().expect("descriptors");
    let cell = ProgressCell::create().expect("memory");
    let progress = ProgressWriter::from_fd(cell.as_fd()).expect("a cell");
    let arena = File::from(memfd::create(c"arena").expect("memory"));
    // A worker's socket lives as long as its process.
    let channel = Box::leak(Box::new(Channel::new(Box::leak(Box::new(its)))));
    let mut executor = Executor::new(channel, kernel, progress, arena.try_clone().expect("descriptors"));
    // As after many cheap items, so that items are packed.
    executor.item_nanos = 1.0;
    Bench { executor, socket: ours, cell, arena, batches: 0 }
}

impl Bench {
    /// Puts bytes where slot 0 is, as input 3.
    pub(crate) fn input(&mut self, bytes: &[u8]) {
        self.input_at(0, bytes);
    }

    pub(crate) fn input_at(&mut self, slot: u8, bytes: &[u8]) {
        let file: OwnedFd = memfd::sealed_copy(c"input", bytes).expect("memory");
        let source = Source { id: SourceId(3 + u32::from(slot)), job: JobId(1), name: "input".into(), header: None };
        self.executor.files.open(SlotId(slot), Open::Input(source), vec![file]).expect("there is such a slot");
    }

    /// Runs a batch; its results go to the arena, or where slot 9 is, to both at byte 5.
    pub(crate) fn run(&mut self, mut assignment: Assignment) -> (Done, Vec<u8>) {
        assignment.batch = BatchId(self.batches);
        self.batches += 1;
        if let Place::File { slot, .. } = assignment.place {
            let file = self.arena.try_clone().expect("descriptors");
            self.executor.files.open(slot, Open::Output, vec![file.into()]).expect("there is such a slot");
        }
        let done = self.executor.run(&assignment).expect("the worker lives on");
        assert!(done.failures.iter().is_sorted_by_key(|failure| failure.ordinal), "{done:?}");
        assert!(done.failures.iter().all(|failure| failure.at <= done.output), "{done:?}");
        let mut output = vec![0; done.output as usize];
        self.arena.read_exact_at(&mut output, 5).expect("it was written");
        (done, output)
    }

    /// Instances made from now on have no settings.
    pub(crate) fn forget_settings(&mut self) {
        self.executor.kernel.forget_settings();
    }

    /// What the progress cell says.
    pub(crate) fn progress(&self) -> u64 {
        self.cell.load()
    }

    /// The log lines that were sent.
    pub(crate) fn logs(&self) -> Vec<LogLine> {
        let mut buffer = vec![0; MESSAGE_BYTES];
        let mut lines = Vec::new();
        while let Some(received) = self.socket.try_recv(&mut buffer, Descriptors::Refuse).expect("open") {
            match frame::decode(&buffer[..received.len]).expect("a message") {
                FromWorker::Log(line) => lines.push(line),
                other => panic!("{other:?}"),
            }
        }
        lines
    }

    /// Runs a batch until the kernel logs something, which ends the worker since nobody listens. Returns what the
    /// progress cell says of it then.
    pub(crate) fn run_to_log(self, assignment: &Assignment) -> Progress {
        let Self { mut executor, socket, cell, .. } = self;
        drop(socket);
        assert!(matches!(executor.run(assignment), Err(Fatal::Closed)));
        Progress::decode(cell.load(), assignment.batch).expect("it is at this batch")
    }

    /// The other end of its socket, to be read while it runs.
    pub(crate) fn into_parts(self) -> (Executor<'static>, Socket) {
        (self.executor, self.socket)
    }
}

/// A batch of `bytes` bytes of input 3, all of it, to the arena, that stops at the first failed item.
pub(crate) fn batch(split: Split, merge: Merge, bytes: u64) -> Assignment {
    assignment(split, merge, Work::Items(vec![piece(0, 0, bytes, bytes)]))
}

pub(crate) fn assignment(split: Split, merge: Merge, work: Work) -> Assignment {
    Assignment {
        job: JobId(1),
        batch: BatchId(0),
        generation: Generation(0),
        split,
        merge,
        work,
        place: Place::Arena(5),
        length: ResultLength::Unknown,
        budget: Budget { micros: u64::MAX, output: u64::MAX, items: u64::MAX, failures: 6 },
        care: Care::default(),
    }
}

/// What begins in `start..end` of a file of `size` bytes in that slot.
pub(crate) fn piece(slot: u8, start: u64, end: u64, size: u64) -> Piece {
    let source = SourceId(3 + u32::from(slot));
    Piece { source, slot: SlotId(slot), start, end, from: 0, to: size, at: 0, base: 0 }
}

/// Going on behind failed items.
pub(crate) fn skipping() -> Care {
    Care { skip_failed: true, ..Care::default() }
}

/// Results straight to their place.
pub(crate) fn to_file() -> Place {
    Place::File { slot: SlotId(9), offset: 5 }
}

/// Where each failed item is: offset, length, ordinal, place of its result, attempts.
pub(crate) fn failed(done: &Done) -> Vec<(u64, u64, u64, u64, u32)> {
    let failures = done.failures.iter();
    failures.map(|item| (item.place.offset, item.len, item.ordinal, item.at, item.attempts)).collect()
}
