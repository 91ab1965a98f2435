//! What a worker sends stays bounded, whatever the kernel does.

use std::thread;

use taskhost_os::socket::Descriptors;
use taskhost_protocol::fault::{Fault, ItemPlace};
use taskhost_protocol::frame;
use taskhost_protocol::ids::SourceId;
use taskhost_protocol::limits::{BACKTRACE_FRAMES, COUNTERS, MESSAGE_BYTES, NAME_BYTES, PIECES_PER_BATCH, TEXT_BYTES};
use taskhost_protocol::message::{Fresh, FromWorker};
use taskhost_protocol::work::{Done, Merge, Partial, Spent, Split};

use super::bench::{batch, bench, raw, skipping};
use crate::tally::{Failed, Tally};

#[test]
fn the_largest_reply_fits_in_a_message() {
    let mut assignment = batch(Split::Lines, Merge::Lines, 0);
    assignment.care = skipping();
    let mut tally = Tally::new(&assignment);
    let frame_name = "f".repeat(1000);
    while !tally.stopped {
        tally.items += 1;
        tally.fail(Failed {
            place: ItemPlace { source: SourceId(u32::MAX), offset: u64::MAX },
            len: u64::MAX,
            at: u64::MAX,
            attempts: u32::MAX,
            fault: Fault::Trap {
                reason: "x".repeat(2 * TEXT_BYTES),
                backtrace: vec![frame_name.clone(); 2 * BACKTRACE_FRAMES],
            },
        });
    }
    assert!(tally.failures.len() > 1, "{}", tally.failures.len());
    // As many nodes at both ends of each piece as a piece of a gigabyte of lines may have.
    let partial = Partial { level: 8, index: 1 << 42, len: 1 << 20 };
    let done = Done {
        job: assignment.job,
        batch: assignment.batch,
        generation: assignment.generation,
        items: u64::MAX,
        input: u64::MAX,
        output: u64::MAX,
        rest: None,
        partials: vec![partial; PIECES_PER_BATCH * 2 * 15 * 7],
        failures: tally.failures,
        joining: None,
        counters: (0..COUNTERS).map(|number| (format!("{number:0NAME_BYTES$}"), u64::MAX)).collect(),
        plan: None,
        spent: Spent::default(),
        memory: u64::MAX,
    };
    let bytes = frame::encode(&FromWorker::Done(done)).expect("it fits").len();
    assert!(bytes <= MESSAGE_BYTES, "{bytes}");
}

#[test]
fn small_failures_do_not_end_a_batch_before_its_budget_does() {
    let kernel = raw("", "(unreachable)");
    let mut bench = bench(kernel.as_bytes(), Fresh::Worker, &[]);
    bench.input(&b"x\n".repeat(10));
    let mut batch = batch(Split::Lines, Merge::Lines, 20);
    batch.care = skipping();
    assert_eq!(bench.run(batch).0.failures.len(), 6);
}

#[test]
fn a_flood_of_log_lines_ends_in_a_sentence() {
    let imports = r#"(import "taskhost" "log" (func $log (param i32 i32 i32)))"#;
    let body = "
        (local.set $first (i32.const 600))
        (loop $again
            (call $log (i32.const 1) (i32.const 16) (i32.const 4))
            (br_if $again (local.tee $first (i32.sub (local.get $first) (i32.const 1)))))";
    let mut bench = bench(raw(imports, body).as_bytes(), Fresh::Worker, &[]);
    bench.input(&b"x\n".repeat(200));
    let (mut executor, socket) = bench.into_parts();
    let reader = thread::spawn(move || {
        let mut buffer = vec![0; MESSAGE_BYTES];
        let mut texts = Vec::new();
        loop {
            let received = socket.recv(&mut buffer, Descriptors::Refuse).expect("open");
            match frame::decode(&buffer[..received.len]).expect("a message") {
                FromWorker::Log(line) => texts.push(line.text),
                _ => return texts,
            }
        }
    });
    executor.run(&batch(Split::Lines, Merge::Lines, 400)).expect("the worker lives on");
    executor.channel.send(&FromWorker::Dying("that was all".into())).expect("open");
    let texts = reader.join().expect("it reads");
    // More than at once if the test takes seconds, but not all of them, which are 120,000.
    assert!((8193..100_000).contains(&texts.len()), "{}", texts.len());
    let last = texts.last().expect("there are some");
    assert!(last.contains(" more log lines were dropped: a worker may write 1024 lines"), "{last}");
}
