//! What a kernel leaves behind in its instance: `--fresh` and `--recycle` say how long it stays.

use serde_json::Value;

use super::{errors, report};
use crate::harness::{Place, Program};

/// Gives the number of items that this instance had before, in four bytes, as it is told by a global, the memory and a
/// table alike; traps when these differ, and at items that begin with `t`.
const COUNTER: &str = r#"(module
  (memory (export "memory") 1 4)
  (table $table 1 1000 funcref)
  (global $before (mut i32) (i32.const 0))
  (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
    (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 116)) (then unreachable))
    (if (i32.ne (i32.load (i32.const 512)) (global.get $before)) (then unreachable))
    (if (i32.ne (table.size $table) (i32.add (global.get $before) (i32.const 1))) (then unreachable))
    (i32.store (i32.const 16) (global.get $before))
    (global.set $before (i32.add (global.get $before) (i32.const 1)))
    (i32.store (i32.const 512) (global.get $before))
    (drop (table.grow $table (ref.null func) (i32.const 1)))
    (i64.const 0x10_0000_0004)))"#;

/// Items of each run.
const ITEMS: usize = 60;

fn run(place: &Place, flags: &str) -> Program {
    place.write("counter.wat", COUNTER);
    place.write("in", "item\n".repeat(ITEMS));
    place.taskhost("run counter.wat in -o out --split lines --merge concat --report report").arguments(flags)
}

/// What each item saw of the items before it.
fn seen(place: &Place) -> Vec<u32> {
    place.read("out").chunks(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

/// Instances that there were: each begins at none.
fn instances(seen: &[u32]) -> usize {
    seen.iter().filter(|before| **before == 0).count()
}

/// Workers that ran items, or could have.
fn workers(report: &Value) -> usize {
    report["workers"].as_array().unwrap().iter().filter(|worker| worker["role"] == "execute").count()
}

#[test]
fn a_fresh_instance_for_each_item_sees_nothing_of_another() {
    for flags in ["-j 1", "-j 3", "-j 2 --batch 1", "-j 2 --batch 7"] {
        let place = Place::new();
        run(&place, "--fresh item").arguments(flags).run().success();
        assert_eq!(seen(&place), vec![0; ITEMS], "{flags}");
    }
}

#[test]
fn a_fresh_instance_for_each_batch_sees_its_batch_only() {
    let place = Place::new();
    run(&place, "--fresh batch --batch 1 -j 2").run().success();
    assert_eq!(seen(&place), vec![0; ITEMS]);
    run(&place, "--fresh batch --batch 6 -j 2").run().success();
    let seen = seen(&place);
    assert_eq!(seen.len(), ITEMS);
    // A batch may be cut short, but has no more than that.
    assert!(seen.iter().all(|before| *before < 6), "{seen:?}");
    assert!((ITEMS / 6..ITEMS).contains(&instances(&seen)), "{seen:?}");
}

#[test]
fn an_instance_is_kept_as_long_as_its_worker() {
    for flags in ["-j 1", "-j 2 --batch 1", "-j 3 --batch 7"] {
        let place = Place::new();
        run(&place, flags).run().success();
        let seen = seen(&place);
        assert_eq!(seen.len(), ITEMS);
        assert!((1..=workers(&report(&place))).contains(&instances(&seen)), "{flags}: {seen:?}");
    }
}

/// After a trap nobody knows what state an instance is in.
#[test]
fn a_trap_costs_the_instance() {
    for flags in ["--batch 1", "--batch 100"] {
        let place = Place::new();
        let run = run(&place, "-j 1 --on-error skip --errors errors").arguments(flags);
        place.write("in", "a\nb\nt\nc\nd\ne\nt\nt\nf\n");
        run.run().code(3);
        assert_eq!(seen(&place), [0, 1, 0, 1, 2, 0], "{flags}");
        assert_eq!(errors(&place, "errors").len(), 3);
    }
}

#[test]
fn a_worker_that_had_its_share_is_replaced() {
    for (share, flags) in [(1, "-j 1"), (7, "-j 2 --batch 1"), (10, "-j 3 --batch 5"), (20, "-j 1"), (1000, "-j 2")] {
        let place = Place::new();
        let outcome = run(&place, flags).arguments(&format!("--recycle {share}")).run().success();
        let seen = seen(&place);
        let told = format!("--recycle {share} {flags}: {seen:?}\n{}", outcome.stderr);
        assert_eq!(seen.len(), ITEMS, "{told}");
        // As long as its worker, so an instance says what its worker ran.
        assert!(seen.iter().all(|before| (*before as usize) < share), "{told}");
        assert!(instances(&seen) >= ITEMS.div_ceil(share), "{told}");
        let report = report(&place);
        assert!(workers(&report) >= ITEMS.div_ceil(share), "{told}");
        assert!(outcome.stderr.lines().all(|line| !line.starts_with("warning")), "{told}");
    }
}

#[test]
fn results_do_not_depend_on_who_is_replaced() {
    let place = Place::new();
    let ranges: String = (0..200).map(|at| format!("{at} {}\n", 500 + at)).collect();
    place.write("ranges", &ranges);
    place.taskhost("run primes ranges -o wanted").run().success();
    for flags in ["--recycle 3 -j 1", "--recycle 9 -j 3 --batch 7", "--recycle 1 -j 2 --fresh item", "--fresh batch"] {
        place.taskhost("run primes ranges -o out").arguments(flags).run().success();
        assert_eq!(place.text("out"), place.text("wanted"), "{flags}");
        place.taskhost("run primes ranges -o sum --merge reduce").arguments(flags).run().success();
        let sum: u64 = place.text("wanted").lines().map(|line| line.parse::<u64>().unwrap()).sum();
        assert_eq!(place.text("sum").trim().parse(), Ok(sum), "{flags}");
    }
}
