//! Compressed inputs and outputs: the same results as without, whatever the split, and nothing half of a broken one.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use taskhost_codec::convert;
use taskhost_protocol::stream::{Conversion, Packing};

use crate::harness::{Place, Process, eventually, skipped};

const BOTH: [(Packing, &str); 2] = [(Packing::Gzip, "gz"), (Packing::Zstandard, "zst")];

/// What the coordinator, and a worker that decompresses, may have in memory, in kB, however much passes through.
const MOST_MEMORY: u64 = 64 << 10;

fn pack(packing: Packing, bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    convert(Conversion::Pack(packing), bytes, &mut packed).unwrap();
    packed
}

fn unpack(packing: Packing, bytes: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    convert(Conversion::Unpack(packing), bytes, &mut unpacked).unwrap();
    unpacked
}

fn numbers(count: u64) -> String {
    (0..count).map(|number| format!("{number} {}\n", number * 7)).collect()
}

fn kernel(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/kernels/{name}.wat"))
}

#[test]
fn every_split_is_that_of_what_was_compressed() {
    let text = numbers(20_000);
    for (packing, extension) in BOTH {
        let place = Place::new();
        place.write("plain", &text);
        let name = format!("packed.{extension}");
        place.write(&name, pack(packing, text.as_bytes()));
        for split in [
            "--split lines --merge lines",
            "--split lines --merge lines --header --keep-header",
            "--split blocks:10000",
            "--split records:5",
            "--split chunks:4096",
            "--split whole",
        ] {
            let wanted = place.taskhost(&format!("run echo plain {split}")).run().success().stdout;
            assert!(!wanted.is_empty());
            let from_file = place.taskhost(&format!("run echo {name} {split}")).run().success();
            assert!(from_file.stdout == wanted, "{name} {split}");
            let from_pipe = place.taskhost(&format!("run echo {split}")).input(place.read(&name)).run().success();
            assert!(from_pipe.stdout == wanted, "{name} {split}, through a pipe");
            let stdin = File::open(place.path(&name)).unwrap();
            let from_stdin = place.taskhost(&format!("run echo {split}")).stdin(stdin).run().success();
            assert!(from_stdin.stdout == wanted, "{name} {split}, as standard input");
        }
    }
}

#[test]
fn several_files_are_one_input_whatever_each_is() {
    let place = Place::new();
    place.write("a.gz", pack(Packing::Gzip, b"1\n2"));
    place.write("b.txt", "3\n4\n");
    place.write("c.zst", [pack(Packing::Zstandard, b"5\n"), pack(Packing::Zstandard, b"6\n")].concat());
    // The name says nothing.
    place.write("d", pack(Packing::Gzip, b""));
    place.write("e.gz", "7\n");
    let outcome = place.taskhost("run echo a.gz b.txt c.zst d e.gz --split lines --merge lines").run().success();
    assert_eq!(outcome.text(), "1\n2\n3\n4\n5\n6\n7\n");
    let outcome = place.taskhost("run wordcount a.gz b.txt c.zst d e.gz").run().success();
    assert_eq!(outcome.text().lines().count(), 7, "{}", outcome.text());
}

#[test]
fn a_folder_is_a_job_for_each_file_and_names_say_what_is_compressed() {
    let place = Place::new();
    let text = numbers(3000);
    place.write("in/one.gz", pack(Packing::Gzip, text.as_bytes()));
    place.write("in/deep/two.zst", pack(Packing::Zstandard, b"2\n"));
    place.write("in/three.txt", "3\n");
    place.taskhost("run echo in -o out/ --split lines --merge lines").run().success();
    assert_eq!(unpack(Packing::Gzip, &place.read("out/one.gz")), text.as_bytes());
    assert_eq!(unpack(Packing::Zstandard, &place.read("out/deep/two.zst")), b"2\n");
    assert_eq!(place.text("out/three.txt"), "3\n");
    let run = place.taskhost("run echo in -o").argument("plain/{stem}.txt");
    run.arguments("--split lines --merge lines").run().success();
    assert_eq!(place.text("plain/one.txt"), text);
    assert_eq!(place.text("plain/two.txt"), "2\n");
    // One that is broken costs one result.
    place.write("in/one.gz", &pack(Packing::Gzip, text.as_bytes())[..100]);
    let outcome = place.taskhost("run echo in -o again/ --split lines --merge lines").run().code(3);
    assert!(outcome.stderr.contains("one.gz is cut short: its gzip data ends at byte 100"), "{}", outcome.stderr);
    assert!(!place.path("again/one.gz").exists());
    assert_eq!(unpack(Packing::Zstandard, &place.read("again/deep/two.zst")), b"2\n");
}

/// What other programs make is read, and what is made is read by other programs.
#[test]
fn other_programs_agree() {
    for (packing, extension, program) in [(Packing::Gzip, "gz", "gzip"), (Packing::Zstandard, "zst", "zstd")] {
        let place = Place::new();
        let text = numbers(100_000);
        let filter = |flags: &[&str], bytes: &[u8]| {
            place.write("filtered", bytes);
            let from = File::open(place.path("filtered")).unwrap();
            let mut command = Command::new(program);
            command.args(flags).stdin(from).stderr(Stdio::inherit()).output().ok().map(|output| output.stdout)
        };
        for level in ["-1", "-9"] {
            let Some(packed) = filter(&[level, "-c"], text.as_bytes()) else {
                skipped("compressed::other_programs_agree", &format!("there is no {program}"));
                break;
            };
            let both = [packed.clone(), packed].concat();
            let outcome = place.taskhost("run echo --split lines --merge lines").input(both).run().success();
            assert!(outcome.text() == text.repeat(2), "{program} {level}");
        }
        let name = format!("out.{extension}");
        place.write("plain", &text);
        place.taskhost(&format!("run echo plain --split lines --merge lines -o {name}")).run().success();
        if let Some(unpacked) = filter(&["-dc"], &place.read(&name)) {
            assert!(unpacked == text.as_bytes(), "{program}");
        }
        let packed = place.read(&name);
        assert!(packed.len() < text.len() / 2, "{} of {} bytes", packed.len(), text.len());
        assert_eq!(unpack(packing, &packed), text.as_bytes());
    }
}

#[test]
fn a_broken_input_is_named_with_the_byte() {
    for (packing, extension) in BOTH {
        let text = numbers(50_000);
        let whole = pack(packing, text.as_bytes());
        let place = Place::new();
        let name = format!("in.{extension}");
        let says = packing.name();
        let half = whole.len() / 2;
        let refused = |bytes: &[u8], message: &str| {
            place.write(&name, bytes);
            let line = format!("run echo {name} --split lines --merge lines -o out");
            let outcome = place.taskhost(&line).run().code(5);
            assert!(outcome.messages().starts_with(&format!("error: {name} {message}")), "{}", outcome.messages());
            let outcome = place.taskhost("run echo --split lines --merge discard").input(bytes).run().code(5);
            let wanted = format!("error: -: standard input {message}");
            assert!(outcome.messages().starts_with(&wanted), "{}", outcome.messages());
            assert_eq!(place.files(), [name.as_str()], "nothing half-written");
        };
        refused(&whole[..half], &format!("is cut short: its {says} data ends at byte {half}, in the middle"));
        refused(&whole[..5], &format!("is cut short: its {says} data ends at byte 5, in the middle"));
        let mut damaged = whole.clone();
        damaged[half] ^= 0xff;
        refused(&damaged, &format!("is damaged: its {says} data cannot be decompressed at byte "));
        refused(&[&whole[..], b"and more"].concat(), "is ");
    }
}

/// The last line of what was decompressed before the damage is half a line: it is no item.
#[test]
fn a_torn_line_is_not_run() {
    let place = Place::new();
    let whole = pack(Packing::Gzip, numbers(50_000).as_bytes());
    place.write("in.gz", &whole[..whole.len() - 9]);
    // Whatever is run of it, no result may be of a line that is none.
    let outcome = place.taskhost("run echo in.gz --split lines --merge lines -j 1").run().code(5);
    let wanted = numbers(50_000);
    assert!(wanted.starts_with(outcome.text()) && (outcome.text().is_empty() || outcome.text().ends_with('\n')));
}

#[test]
fn a_bomb_costs_no_memory() {
    for (packing, _) in BOTH {
        let place = Place::new();
        let bomb = {
            let mut packed = Vec::new();
            let zeros = std::io::Read::take(std::io::repeat(0), 256 << 20);
            convert(Conversion::Pack(packing), zeros, &mut packed).unwrap();
            packed
        };
        assert!(bomb.len() < 1 << 20);
        place.write("bomb", [&bomb[..], &bomb, &bomb, &bomb].concat());
        let mut running = place.taskhost("run echo bomb --split chunks:1MiB -j 1").start();
        assert!(running.bytes(16 << 20).iter().all(|byte| *byte == 0));
        let peak = |process: &Process| process.status("VmHWM").trim_end_matches(" kB").parse::<u64>().unwrap_or(0);
        assert!(peak(&running.process) < MOST_MEMORY, "{} kB", peak(&running.process));
        let converter = running.converter();
        assert!(peak(&converter) < MOST_MEMORY, "{} kB", peak(&converter));
        running.stop_reading();
        running.end().code(141);
    }
}

#[test]
fn whoever_decompresses_is_locked_in() {
    let place = Place::new();
    let whole = pack(Packing::Gzip, numbers(200_000).as_bytes());
    let mut running = place.taskhost("run echo --split lines --merge lines -j 1").start();
    // Its end is yet to come.
    running.write(&whole[..whole.len() / 2]);
    assert_eq!(running.line(), "0 0");
    if !rustix::process::geteuid().is_root() {
        return skipped(
            "compressed::whoever_decompresses_is_locked_in",
            "only root sees a locked worker's descriptors",
        );
    }
    let worker = running.converter();
    assert_eq!(worker.status("Seccomp"), "2");
    assert_eq!(worker.status("NoNewPrivs"), "1");
    assert_eq!(worker.status("Threads"), "1");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(worker.status(set), "0000000000000000", "{set}");
    }
    let held = worker.open_files();
    let is_given = |name: &String| name == "/dev/null" || name.starts_with("socket:[") || name.starts_with("pipe:[");
    assert!(held.iter().all(is_given), "{held:?}");
    assert_eq!(held.iter().filter(|name| name.starts_with("socket:[")).count(), 1, "{held:?}");
    assert_eq!(held.iter().filter(|name| name.starts_with("pipe:[")).count(), 2, "{held:?}");
    let limit = fs::read_to_string(worker.file("limits")).unwrap();
    let data = limit.lines().find_map(|line| line.strip_prefix("Max data size")).unwrap();
    let bytes: u64 = data.split_whitespace().next().unwrap().parse().unwrap();
    assert!(bytes < 1 << 30, "{bytes} bytes of private memory");
    running.write(&whole[whole.len() / 2..]);
    let outcome = running.end().success();
    assert_eq!(outcome.text().lines().count(), 199_999);
}

#[test]
fn a_worker_that_is_killed_while_it_converts_is_told() {
    let place = Place::new();
    let whole = pack(Packing::Zstandard, numbers(200_000).as_bytes());
    let mut running = place.taskhost("run echo --split lines --merge lines").start();
    running.write(&whole[..whole.len() / 2]);
    assert_eq!(running.line(), "0 0");
    running.converter().signal(Signal::KILL);
    let outcome = running.end().code(1);
    let message = "error: -: the worker that converts standard input died of signal 9";
    assert!(outcome.messages().starts_with(message), "{}", outcome.messages());
    let mut running = place.taskhost("run echo --split lines --merge lines -o out.gz").start();
    running.write("1\n");
    running.converter().signal(Signal::KILL);
    let outcome = running.end().code(1);
    let message = "error: -: the worker that converts out.gz died of signal 9";
    assert!(outcome.messages().starts_with(message), "{}", outcome.messages());
    assert!(place.files().is_empty(), "{:?}", place.files());
}

#[test]
fn an_interrupted_run_leaves_nothing_of_a_compressed_result() {
    for signal in [Signal::INT, Signal::TERM] {
        let place = Place::new();
        place.write("out.gz", "what was there before");
        let mut running = place.taskhost("run echo --split lines --merge lines -o out.gz --drain-timeout 0s").start();
        running.write("1\n2\n3\n");
        running.converter();
        running.process.signal(signal);
        running.end().code(if signal == Signal::INT { 130 } else { 143 });
        assert_eq!(place.files(), ["out.gz"]);
        assert_eq!(place.text("out.gz"), "what was there before");
    }
}

#[test]
fn compression_can_be_left_alone() {
    let place = Place::new();
    let packed = pack(Packing::Gzip, b"1\n2\n");
    place.write("in.gz", &packed);
    place.taskhost("run echo in.gz -o out.gz --no-compression").run().success();
    assert!(place.read("out.gz") == packed);
    let outcome = place.taskhost("run echo --no-compression").input(&packed).run().success();
    assert!(outcome.stdout == packed);
}

#[test]
fn what_would_be_done_is_told() {
    let place = Place::new();
    place.write("in.gz", pack(Packing::Gzip, b"1\n"));
    let text = place.taskhost("run echo in.gz --split lines -o out.zst --dry-run").run().success();
    let text = text.text();
    assert!(text.contains("in.gz (gzip, decompressed by a worker)\n"), "{text}");
    assert!(text.contains("1 input, size unknown\n"), "{text}");
    assert!(text.contains("output   out.zst (compressed with Zstandard, by a worker)\n"), "{text}");
}

#[test]
fn a_reader_that_goes_away_ends_the_run() {
    let place = Place::new();
    place.write("in.gz", pack(Packing::Gzip, numbers(500_000).as_bytes()));
    let mut running = place.taskhost("run echo in.gz --split lines --merge lines").start();
    assert_eq!(running.line(), "0 0");
    running.stop_reading();
    assert_eq!(running.end().code(141).stderr, "");
}

#[test]
fn a_killed_run_goes_on_in_a_compressed_input() {
    for (packing, _) in BOTH {
        let place = Place::new();
        let text = numbers(400);
        place.write("first", pack(packing, numbers(200).as_bytes()));
        place.write("second", pack(packing, text.as_bytes()));
        let running = place.taskhost("run").argument(kernel("slow-echo"));
        let running =
            running.arguments("first second --split lines --merge lines -o out --journal run.journal").start();
        let half = place.path("");
        eventually("some of it is written", || {
            let written = fs::read_dir(&half).unwrap().filter_map(Result::ok);
            written
                .filter(|entry| entry.file_name().to_string_lossy().contains(".taskhost-"))
                .any(|entry| entry.metadata().is_ok_and(|metadata| metadata.len() > 0))
                || running.process.is_gone_within(Duration::ZERO)
        });
        running.process.signal(Signal::KILL);
        // In its last moment everything was done.
        if running.end().code == 137 && place.path("run.journal").exists() {
            place.taskhost("resume run.journal").run().success();
        }
        assert!(place.text("out") == [numbers(200), text].concat());
        assert_eq!(place.files(), ["first", "out", "second"]);
    }
}

#[test]
fn what_a_journal_cannot_do_is_refused() {
    let place = Place::new();
    place.write("in.gz", pack(Packing::Gzip, b"1\n7\n8\n"));
    let outcome = place.taskhost("run echo in.gz --split lines -o out.gz --journal run.journal").run().code(2);
    let message = "error: --journal cannot go on in the middle of a result that is compressed with gzip: ";
    assert!(outcome.messages().starts_with(message), "{}", outcome.messages());
    let run = place.taskhost("run").argument(kernel("trap-on-7"));
    run.arguments("in.gz --split lines --merge lines -o out --on-error skip --journal run.journal").run().code(3);
    assert_eq!(place.text("out"), "1\n8\n");
    let outcome = place.taskhost("resume run.journal --retry-failed").run().code(5);
    let message = "error: failed items are in in.gz, which is compressed: decompress it, and run it from the start";
    assert!(outcome.messages().starts_with(message), "{}", outcome.messages());
    assert_eq!(place.files(), ["in.gz", "out", "run.journal"]);
}

/// Where each input has a result, those that are whole stay, and the others are made anew.
#[test]
fn a_journal_of_compressed_results_knows_which_are_made() {
    let place = Place::new();
    place.write("in/a.gz", pack(Packing::Gzip, b"1\n2\n"));
    place.write("in/b.gz", pack(Packing::Gzip, b"3\n7\n"));
    let run = place.taskhost("run").argument(kernel("trap-on-7"));
    let flags = "in -o out/ --split lines --merge lines --on-error fail --journal run.journal";
    run.arguments(flags).run().code(3);
    assert!(!place.path("out/b.gz").exists());
    let resumed = place.taskhost("resume run.journal --retry-failed --kernel").argument(kernel("echo")).run().success();
    assert_eq!(unpack(Packing::Gzip, &place.read("out/a.gz")), b"1\n2\n", "{}", resumed.stderr);
    assert_eq!(unpack(Packing::Gzip, &place.read("out/b.gz")), b"3\n7\n", "{}", resumed.stderr);
}

#[test]
fn pictures_are_not_compressed_again() {
    let place = Place::new();
    let picture = b"P5\n2 2\n255\n1234";
    place.write("in.pgm.gz", pack(Packing::Gzip, picture));
    place.write("in.pgm", picture);
    let outcome = place.taskhost("run invert in.pgm.gz").run();
    // Not every kernel is asked for pictures.
    assert!(outcome.code == 0 || outcome.code == 5, "{}", outcome.stderr);
    let outcome = place.taskhost("run sobel in.pgm.gz -o out.pgm").run().code(5);
    assert!(outcome.messages().contains("it is compressed with gzip, and pictures are read as they are"));
    let outcome = place.taskhost("run sobel in.pgm -o out.raw.gz").run().code(5);
    assert!(outcome.messages().contains("no picture can be compressed with gzip"), "{}", outcome.messages());
    assert_eq!(place.files(), ["in.pgm", "in.pgm.gz"]);
}

/// A reader that is slow to say anything: what may be compressed is looked at before it is run.
#[test]
fn a_pipe_that_begins_byte_by_byte_is_recognised() {
    let place = Place::new();
    for (bytes, wanted) in [
        (pack(Packing::Gzip, b"1\n"), "1\n"),
        (pack(Packing::Zstandard, b"2\n"), "2\n"),
        (b"(\xb5".to_vec(), ""),
        (b"\n".to_vec(), "\n"),
        (b"".to_vec(), ""),
    ] {
        let (theirs, mut ours) = std::io::pipe().unwrap();
        let running = place.taskhost("run echo --split lines --merge lines").stdin(theirs).start();
        for byte in &bytes {
            ours.write_all(&[*byte]).unwrap();
            // Until it was read.
            eventually("it is read", || rustix::io::ioctl_fionread(&ours).is_ok_and(|left| left == 0));
        }
        drop(ours);
        let outcome = running.end().success();
        if !wanted.is_empty() {
            assert_eq!(outcome.text(), wanted);
        }
    }
}

/// Tables are of the same kind of thing, and not everybody's.
#[cfg(not(feature = "parquet"))]
#[test]
fn tables_need_a_feature_of_the_build() {
    let place = Place::new();
    place.write("in.parquet", "PAR1....PAR1");
    for split in ["whole", "lines"] {
        let outcome = place.taskhost(&format!("run echo in.parquet --split {split} -o out")).run().code(5);
        let message = "in.parquet is Parquet, and this taskhost was built without that: build it with `cargo install --features \
                       parquet`";
        assert!(outcome.messages().contains(message), "{}", outcome.messages());
    }
    let outcome = place.taskhost("run echo in.parquet -o out.parquet").run().code(2);
    let message = "error: out.parquet is to be Parquet, and this taskhost was built without that: build it with";
    assert!(outcome.messages().starts_with(message), "{}", outcome.messages());
    assert_eq!(place.files(), ["in.parquet"]);
    // What begins or ends like one is not one yet.
    place.write("in.parquet", "PAR1....");
    let outcome = place.taskhost("run echo in.parquet --split lines").run().success();
    assert_eq!(outcome.text(), "PAR1....");
}
