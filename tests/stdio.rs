//! `taskhost stdio`: what a program in another language sees that talks with it.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::faults::kernel;
use crate::harness::{Place, Program, Running, eventually, skipped};
use crate::invoke::library;

fn frame(item: impl AsRef<[u8]>) -> Vec<u8> {
    let item = item.as_ref();
    [&u32::try_from(item.len()).unwrap().to_le_bytes(), item].concat()
}

/// Takes the first reply off.
fn reply(bytes: &mut &[u8]) -> Result<Vec<u8>, Value> {
    let (head, rest) = bytes.split_first_chunk::<5>().unwrap();
    let [status, length @ ..] = *head;
    let (body, rest) = rest.split_at(u32::from_le_bytes(length) as usize);
    *bytes = rest;
    if status == 0 {
        return Ok(body.to_vec());
    }
    assert_eq!(status, 1);
    Err(serde_json::from_slice(body).unwrap())
}

/// Sends an item and waits for its reply, as somebody does who has nothing else to send.
fn ask(running: &mut Running, item: impl AsRef<[u8]>) -> Result<Vec<u8>, Value> {
    running.write(frame(item));
    let head = running.bytes(5);
    let length = u32::from_le_bytes(*head.last_chunk().unwrap()) as usize;
    reply(&mut [head, running.bytes(length)].concat().as_slice())
}

fn stdio(place: &Place, name: &str, flags: &str) -> Program {
    place.taskhost("stdio").argument(kernel(name)).arguments(flags)
}

#[test]
fn each_item_is_answered_before_the_next_is_sent() {
    let place = Place::new();
    let mut running = stdio(&place, "trap-on-7", "-j 2").start();
    for round in 0..200 {
        let item = format!("item {round}");
        assert_eq!(ask(&mut running, &item), Ok(item.into_bytes()));
    }
    let error = ask(&mut running, "7").unwrap_err();
    assert_eq!(
        (&error["item"], &error["verdict"], &error["blame"]),
        (&200.into(), &"kernel-trap".into(), &"kernel".into())
    );
    assert_eq!((&error["source"], &error["offset"]), (&"-".into(), &Value::Null));
    assert_eq!(ask(&mut running, ""), Ok(Vec::new()));
    let outcome = running.end().code(3);
    assert!(outcome.stderr.contains("202 items, 1 failed"), "{}", outcome.stderr);
}

#[test]
fn replies_are_in_the_order_of_the_items() {
    let place = Place::new();
    let item = |number: u32| if number % 100 == 50 { "7".to_owned() } else { format!("{}", number * 10) };
    let input: Vec<u8> = (0..30_000).flat_map(|number| frame(item(number))).collect();
    for flags in ["-j 1", "-j 3 --batch 7", "-j 2 --fresh item --recycle 5000"] {
        let outcome =
            stdio(&place, "trap-on-7", flags).argument("--errors").argument("errors.jsonl").input(&input).run();
        let outcome = outcome.code(3);
        let mut rest = outcome.stdout.as_slice();
        for number in 0..30_000 {
            match reply(&mut rest) {
                Ok(result) => assert_eq!(result, item(number).as_bytes()),
                Err(error) => assert_eq!((&error["item"], item(number).as_str()), (&number.into(), "7")),
            }
        }
        assert!(rest.is_empty());
        let errors = place.text("errors.jsonl");
        let first: Value = serde_json::from_str(errors.lines().next().unwrap()).unwrap();
        assert_eq!((errors.lines().count(), &first["item"]), (300, &50.into()));
    }
}

#[test]
fn items_of_all_lengths() {
    let place = Place::new();
    let lengths = [0, 1, 65_531, 65_536, 131_071, 131_072, 131_073, 1 << 20, 5 << 20, 0, 9 << 20, 3];
    let items: Vec<Vec<u8>> = lengths.iter().map(|length| (0..*length).map(|at| (at % 251) as u8).collect()).collect();
    let input: Vec<u8> = items.iter().flat_map(frame).collect();
    let outcome = place.taskhost("stdio echo -j 2").input(input).run().success();
    let mut rest = outcome.stdout.as_slice();
    for item in &items {
        assert!(reply(&mut rest).is_ok_and(|result| result == *item), "{} bytes", item.len());
    }
    assert!(rest.is_empty());
}

#[test]
fn lines_of_text() {
    let place = Place::new();
    let long = "x".repeat(300_000);
    let mut running = place.taskhost("stdio echo --lines -j 2").start();
    running.write("one\n");
    assert_eq!(running.line(), "0\tone");
    running.write(format!("\n{long}\ntwo\n{long}"));
    let outcome = running.end().success();
    assert!(outcome.text() == format!("0\t\n0\t{long}\n0\ttwo\n0\t{long}\n"));
    let outcome = stdio(&place, "trap-on-7", "--lines").input("6\n7\n8\n").run().code(3);
    let lines: Vec<&str> = outcome.text().lines().collect();
    assert_eq!((lines.len(), lines[0], lines[2]), (3, "0\t6", "0\t8"));
    let error: Value = serde_json::from_str(lines[1].strip_prefix("1\t").unwrap()).unwrap();
    assert_eq!((&error["item"], &error["line"]), (&1.into(), &2.into()));
}

#[test]
fn a_result_that_is_no_line_is_a_failure_in_line_mode() {
    let place = Place::new();
    // The first item is a line with its end, the second has another one in it.
    let kernel = r#"(module
        (memory (export "memory") 1)
        (data (i32.const 0) "a\nb\n")
        (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
        (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
            (i64.extend_i32_u (local.get $len))))"#;
    place.write("lines.wat", kernel);
    let outcome = place.taskhost("stdio lines.wat --lines -j 1").input("12\n1234\n1\n").run().code(3);
    let lines: Vec<&str> = outcome.text().lines().collect();
    assert_eq!((lines.len(), lines[0], lines[2]), (3, "0\ta", "0\ta"));
    assert!(lines[1].starts_with("1\t{") && lines[1].contains("more than one line"), "{lines:?}");
}

#[test]
fn functions_are_called_with_json() {
    let place = Place::new();
    place.write("library.wasm", library::library());
    let run = place.taskhost("stdio library.wasm --invoke divide --lines -j 1");
    let outcome = run.input("[7, 2]\n{\"dividend\": 9, \"divisor\": 3}\n\"seven\"\n").run().code(3);
    let lines: Vec<&str> = outcome.text().lines().collect();
    assert_eq!(lines[..2], ["0\t3", "0\t3"]);
    assert!(lines[2].starts_with("1\t{") && lines[2].contains("\"blame\":\"item\""), "{lines:?}");
    let unnamed = place.taskhost("stdio library.wasm").run().code(4);
    assert!(unnamed.stderr.contains("--invoke NAME"), "{}", unnamed.stderr);
    let typed = place.taskhost("stdio library.wasm").argument("--invoke").argument("divide(7, 2)").run().code(2);
    assert!(typed.stderr.contains("write --invoke divide"), "{}", typed.stderr);
}

#[test]
fn a_truncated_frame_ends_it_once_the_others_are_answered() {
    let place = Place::new();
    let long = [&(1_u32 << 20).to_le_bytes()[..], b"abc"].concat();
    let cases: [(&[u8], &str); 3] = [
        (&[9, 0, 0], "3 of the 4 bytes of its length came"),
        (&[9, 0, 0, 0, b'x'], "1 of its 9 bytes came"),
        (&long, "3 of its 1048576 bytes came"),
    ];
    for (rest, message) in cases {
        let outcome = stdio(&place, "echo", "-j 1").input([&frame("whole"), rest].concat()).run().code(5);
        assert_eq!(outcome.stdout, [&[0], &frame("whole")[..]].concat());
        assert!(outcome.stderr.contains(message), "{}", outcome.stderr);
    }
}

#[test]
fn a_frame_that_is_too_long_is_refused() {
    let place = Place::new();
    // What somebody sends who thinks of lines.
    let outcome = stdio(&place, "echo", "-j 1").input([&frame("whole")[..], b"some text\n"].concat()).run().code(5);
    assert_eq!(outcome.stdout, [&[0], &frame("whole")[..]].concat());
    assert!(outcome.stderr.contains("at most 1 GiB") && outcome.stderr.contains("--lines"), "{}", outcome.stderr);
}

#[test]
fn a_client_that_goes_away_ends_it() {
    let place = Place::new();
    // In the middle of an item that never ends, with its input open.
    let mut running = stdio(&place, "never-returns", "-j 2").start();
    assert_eq!(ask(&mut running, "6"), Ok(b"6".to_vec()));
    running.write(frame("7"));
    running.stop_reading();
    assert!(running.process.is_gone_within(Duration::from_secs(60)));
    running.end().code(141);
    // With replies that are not read.
    let mut running = place.taskhost("stdio echo -j 2").stdin(std::fs::File::open("/dev/zero").unwrap()).start();
    running.bytes(5);
    running.stop_reading();
    running.end().code(141);
}

#[test]
fn a_client_that_does_not_read_is_held_back() {
    let place = Place::new();
    let item = vec![b'x'; 10_000];
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut running = place.taskhost("stdio echo -j 2").stdin(reader).start();
    // It may have 32 MiB of items, as much of results, and what is on its way between these.
    let most = (100 << 20) / item.len();
    let has_all = Arc::new(AtomicBool::new(false));
    let (told, sent) = (Arc::clone(&has_all), frame(&item));
    let writing = thread::spawn(move || {
        for _ in 0..most {
            writer.write_all(&sent).unwrap();
        }
        told.store(true, Ordering::Relaxed);
    });
    let mut rests = 0;
    eventually("the workers rest", || {
        let workers = running.process.workers();
        let is_resting = workers.iter().all(|worker| worker.status("State").starts_with('S'));
        rests = if is_resting { rests + 1 } else { 0 };
        rests == 100
    });
    assert!(!has_all.load(Ordering::Relaxed), "it takes whatever comes");
    // Read, it takes the rest.
    for _ in 0..most {
        let head = running.bytes(5);
        assert_eq!(head, [&[0], &frame(&item)[..4]].concat());
        assert!(running.bytes(item.len()) == item);
    }
    writing.join().unwrap();
    running.end().success();
}

#[test]
fn a_late_item_costs_itself() {
    let place = Place::new();
    let input: Vec<u8> = ["1", "7", "3"].iter().flat_map(frame).collect();
    let outcome = stdio(&place, "never-returns", "-j 2 --timeout 50ms").input(input).run().code(3);
    let mut rest = outcome.stdout.as_slice();
    assert_eq!(reply(&mut rest), Ok(b"1".to_vec()));
    assert_eq!(reply(&mut rest).unwrap_err()["verdict"], "deadline");
    assert_eq!(reply(&mut rest), Ok(b"3".to_vec()));
}

#[test]
fn settings_are_those_of_a_run() {
    let place = Place::new();
    place.taskhost("stdio mandelbrot -c width=many").run().code(4);
    let mut running = place.taskhost("stdio mandelbrot -q -c width=4 -c height=2").start();
    assert_eq!(ask(&mut running, "1").unwrap().len(), 8);
    assert_eq!(ask(&mut running, "2").unwrap_err()["verdict"], "kernel-error");
    assert_eq!(running.end().code(3).stderr, "");
    let several = place.taskhost("stdio grep -c pattern=a").run().code(2);
    assert!(several.stderr.contains("none, one or many results"), "{}", several.stderr);
    let pictures = place.taskhost("stdio sobel").run().code(2);
    assert!(pictures.stderr.contains("filters pictures"), "{}", pictures.stderr);
}

#[test]
fn a_signal_ends_it() {
    let place = Place::new();
    let mut running = stdio(&place, "echo", "-j 1").start();
    assert_eq!(ask(&mut running, "a"), Ok(b"a".to_vec()));
    running.process.signal(Signal::TERM);
    running.end().code(143);
}

/// The executor of `examples/python`, tried in all ways.
#[test]
fn an_executor_in_python() {
    let found = std::process::Command::new("python3").arg("--version").output();
    if !found.is_ok_and(|found| found.status.success()) {
        return skipped("stdio: an executor in Python", "there is no python3");
    }
    let place = Place::new();
    place.write("library.wasm", library::library());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/python/check.py");
    let run = Program::of("python3".as_ref(), &place.path("")).env("PYTHONDONTWRITEBYTECODE", "1").argument(script);
    let outcome = run.argument(env!("CARGO_BIN_EXE_taskhost")).argument(".").run().success();
    assert_eq!(outcome.text(), "as it should be\n");
}
