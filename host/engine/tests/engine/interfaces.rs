//! Every interface that a component may export.

use taskhost_engine::{Input, Tile};
use taskhost_protocol::fault::Fault;
use taskhost_protocol::kernel::{Description, ResultLength, Setting};
use taskhost_protocol::picture::{Cut, Format, PicturePlan, Sample};

use crate::support::{LIST, core, export, instance, item, result, results, world};

/// One result for each byte of the item.
const EXPLODE: &str = "
    (local $list i32) (local $i i32)
    (local.set $list (call $realloc (i32.const 0) (i32.const 0) (i32.const 4) (i32.shl (local.get $len) (i32.const 3))))
    (block $done
        (loop $more
            (br_if $done (i32.eq (local.get $i) (local.get $len)))
            (i32.store
                (i32.add (local.get $list) (i32.shl (local.get $i) (i32.const 3)))
                (i32.add (local.get $at) (local.get $i)))
            (i32.store offset=4 (i32.add (local.get $list) (i32.shl (local.get $i) (i32.const 3))) (i32.const 1))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br $more)))
    (call $ok (local.get $list) (local.get $len))";

#[test]
fn a_flat_mapper_gives_any_number_of_results() {
    let kernel = core(&world(&["flat-mapper"]), "", &export("flat-mapper", "process", LIST, EXPLODE));
    let mut instance = instance(&kernel);
    assert_eq!(results(&mut instance, b"abc"), Ok(vec![b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]));
    assert_eq!(results(&mut instance, b""), Ok(vec![]));
}

/// Takes the lists of a packed call and answers with the same bytes and ends, these counts and these failures.
fn packed(counts: &str, failures: &str, data: &str) -> Vec<u8> {
    packed_with("", "", [counts, failures, data])
}

/// The same, with imports and something to be done first.
fn packed_with(imports: &str, first: &str, [counts, failures, data]: [&str; 3]) -> Vec<u8> {
    let body = format!(
        "{first}
         (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1))
         (i32.store (i32.const 24) (local.get 2)) (i32.store (i32.const 28) (local.get 3))
         (i32.store (i32.const 32) (i32.const 1024)) (i32.store (i32.const 36) (i32.const {counts}))
         (i32.store (i32.const 40) (i32.const 2048)) (i32.store (i32.const 44) (i32.const {failures}))
         (i32.const 16)"
    );
    let functions = [
        export("packed-mapper", "process", "(param i32 i32 i32 i32)", &body),
        export("mapper", "process", LIST, "(call $ok (local.get $at) (local.get $len))"),
        data.to_owned(),
    ];
    core(&world(&["mapper", "packed-mapper"]), imports, &functions.concat())
}

#[test]
fn what_an_item_has_of_its_own_is_not_had_in_a_packed_call() {
    let import = r#"(import "taskhost:kernel/item@1.0.0" "current" (func $current (param i32)))"#;
    let mut asks = instance(&packed_with(import, "(call $current (i32.const 512))", ["0", "0", ""]));
    let import = r#"(import "taskhost:kernel/log@1.0.0" "log" (func $log (param i32 i32 i32)))"#;
    let log = "(if (local.get 1) (then (call $log (i32.const 0) (i32.const 512) (i32.const 1))))";
    let mut logs = instance(&packed_with(import, log, ["0", "0", ""]));
    for _ in 0..2 {
        asks.set_item(Some(item(3)));
        assert!(asks.process_packed(b"", &[0, 0]).is_err());
        assert_eq!(result(&mut asks, b"x").as_deref(), Ok(b"x".as_slice()), "items are run one by one");
        logs.set_item(Some(item(3)));
        assert!(logs.process_packed(b"ab", &[1, 2]).is_err());
        logs.set_item(Some(item(3)));
        assert!(logs.process_packed(b"", &[0, 0]).is_ok(), "nothing was said");
    }
}

#[test]
fn a_packed_mapper_does_many_items_in_one_call() {
    let mut instance = instance(&packed("0", "0", ""));
    let answer = instance.process_packed(b"onetwo", &[3, 3, 6]).expect("it answers");
    assert_eq!((answer.bytes.as_slice(), answer.ends.as_slice()), (b"onetwo".as_slice(), [3, 3, 6].as_slice()));
    assert!(answer.counts.is_empty() && answer.failures.is_empty());
}

#[test]
fn items_of_a_packed_call_can_fail() {
    let failure =
        r#"(data (i32.const 2048) "\01\00\00\00\00\00\00\00\00\09\00\00\03\00\00\00") (data (i32.const 2304) "odd")"#;
    let mut instance = instance(&packed("0", "1", failure));
    let answer = instance.process_packed(b"onetwo", &[3, 3, 6]).expect("it answers");
    assert_eq!(answer.failures, [(1, Fault::InvalidInput("odd".into()))]);
    let fault = instance.process_packed(b"one", &[3]).expect_err("there is no item 1");
    assert!(matches!(fault, Fault::Contract(_)), "{fault}");
    assert!(instance.is_poisoned());
}

#[test]
fn a_packed_answer_that_does_not_add_up_breaks_the_contract() {
    let mut instance = instance(&packed("1", "0", r#"(data (i32.const 1024) "\02")"#));
    let fault = instance.process_packed(b"onetwo", &[3, 6]).expect_err("one count for two items");
    assert!(fault.to_string().contains("1 counts with a sum of 2 for 2 items and 2 results"), "{fault}");
}

/// Lays the parts end to end.
const JOIN: &str = "
    (local $i i32) (local $part i32) (local $to i32) (local $from i32)
    (local.set $from (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 1000)))
    (local.set $to (local.get $from))
    (block $done
        (loop $more
            (br_if $done (i32.eq (local.get $i) (local.get $len)))
            (local.set $part (i32.add (local.get $at) (i32.shl (local.get $i) (i32.const 3))))
            (memory.copy (local.get $to) (i32.load (local.get $part)) (i32.load offset=4 (local.get $part)))
            (local.set $to (i32.add (local.get $to) (i32.load offset=4 (local.get $part))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br $more)))
    (call $ok (local.get $from) (i32.sub (local.get $to) (local.get $from)))";

#[test]
fn a_reducer_joins_parts_and_finishes() {
    let functions = [
        export("mapper", "process", LIST, "(call $ok (local.get $at) (local.get $len))"),
        export("reducer", "combine", LIST, JOIN),
        export("reducer", "finish", LIST, "(call $ok (local.get $at) (i32.sub (local.get $len) (i32.const 1)))"),
    ];
    let mut instance = instance(&core(&world(&["mapper", "reducer"]), "", &functions.concat()));
    assert_eq!(instance.combine(&[b"ab", b"", b"cde"]).as_deref(), Ok(b"abcde".as_slice()));
    assert_eq!(instance.combine(&[]).as_deref(), Ok(b"".as_slice()));
    assert_eq!(instance.finish(b"abc").as_deref(), Ok(b"ab".as_slice()));
}

/// A filter of 8-bit pictures with a halo of 2 that copies; `prepare` refuses anything else.
fn image() -> Vec<u8> {
    let prepare = "
        (if (i32.ne (local.get 3) (i32.const 0))
            (then (return (call $err (i32.const 0) (i32.const 1024) (i32.const 6)))))
        (i32.store (i32.const 16) (i32.const 0))
        (i32.store (i32.const 20) (i32.const 0)) (i32.store (i32.const 24) (i32.const 2))
        (i32.store (i32.const 28) (local.get 0)) (i32.store (i32.const 32) (local.get 1))
        (i32.store (i32.const 36) (local.get 2)) (i32.store (i32.const 40) (local.get 3))
        (i32.const 16)";
    // Parameters: width, height, channels, sample, first row, rows, above, below, pointer, length.
    let filter = "
        (local $row i32)
        (local.set $row (i32.mul (local.get 0) (local.get 2)))
        (call $ok
            (i32.add (local.get 8) (i32.mul (local.get 6) (local.get $row)))
            (i32.mul (local.get 5) (local.get $row)))";
    let functions = [
        export("image-filter", "prepare", "(param i32 i32 i32 i32)", prepare),
        export("image-filter", "filter", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)", filter),
        r#"(data (i32.const 1024) "8 bits")"#.to_owned(),
    ];
    core(&world(&["image-filter"]), "", &functions.concat())
}

#[test]
fn an_image_filter_plans_and_filters() {
    let mut instance = instance(&image());
    let format = Format { width: 4, height: 9, channels: 3, sample: Sample::U8 };
    let plan = PicturePlan { cut: Cut::Strips { halo: 2 }, output: format };
    assert_eq!(instance.prepare(format), Ok(plan));
    let refused = instance.prepare(Format { sample: Sample::F64, ..format });
    assert_eq!(refused, Err(Fault::InvalidInput("8 bits".into())));

    let samples: Vec<u8> = (0..4 * 12).collect();
    let tile = Tile { image: format, first_row: 3, rows: 1, above: 2, below: 1 };
    let mut own = Vec::new();
    let mut sink = |rows: &[u8]| {
        own.extend_from_slice(rows);
        Ok(())
    };
    assert_eq!(instance.filter(tile, Input::Bytes(&samples), 12, &mut sink), Ok(()));
    assert_eq!(own, samples[24..36]);
    let fault = instance.filter(tile, Input::Bytes(&samples), 24, &mut |_| Ok(())).expect_err("too short");
    assert_eq!(fault, Fault::Contract("`filter` returned 12 bytes where its plan promises 24".into()));
}

#[test]
fn a_kernel_describes_itself() {
    let describe = export("describe", "describe", "", "(i32.const 1024)");
    let data = r#"
        (data (i32.const 1024) "\00\10\00\00\04\00\00\00" "\04\10\00\00\05\00\00\00" "\09\10\00\00\06\00\00\00"
            "\02\00\00\00\08\00\00\00" "\00\08\00\00\02\00\00\00")
        (data (i32.const 2048) "\00\10\00\00\04\00\00\00" "\01\00\00\00\04\10\00\00\05\00\00\00" "\09\10\00\00\06\00\00\00"
            "\09\10\00\00\06\00\00\00" "\00\00\00\00\00\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00")
        (data (i32.const 4096) "addslinesconcat")"#;
    let process = export("mapper", "process", LIST, "(call $ok (local.get $at) (local.get $len))");
    let mut instance = instance(&core("map-kernel", "", &[describe, data.into(), process].concat()));
    let description = Description {
        summary: "adds".into(),
        split: "lines".into(),
        merge: "concat".into(),
        result_length: ResultLength::Exactly(8),
        settings: vec![
            Setting { name: "adds".into(), default: Some("lines".into()), help: "concat".into() },
            Setting { name: "concat".into(), default: None, help: String::new() },
        ],
    };
    assert_eq!(instance.describe(), Ok(Some(description)));
}

#[test]
fn a_kernel_without_describe_and_lifecycle_says_nothing() {
    let mut instance = instance(&image());
    assert_eq!(instance.describe(), Ok(None));
    assert_eq!(instance.start(), Ok(()));
}

#[test]
fn start_runs_once_and_may_refuse() {
    let start = export(
        "lifecycle",
        "start",
        "",
        r"(if (i32.eqz (global.get $started))
            (then (global.set $started (i32.const 1)) (return (call $ok (i32.const 0) (i32.const 0)))))
          (call $err (i32.const 2) (i32.const 1024) (i32.const 5))",
    );
    let rest = r#"(global $started (mut i32) (i32.const 0)) (data (i32.const 1024) "twice")"#;
    let process = export("mapper", "process", LIST, "(call $ok (local.get $at) (local.get $len))");
    let kernel = core(&world(&["mapper", "lifecycle"]), "", &[start, rest.into(), process].concat());
    let mut instance = instance(&kernel);
    assert_eq!(instance.start(), Ok(()));
    assert_eq!(instance.start(), Err(Fault::Temporary("twice".into())));
    assert!(!instance.is_poisoned());
}
