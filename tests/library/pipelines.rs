//! Pipelines: every item comes out of the last stage or is told of in its place, all stages are at work at once, and no stage
//! runs away from the next.

use std::cell::Cell;
use std::time::Duration;

use taskhost::{Blame, Pipeline, Pool, Stage, StageError, TaskError};

use crate::Scenario;
use crate::kernels::{bytes, count, path, pool, primes};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("items_pass_all_stages_in_order", items_pass_all_stages_in_order),
    ("values_pass_from_stage_to_stage", values_pass_from_stage_to_stage),
    ("failed_items_keep_their_numbers", failed_items_keep_their_numbers),
    ("nothing_is_lost_without_order", nothing_is_lost_without_order),
    ("stages_have_settings_and_limits_of_their_own", stages_have_settings_and_limits_of_their_own),
    ("a_slow_stage_holds_back_those_before_it", a_slow_stage_holds_back_those_before_it),
    ("failed_items_are_held_back_too", failed_items_are_held_back_too),
    ("stages_are_at_work_at_the_same_time", stages_are_at_work_at_the_same_time),
    ("a_dropped_pipeline_is_cancelled", a_dropped_pipeline_is_cancelled),
    ("a_pipeline_without_items_or_pool", a_pipeline_without_items_or_pool),
    ("what_is_no_stage_is_refused", what_is_no_stage_is_refused),
];

/// Gives an item back without its first byte.
const BEHEAD: &[u8] = br#"(module
    (memory (export "memory") 4)
    (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
        (i64.or
            (i64.shl (i64.extend_i32_u (i32.add (local.get $at) (i32.const 1))) (i64.const 32))
            (i64.extend_i32_u (i32.sub (local.get $len) (i32.const 1))))))"#;

fn kernel(name: &str) -> Stage {
    Stage::new(path(&format!("tests/kernels/{name}.wat")))
}

/// Fails at the item `7`, takes a byte away, and fails at what is `7` then.
fn picky(pool: &Pool) -> Pipeline {
    pool.pipeline([kernel("trap-on-7"), Stage::new(BEHEAD), kernel("failed-on-7")]).expect("all are kernels")
}

/// Items of which every third fails at the first stage, and every fifth, if it gets there, at the last.
fn picky_item(number: u64) -> String {
    match (number % 3, number % 5) {
        (0, _) => "7".into(),
        (_, 0) => "x7".into(),
        _ => format!("x{}", number * 10),
    }
}

fn assert_picky(number: u64, result: Result<Vec<u8>, StageError>) {
    match (number % 3, number % 5, result) {
        (0, _, Err(StageError { stage: 0, error: error @ TaskError::Trapped { .. }, .. }))
        | (1.., 0, Err(StageError { stage: 2, error: error @ TaskError::Failed { .. }, .. })) => {
            assert_eq!(error.item(), Some(number));
        }
        (1.., 1.., Ok(bytes)) => assert_eq!(bytes, (number * 10).to_string().as_bytes()),
        (_, _, result) => panic!("{number}: {result:?}"),
    }
}

fn items_pass_all_stages_in_order() {
    let pool = pool();
    let pipeline = pool.pipeline([Stage::new(BEHEAD), kernel("slow-echo"), Stage::new(BEHEAD)]).expect("kernels");
    let items = (0..1000).map(|number| format!("ab{number}"));
    let mut number = 0;
    let mut results = pipeline.map_bytes(items);
    for result in &mut results {
        assert_eq!(result, Ok(number.to_string().into_bytes()));
        number += 1;
    }
    let report = results.report();
    assert_eq!((number, report.items, report.results, report.failed), (1000, 1000, 1000, 0));
    assert!(report.stages.iter().all(|stage| (stage.items, stage.results, stage.failed) == (1000, 1000, 0)));
    assert_eq!(report.to_string().lines().count(), 4);
}

fn values_pass_from_stage_to_stage() {
    let pool = pool();
    let pipeline =
        pool.pipeline([path("examples/embed/primes.wasm"), path("tests/kernels/echo.wat")]).expect("kernels");
    let ranges = (0..500_u64).map(|index| (index * 10, index * 10 + 10));
    let found: Vec<u64> = pipeline.map(ranges).collect::<Result<_, _>>().expect("all are ranges");
    assert_eq!(found, (0..500).map(|index| count(index * 10, index * 10 + 10)).collect::<Vec<_>>());
    let wrong = pipeline.map::<_, u64>([(9_u64, 3_u64)]).next().expect("one").expect_err("no range");
    assert_eq!((wrong.stage, wrong.error.item(), wrong.error.blame()), (0, Some(0), Blame::Item));
    assert!(wrong.to_string().contains("stage 0, ") && wrong.to_string().contains("primes.wasm: item 0"), "{wrong}");
}

fn failed_items_keep_their_numbers() {
    let pool = pool();
    let mut results = picky(&pool).map_bytes((0..6000).map(picky_item));
    let mut number = 0;
    for result in &mut results {
        assert_picky(number, result);
        number += 1;
    }
    let report = results.report();
    assert_eq!((number, report.items, report.failed, report.results), (6000, 6000, 2800, 3200));
    let stages: Vec<_> = report.stages.iter().map(|stage| (stage.items, stage.failed)).collect();
    assert_eq!(stages, [(6000, 2000), (4000, 0), (4000, 800)]);
}

fn nothing_is_lost_without_order() {
    let pool = pool();
    let mut seen = vec![false; 6000];
    for (number, result) in picky(&pool).map_bytes((0..6000).map(picky_item)).unordered() {
        let before = &mut seen[usize::try_from(number).expect("a small number")];
        assert!(!std::mem::replace(before, true), "{number} came twice");
        assert_picky(number, result);
    }
    assert!(seen.iter().all(|seen| *seen));
}

fn stages_have_settings_and_limits_of_their_own() {
    let pool = pool();
    let mandelbrot = || Stage::new(path("plugins/dist/mandelbrot.wasm"));
    // Four columns of two bytes; the same kernel again gets what is no number of a row, and so it says with its own height.
    let pipeline = pool.pipeline([mandelbrot().config("width", "4").config("height", "2")]).expect("settings");
    assert_eq!(pipeline.map_bytes(["1"]).next().expect("one").expect("a row").len(), 8);
    let both =
        pool.pipeline([kernel("echo"), mandelbrot().config("width", "6").config("height", "9")]).expect("settings");
    let rows: Vec<_> = both.map_bytes(["8", "9"]).collect();
    assert!(rows[0].as_ref().is_ok_and(|row| row.len() == 12));
    assert_eq!(rows[1].as_ref().map_err(|error| (error.stage, error.error.item())), Err((1, Some(1))));
    let short = pool.pipeline([kernel("echo").max_output(3), kernel("echo")]).expect("limits");
    let results: Vec<_> = short.map_bytes(["abc", "abcd"]).collect();
    assert_eq!(results[0], Ok(b"abc".to_vec()));
    assert!(matches!(&results[1], Err(StageError { stage: 0, error: TaskError::Limit { item: 1, .. }, .. })));
}

fn a_slow_stage_holds_back_those_before_it() {
    let pool = pool();
    let late = kernel("never-returns").timeout(Duration::from_millis(300)).read_ahead(16).batch(1);
    let pipeline = pool.pipeline([kernel("echo").read_ahead(16), late]).expect("kernels");
    let taken = Cell::new(0);
    let endless = std::iter::repeat_with(|| {
        taken.set(taken.get() + 1);
        "7"
    });
    let mut results = pipeline.map_bytes(endless);
    let first = results.next().expect("endless").expect_err("it never ends");
    assert!(matches!(first, StageError { stage: 1, error: TaskError::Late { item: 0, .. }, .. }), "{first}");
    // Those that the second stage has, as many in front of it, and what was taken in place of the first.
    assert!((17..=16 + 16 + 2).contains(&taken.get()), "{} were taken", taken.get());
    let report = results.report();
    assert!(report.stages[1].items <= 18, "{report}");
    // All stages together.
    taken.set(0);
    let mut results =
        pipeline.map_bytes(std::iter::repeat_with(|| taken.set(taken.get() + 1)).map(|()| "7")).read_ahead(5);
    assert!(results.next().is_some_and(|result| result.is_err()));
    assert!((2..=6).contains(&taken.get()), "{} were taken", taken.get());
}

fn failed_items_are_held_back_too() {
    let pool = pool();
    let late = kernel("never-returns").timeout(Duration::from_millis(300));
    let pipeline = pool.pipeline([kernel("trap-on-7").read_ahead(64), Stage::new(BEHEAD), late]).expect("kernels");
    // The first is at the last stage for long, while all others fail at the first one.
    let items = std::iter::once("x7").chain(std::iter::repeat("7"));
    let taken = Cell::new(0_u32);
    let mut results = pipeline.map_bytes(items.inspect(|_| taken.set(taken.get() + 1)));
    let first = results.next().expect("endless").expect_err("it never ends");
    assert_eq!((first.stage, first.error.item()), (2, Some(0)));
    let second = results.next().expect("endless").expect_err("it traps");
    assert_eq!((second.stage, second.error.item()), (0, Some(1)));
    // 4096 that failed, and what the first stage may have ahead.
    assert!(taken.get() <= 4096 + 64 + 2, "{} were taken", taken.get());
}

fn stages_are_at_work_at_the_same_time() {
    let pool = pool();
    // The last stage gives a result while the first is at an item that never ends, and the input goes on for ever.
    let pipeline = pool.pipeline([kernel("never-returns").batch(1), kernel("echo")]).expect("kernels");
    let items = ["1", "7"].into_iter().chain(std::iter::repeat("2"));
    let mut results = pipeline.map_bytes(items).unordered();
    for _ in 0..20 {
        let (number, result) = results.next().expect("endless");
        assert!(number != 1 && result.is_ok());
    }
}

fn a_dropped_pipeline_is_cancelled() {
    let pool = pool();
    for _ in 0..3 {
        let pipeline = pool.pipeline([kernel("echo"), kernel("never-returns").batch(1)]).expect("kernels");
        let mut results = pipeline.map_bytes(["1"].into_iter().chain(std::iter::repeat("7")));
        assert_eq!(results.next(), Some(Ok(b"1".to_vec())));
        drop(results);
        // Its workers are free again.
        assert!(bytes(&pool, "never-returns").submit_bytes(b"8").expect("the pool is open").wait().is_ok());
    }
    assert_eq!(primes(&pool).submit::<_, u64>(&(0_u64, 10_u64)).expect("the pool is open").wait(), Ok(4));
}

fn a_pipeline_without_items_or_pool() {
    let pool = pool();
    let pipeline = picky(&pool);
    assert_eq!(pipeline.map_bytes([""; 0]).count(), 0);
    assert_eq!(pipeline.map_bytes([""; 0]).unordered().count(), 0);
    let mut begun = pipeline.map_bytes(std::iter::repeat("x1"));
    assert_eq!(begun.next(), Some(Ok(b"1".to_vec())));
    drop(pool);
    let end = begun.find(Result::is_err).expect("it is said").expect_err("that is one");
    assert!(matches!(end.error, TaskError::Closed | TaskError::Cancelled | TaskError::Lost(_)), "{end}");
    assert_eq!(begun.next(), None);
    let mut late = pipeline.map_bytes(["x1"]);
    assert!(late.next().is_some_and(|result| result.is_err_and(|error| error.error == TaskError::Closed)));
    assert_eq!(late.next(), None);
}

fn what_is_no_stage_is_refused() {
    let pool = pool();
    assert!(pool.pipeline([] as [Stage; 0]).is_err());
    assert!(matches!(pool.pipeline(["no/such/file.wasm"]), Err(taskhost::Error::Kernel { .. })));
    let unknown = pool.pipeline([Stage::new(path("plugins/dist/mandelbrot.wasm")).config("width", "many")]);
    assert!(matches!(unknown, Err(taskhost::Error::Refused { .. })), "{unknown:?}");
}
