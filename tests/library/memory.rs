//! What a pool costs in memory, and what it says of its workers.

use taskhost::Pool;
use taskhost_os::process_id::ProcessId;
use taskhost_os::usage::shares;

use crate::Scenario;
use crate::kernels::{pool, primes};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("a_large_broadcast_is_there_once", a_large_broadcast_is_there_once),
    ("workers_are_told_of", workers_are_told_of),
];

/// Gives the last eight bytes of the data `large`, and four from the offset that the item says.
const READER: &str = r#"(module
    (import "taskhost" "broadcast_read" (func $read (param i32 i32 i64 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "large")
    (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
        (i64.or
            (i64.shl (i64.const 2048) (i64.const 32))
            (i64.extend_i32_u (call $read
                (i32.const 0) (i32.const 5) (i64.load (local.get $at)) (i32.const 2048) (i32.const 4))))))"#;

const GIB: u64 = 1 << 30;

/// What the parent and all workers have of the memory, each page by the part that is theirs.
fn proportional(pool: &Pool) -> u64 {
    let workers = pool.stats().workers;
    let workers = workers.iter().filter_map(|worker| ProcessId::new(worker.process));
    let all = workers.chain([ProcessId::current()]);
    all.map(|process| shares(process).expect("it is there").proportional).sum()
}

fn a_large_broadcast_is_there_once() {
    let file = tempfile::NamedTempFile::new().expect("a temporary folder");
    // Nothing but its ends takes any room on the disk.
    file.as_file().set_len(GIB).expect("room for nothing");
    std::os::unix::fs::FileExt::write_all_at(file.as_file(), b"last", GIB - 4).expect("room for little");
    let read = |builder: taskhost::Builder| {
        let pool = builder.workers(8).pin(false).build().expect("this program is its own worker");
        let reader = pool.kernel(READER.as_bytes()).expect("it is one");
        // All over it, until each worker has read some.
        let mut found = Vec::new();
        for round in 0..100 {
            let places = (0..64_u64).map(|slice| if slice == 63 { GIB - 4 } else { slice * (GIB / 64) + round });
            found.extend(reader.map_bytes(places.map(u64::to_le_bytes)).batch(1).map(|bytes| bytes.ok()));
            if pool.stats().workers.iter().filter(|worker| worker.items > 0).count() == 8 {
                break;
            }
        }
        let workers = pool.stats().workers.len();
        (found, workers, proportional(&pool))
    };
    let (none, workers, before) = read(taskhost::Pool::builder().broadcast("large", *b"little"));
    assert_eq!((none[0].as_deref(), workers), (Some(b"litt".as_slice()), 8));
    let (found, workers, after) = read(taskhost::Pool::builder().broadcast_file("large", file.path()));
    assert_eq!((found[0].as_deref(), found[63].as_deref()), (Some([0; 4].as_slice()), Some(b"last".as_slice())));
    assert_eq!(workers, 8);
    // The data itself, once, is in no process: it is a file in memory.
    let growth = after.saturating_sub(before) + GIB;
    assert!(growth <= GIB + GIB / 10, "{growth} bytes more");
}

fn workers_are_told_of() {
    let pool = pool();
    let kernel = primes(&pool);
    let counts: Vec<_> = kernel.map::<_, u64>((0..500_u64).map(|number| (number, number + 2000))).collect();
    let stats = pool.stats();
    assert_eq!((counts.len(), stats.items, stats.failed), (500, 500, 0));
    assert_eq!(stats.workers.iter().map(|worker| worker.items).sum::<u64>(), 500);
    for worker in &stats.workers {
        assert!(worker.kernel.ends_with("primes.wasm") && worker.function.is_none());
        assert!(worker.private > 0 && !worker.cpu.is_zero() && !worker.is_busy, "{worker:?}");
    }
}
