//! Pipes, devices, sockets and terminals on either side of a run.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::ioctl_fionread;

use crate::harness::{Place, eventually};
use crate::native::Numbers;

/// What the coordinator may have in memory, in kB, however much passes through it.
const MOST_MEMORY: u64 = 64 << 10;

fn inverted(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| 255 - byte).collect()
}

#[test]
fn an_endless_input_ends_when_its_reader_has_enough() {
    let place = Place::new();
    let mut generator = Command::new("yes").arg("2 100").stdout(Stdio::piped()).spawn().unwrap();
    let mut running = place.taskhost("run primes").stdin(generator.stdout.take().unwrap()).start();
    for _ in 0..100_000 {
        assert_eq!(running.line(), "25");
    }
    let peak: u64 = running.process.status("VmHWM").trim_end_matches(" kB").parse().unwrap();
    assert!(peak < MOST_MEMORY, "{peak} kB");
    running.stop_reading();
    assert_eq!(running.end().code(141).stderr, "");
    generator.wait().unwrap();
}

#[test]
fn an_endless_device_ends_when_its_reader_has_enough() {
    let place = Place::new();
    let mut running = place.taskhost("run invert /dev/zero").start();
    assert!(running.bytes(20 << 20).iter().all(|byte| *byte == 255));
    running.stop_reading();
    running.end().code(141);
}

/// Results wait in memory that is used again and again. Pages that were handed to a pipe instead of being copied would
/// show later results in the place of earlier ones.
#[test]
fn a_slow_reader_gets_the_right_bytes() {
    let bytes = Numbers::new(1).bytes(12 << 20);
    let wanted = inverted(&bytes);
    let place = Place::new();
    place.write("input", &bytes);
    let (mut reader, writer) = rustix_pipe();
    let running = place.taskhost("run invert input -j 2").stdout(writer).start();
    let mut got = Vec::new();
    let mut part = vec![0; 48 << 10];
    while got.len() < wanted.len() {
        // Reads only from a full pipe, so that the writer always waits.
        let left = (wanted.len() - got.len()) as u64;
        eventually("the pipe is full", || ioctl_fionread(&reader).unwrap() >= left.min(60 << 10));
        let read = reader.read(&mut part).unwrap();
        got.extend_from_slice(&part[..read]);
    }
    running.end().success();
    assert!(got == wanted);
}

fn rustix_pipe() -> (File, OwnedFd) {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    (File::from(reader), writer)
}

/// Other programs leave pipes in this mode behind.
#[test]
fn pipes_that_do_not_wait_work_like_others() {
    let bytes = Numbers::new(2).bytes(3 << 20);
    let place = Place::new();
    let (from_test, to_run) = (rustix_pipe(), rustix_pipe());
    fcntl_setfl(&from_test.1, OFlags::NONBLOCK).unwrap();
    fcntl_setfl(&to_run.0, OFlags::NONBLOCK).unwrap();
    let (mut reader, mut feed) = (from_test.0, File::from(to_run.1));
    let running = place.taskhost("run invert").stdin(to_run.0).stdout(from_test.1).start();
    let input = bytes.clone();
    let feeding = std::thread::spawn(move || feed.write_all(&input));
    let mut got = Vec::new();
    reader.read_to_end(&mut got).unwrap();
    running.end().success();
    feeding.join().unwrap().unwrap();
    assert!(got == inverted(&bytes));
}

#[test]
fn a_socket_is_as_good_as_a_pipe() {
    let bytes = Numbers::new(3).bytes(2 << 20);
    let place = Place::new();
    place.write("input", &bytes);
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let running = place.taskhost("run invert input").stdout(OwnedFd::from(theirs)).start();
    let mut got = Vec::new();
    ours.read_to_end(&mut got).unwrap();
    running.end().success();
    assert!(got == inverted(&bytes));
}

#[test]
fn standard_input_may_be_a_regular_file_that_somebody_has_read_from() {
    let place = Place::new();
    let path = place.write("ranges", "0 10\n10 100\n100 1000\n");
    let whole = place.taskhost("run primes").stdin(File::open(&path).unwrap()).run().success();
    assert_eq!(whole.text(), "4\n21\n143\n");
    let mut file = File::open(&path).unwrap();
    file.seek(SeekFrom::Start(5)).unwrap();
    assert_eq!(place.taskhost("run primes").stdin(file).run().success().text(), "21\n143\n");
}

#[test]
fn a_device_is_written_to_and_not_replaced() {
    let place = Place::new();
    place.taskhost("run echo -o /dev/null").input("x").run().success();
    assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    std::os::unix::fs::symlink("/dev/null", place.path("link")).unwrap();
    place.taskhost("run echo -o link").input("x").run().success();
    assert!(std::fs::metadata(place.path("link")).unwrap().file_type().is_char_device());
    assert_eq!(place.taskhost("run echo -o /dev/stdout").input("x").run().success().text(), "x");
}

#[test]
fn named_pipes_are_inputs_and_outputs() {
    let place = Place::new();
    for name in ["in", "out"] {
        assert!(Command::new("mkfifo").arg(place.path(name)).status().unwrap().success());
    }
    let (input, output) = (place.path("in"), place.path("out"));
    let feeding = std::thread::spawn(move || std::fs::write(input, "0 10\n"));
    let reading = std::thread::spawn(move || std::fs::read_to_string(output));
    place.taskhost("run primes in -o out").run().success();
    feeding.join().unwrap().unwrap();
    assert_eq!(reading.join().unwrap().unwrap(), "4\n");
    assert!(std::fs::metadata(place.path("out")).unwrap().file_type().is_fifo());
}

/// What came through one pipe is still being worked on when the next is opened.
#[test]
fn pipes_follow_each_other() {
    let place = Place::new();
    let lines: String = (0..120_000).map(|number| format!("line {number}\n")).collect();
    place.write("empty", "");
    let feeding = ["one", "two"].map(|name| {
        assert!(Command::new("mkfifo").arg(place.path(name)).status().unwrap().success());
        let (path, lines) = (place.path(name), lines.clone());
        std::thread::spawn(move || std::fs::write(path, lines))
    });
    let run = place.taskhost("run echo --split lines --merge lines --batch 100 -j 3 - empty one empty two");
    let outcome = run.input(&lines).run().success();
    for thread in feeding {
        thread.join().unwrap().unwrap();
    }
    assert!(outcome.text() == lines.repeat(3));
}

#[test]
fn long_lines_are_found_in_a_pipe() {
    // Each longer than what is read at a time, short ones between them, and the last without an end.
    let place = Place::new();
    let text = format!("a\n{}\nb\n\n{}\n{}", "x".repeat(3 << 20), "y".repeat(700_001), "z".repeat(200_000));
    place.write("text", &text);
    for split in ["lines", "blocks:100KiB", "blocks:2MiB"] {
        let flags = format!("--split {split} --merge lines");
        let piped = place.taskhost(&format!("run echo {flags}")).input(&text).run().success();
        let from_file = place.taskhost(&format!("run echo text {flags}")).run().success();
        assert!(piped.text() == from_file.text() && piped.text().starts_with("a\nxxx"), "{split}");
    }
}

#[test]
fn results_are_appended_where_the_shell_says_so() {
    let place = Place::new();
    let path = place.write("log", "old\n");
    for _ in 0..2 {
        let log = OpenOptions::new().append(true).open(&path).unwrap();
        place.taskhost("run primes").input("0 10\n").stdout(log).run().success();
    }
    assert_eq!(place.text("log"), "old\n4\n4\n");
    // Without it they go on where the descriptor stands.
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(4)).unwrap();
    place.taskhost("run primes").input("10 100\n").stdout(file).run().success();
    assert_eq!(place.text("log"), "old\n21\n\n");
}

#[test]
fn closed_standard_streams_are_survived() {
    let place = Place::new();
    place.write("ranges", "0 10\n");
    for line in
        ["exec \"$0\" run primes ranges >&-", "exec \"$0\" run primes <&-", "exec \"$0\" run primes ranges 2>&-"]
    {
        let shell = crate::harness::Program::of("sh".as_ref(), &place.path("")).argument("-c").argument(line);
        shell.argument(env!("CARGO_BIN_EXE_taskhost")).run().success();
    }
}

/// Runs a command line on a terminal of its own and gives back what was shown there.
fn on_terminal(place: &Place, line: &str) -> String {
    let line = line.replace("taskhost", env!("CARGO_BIN_EXE_taskhost"));
    let script = crate::harness::Program::of("script".as_ref(), &place.path("")).arguments("-qec");
    let outcome = script.argument(line).argument("/dev/null").stdin(Stdio::null()).run().success();
    String::from_utf8_lossy(&outcome.stdout).replace("\r\n", "\n")
}

#[test]
fn text_is_shown_on_a_terminal_and_bytes_are_not() {
    let place = Place::new();
    place.write("ranges", "0 10\n");
    place.write("data.bin", [0, 1, 2]);
    let shown = on_terminal(&place, "taskhost run primes ranges");
    assert!(shown.starts_with("4\n1 item, "), "{shown}");
    let shown = on_terminal(&place, "taskhost run invert data.bin");
    assert!(shown.ends_with("hint: the result is in data.out.bin\n"), "{shown}");
    assert_eq!(place.read("data.out.bin"), [255, 254, 253]);
    on_terminal(&place, "cat data.bin | taskhost run invert");
    assert_eq!(place.read("stdin.out"), [255, 254, 253]);
    // A pipe or a file is no terminal, whatever standard error is.
    assert!(!on_terminal(&place, "taskhost run invert data.bin >piped; rm data.out.bin").contains("hint"));
    // Who types `-o -` wants them there.
    assert!(!on_terminal(&place, "taskhost run invert data.bin -o -").contains("hint"));
    assert_eq!(place.files(), ["data.bin", "piped", "ranges", "stdin.out"]);
}

#[test]
fn a_terminal_shows_a_bar_when_a_run_takes_longer() {
    let place = Place::new();
    assert!(Command::new("mkfifo").arg(place.path("in")).status().unwrap().success());
    let line = format!("{} run primes in >out", env!("CARGO_BIN_EXE_taskhost"));
    let script = crate::harness::Program::of("script".as_ref(), &place.path("")).arguments("-qefc");
    let mut running = script.argument(line).argument("/dev/null").env("TERM", "xterm").start();
    let mut feed = OpenOptions::new().write(true).open(place.path("in")).unwrap();
    feed.write_all(b"0 10\n").unwrap();
    let mut shown = String::new();
    while !shown.contains("1 item") {
        shown.push(char::from(running.bytes(1)[0]));
    }
    drop(feed);
    running.end().success();
    assert_eq!(place.text("out"), "4\n");
}
