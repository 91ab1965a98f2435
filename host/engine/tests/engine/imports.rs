//! Everything that a component may import of the contract.

use taskhost_engine::ItemContext;
use taskhost_protocol::limits::LOG_LINES_PER_ITEM;
use taskhost_protocol::message::Level;

use crate::support::{instance, item, mapper, result};

const NAMES: &str = r#"(data (i32.const 1024) "by")"#;

/// A mapper that imports one function of the contract, as `$import`.
fn importing(interface: &str, name: &str, params: &str, body: &str) -> Vec<u8> {
    let imports =
        format!(r#"(import "taskhost:kernel/{interface}@1.0.0" "{name}" (func $import (param {params}))) {NAMES}"#);
    mapper(&imports, body)
}

#[test]
fn config_get_gives_a_setting_or_none() {
    // The option is written to 512: whether there is one, and its text.
    let body = "
        (call $import (local.get $at) (local.get $len) (i32.const 512))
        (if (result i32) (i32.load8_u (i32.const 512))
            (then (call $ok (i32.load (i32.const 516)) (i32.load (i32.const 520))))
            (else (call $err (i32.const 1) (i32.const 1024) (i32.const 2))))";
    let mut instance = instance(&importing("config", "get", "i32 i32 i32", body));
    assert_eq!(result(&mut instance, b"by").as_deref(), Ok(b"seven".as_slice()));
    assert_eq!(result(&mut instance, b"empty").as_deref(), Ok(b"".as_slice()));
    assert!(result(&mut instance, b"other").is_err());
}

#[test]
fn config_all_gives_every_setting() {
    // The list is written to 512; an entry is two texts. The result is the first text of the first entry.
    let body = "
        (call $import (i32.const 512))
        (call $ok (i32.load (i32.load (i32.const 512))) (i32.load (i32.const 516)))";
    let mut instance = instance(&importing("config", "all", "i32", body));
    assert_eq!(result(&mut instance, b"").as_deref(), Ok(b"by".as_slice()));
}

#[test]
fn item_current_says_where_the_item_is() {
    // Written to 512: position, source (pointer, length), offset. The result is those 32 bytes, then the source.
    let body = "
        (call $import (i32.const 512))
        (memory.copy (i32.const 544) (i32.load (i32.const 520)) (i32.load (i32.const 524)))
        (call $ok (i32.const 512) (i32.add (i32.const 32) (i32.load (i32.const 524))))";
    let mut instance = instance(&importing("item", "current", "i32", body));
    let number = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    instance.set_item(Some(item(12)));
    let origin = result(&mut instance, b"").expect("it answers");
    assert_eq!((number(&origin, 0), &origin[32..], number(&origin, 16)), (12, b"a.txt".as_slice(), 40));
    instance.set_item(None);
    let origin = result(&mut instance, b"").expect("it answers");
    assert_eq!((number(&origin, 0), &origin[32..], number(&origin, 16)), (0, b"".as_slice(), 0));
}

#[test]
fn item_header_is_the_first_line() {
    let body = "
        (call $import (i32.const 512))
        (if (result i32) (i32.load8_u (i32.const 512))
            (then (call $ok (i32.load (i32.const 516)) (i32.load (i32.const 520))))
            (else (call $ok (i32.const 1024) (i32.const 2))))";
    let mut instance = instance(&importing("item", "header", "i32", body));
    instance.set_item(Some(item(0)));
    assert_eq!(result(&mut instance, b"").as_deref(), Ok(b"x,y".as_slice()));
    instance.set_item(Some(ItemContext { header: None, ..item(0) }));
    assert_eq!(result(&mut instance, b"").as_deref(), Ok(b"by".as_slice()));
}

#[test]
fn log_lines_are_kept_capped_and_counted() {
    // Logs the item as often as its first byte says.
    let body = "
        (local $i i32)
        (local.set $i (i32.load8_u (local.get $at)))
        (loop $more
            (call $import (i32.const 2) (i32.const 1024) (i32.const 2))
            (br_if $more (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
        (call $ok (i32.const 0) (i32.const 0))";
    let mut instance = instance(&importing("log", "log", "i32 i32 i32", body));
    instance.set_item(Some(item(0)));
    result(&mut instance, &[2]).expect("it maps");
    assert_eq!(instance.take_logs(), [(Level::Warn, "by".into()), (Level::Warn, "by".into())]);
    assert_eq!(instance.take_logs(), []);
    instance.set_item(Some(item(1)));
    result(&mut instance, &[100]).expect("it maps");
    let lines = instance.take_logs();
    assert_eq!(lines.len(), LOG_LINES_PER_ITEM as usize + 1);
    assert_eq!(lines.last().map(|line| line.1.as_str()), Some("36 more log lines were dropped"));
}

#[test]
fn broadcast_has_nothing() {
    // The option is written to 512.
    let body = "
        (call $import (i32.const 1024) (i32.const 2) (i32.const 512))
        (call $ok (i32.const 512) (i32.const 1))";
    let mut instance = instance(&importing("broadcast", "size", "i32 i32 i32", body));
    assert_eq!(result(&mut instance, b"").as_deref(), Ok([0].as_slice()));
}

#[test]
fn counters_count_for_items_that_succeed() {
    // Fails after counting when the item is not empty.
    let body = "
        (call $import (i32.const 1024) (i32.const 2) (i64.const 5))
        (if (local.get $len) (then (return (call $err (i32.const 1) (i32.const 1024) (i32.const 2)))))
        (call $ok (i32.const 0) (i32.const 0))";
    let mut instance = instance(&importing("counter", "add", "i32 i32 i64", body));
    for (bytes, good) in [(b"".as_slice(), true), (b"x", false), (b"", true)] {
        assert_eq!(result(&mut instance, bytes).is_ok(), good);
        if good { instance.commit_counters() } else { instance.drop_counters() }
    }
    assert_eq!(instance.take_counters(), [("by".into(), 10)]);
}
