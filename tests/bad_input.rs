//! What cannot work: a clear message, the documented exit code, and nothing half-written.

use insta::assert_snapshot;
use rustix::process::Signal;

use crate::harness::{Outcome, Place, Program, eventually, not_for_this_user, skipped};

/// Runs a line that has to fail in a folder with some inputs, and gives back what was said.
#[track_caller]
fn refused(place: &Place, line: &str, code: i32) -> String {
    let before = place.files();
    let outcome = place.taskhost(line).run().code(code);
    assert_eq!(place.files(), before, "{line}: files");
    assert_eq!(outcome.text(), "", "{line}: standard output");
    outcome.messages()
}

fn place_with(files: &[(&str, &[u8])]) -> Place {
    let place = Place::new();
    for (name, content) in files {
        place.write(name, content);
    }
    place
}

#[test]
fn files_that_are_not_there() {
    let place = Place::new();
    assert_snapshot!(refused(&place, "run primes missing.txt -o out", 5), @"error: missing.txt: No such file or directory (os error 2)");
    assert_snapshot!(refused(&place, "run missing.wasm missing.txt", 5), @"error: missing.txt: No such file or directory (os error 2)");
    place.write("in.txt", "0 10\n");
    assert_snapshot!(refused(&place, "run ./missing.wasm in.txt", 5), @"error: the kernel ./missing.wasm cannot be read: No such file or directory (os error 2)");
    let message = refused(&place, "run missing in.txt", 5);
    assert!(message.starts_with("error: there is no kernel missing: no such file, "), "{message}");
    assert!(message.ends_with("the first-party kernels are csv-stats, echo, gaussian-blur, grayscale, grep, invert, mandelbrot, primes, resize, sobel, wordcount\n"), "{message}");
    assert_snapshot!(refused(&place, "run https://example.org/sobel.wasm in.txt", 2), @"error: https://example.org/sobel.wasm: kernels are not fetched from the network; type: curl -O https://example.org/sobel.wasm && taskhost run ./sobel.wasm …");
    assert_snapshot!(refused(&place, "run oci://example.org/sobel:1 in.txt", 2), @"error: oci://example.org/sobel:1: kernels are not fetched from the network; type: oras pull example.org/sobel:1 && taskhost run ./sobel:1 …");
}

#[test]
fn files_that_cannot_be_read() {
    // This one exists for everybody, and nobody can read it from its start.
    let outcome = Place::new().taskhost("run echo /proc/self/mem").run().code(5);
    assert!(outcome.stderr.starts_with("error: /proc/self/mem: cannot be read: "), "{}", outcome.stderr);
    let outcome = Place::new().taskhost("run echo").stdin(std::fs::File::open("/").unwrap()).run().code(5);
    assert!(outcome.stderr.contains("is a folder"), "{}", outcome.stderr);
    if rustix::process::geteuid().is_root() {
        return not_for_this_user("bad_input::files_that_cannot_be_read", "the superuser can read every file");
    }
    let place = place_with(&[("secret", b"x")]);
    std::fs::set_permissions(place.path("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    assert!(refused(&place, "run echo secret -o out", 5).contains("secret cannot be read: Permission denied"));
}

#[test]
fn raw_pictures_of_another_size() {
    let place = place_with(&[("img.raw", &[0; 100])]);
    assert_snapshot!(refused(&place, "run sobel img.raw --size 10x11 -o out.raw", 5), @"error: img.raw: 10x11, 1 channel of u8 is 110 bytes, but the file has 100: it is cut short, or --size, --channels or --sample are not its own");
    assert_snapshot!(refused(&place, "run sobel img.raw --size 9x11 -o out.raw", 5), @"error: img.raw: 9x11, 1 channel of u8 is 99 bytes, but the file has 100: check --size, --channels and --sample");
    assert_snapshot!(refused(&place, "run sobel img.raw --size 10x10 --sample f32 -o out.raw", 5), @"error: img.raw: 10x10, 1 channel of f32 is 400 bytes, but the file has 100, which is 1 for each of its pixels instead of 4: check --channels and --sample");
    assert_snapshot!(refused(&place, "run sobel img.raw -o out.raw", 5), @"error: img.raw: its geometry is not known: add --size WIDTHxHEIGHT (and --channels, --sample), or put an ENVI .hdr beside it");
    assert_snapshot!(refused(&place, "run sobel img.raw --size 10x10 --sample q8", 2), @"
    error: invalid value 'q8' for '--sample <TYPE>': `q8` is not a sample type: there are u8, u16, i16, u32, i32, f32 and f64

    For more information, try '--help'.
    ");
    assert_snapshot!(refused(&place, "run sobel img.raw --size ten", 2), @"
    error: invalid value 'ten' for '--size <WxH>': `ten` is not the size of a picture: write width x height in pixels, for example --size 640x480

    For more information, try '--help'.
    ");
    assert_snapshot!(refused(&place, "run sobel img.raw img.raw --size 10x10 -o out.raw", 2), @"error: the kernel makes one picture of each input: name a folder for them, -o FOLDER/, or -o 'FOLDER/{stem}.png'");
}

#[test]
fn arrays_that_are_not_read() {
    let place = Place::new();
    let array = |shape: &str, descr: &str, order: &str, bytes: usize| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend_from_slice(&(header.len() as u16).to_le_bytes());
        file.extend_from_slice(header.as_bytes());
        file.resize(file.len() + bytes, 0);
        place.write("a.npy", file);
        refused(&place, "run sobel a.npy -o out.npy", 5)
    };
    assert_snapshot!(array("(10, 10)", "<f8", "False", 700), @"error: a.npy: an array of 10x10, 1 channel of f64 needs 872 bytes with its header, but the file has 772: it is cut short");
    assert_snapshot!(array("(10, 10)", "<f8", "True", 800), @"error: a.npy: the array is in Fortran order (column by column), which is not read; save it with numpy.save(path, numpy.ascontiguousarray(array))");
    assert_snapshot!(array("(10, 10)", "<c16", "False", 1600), @"error: a.npy: arrays of complex numbers ('<c16') are not read; convert it first, for example with numpy.save(path, array.astype('<f4'))");
    assert_snapshot!(array("(10, 10)", ">f8", "False", 800), @"error: a.npy: arrays of big-endian numbers ('>f8') are not read; convert it first, for example with numpy.save(path, array.astype('<f4'))");
    assert_snapshot!(array("(10,)", "<f8", "False", 80), @"error: a.npy: the array has shape (10,); a picture has (height, width) or (height, width, channels)");
    place.write("a.npy", b"\x93NUMPY\x01\x00\xff");
    assert_snapshot!(refused(&place, "run sobel a.npy -o out.npy", 5), @"error: a.npy: the .npy header has 10 bytes, but the file ends after 9: it is cut short");
}

#[test]
fn headers_that_are_not_read() {
    let place = place_with(&[("a.raw", &[0; 100])]);
    let header = |lines: &str| {
        place.write("a.hdr", format!("ENVI\nsamples = 5\nlines = 5\nbands = 4\n{lines}"));
        refused(&place, "run sobel a.raw -o out.raw", 5)
    };
    assert_snapshot!(header("data type = 1\ninterleave = bil\nbyte order = 0\n"), @"error: a.raw: a.hdr: the ENVI header says `interleave = bil`: pictures interleaved by line are not read; convert to bip or bsq, for example with gdal_translate -of ENVI -co INTERLEAVE=BIP");
    assert_snapshot!(header("data type = 2\ninterleave = bip\nbyte order = 1\n"), @"error: a.raw: a.hdr: the ENVI header says `byte order = 1`: big-endian samples are not read, only little-endian ones");
    assert_snapshot!(header("data type = 4\ninterleave = bip\nbyte order = 0\n"), @"error: a.raw: a.hdr: the ENVI header describes 400 bytes, but the file has 100: it is cut short, or the header is not its own");
    place.write("a.hdr", "hello");
    assert_snapshot!(refused(&place, "run sobel a.raw -o out.raw", 5), @"error: a.raw: a.hdr: not an ENVI header: its first line is not ENVI");
}

#[test]
fn picture_files_that_are_not_written() {
    let place = place_with(&[("img.raw", &[0; 100])]);
    assert_snapshot!(refused(&place, "run sobel img.raw --size 10x10 -o out.bmp", 5), @"error: img.raw: BMP is not written; name the result .png, .jpg, .pgm, .ppm, .npy, or .raw for the samples alone");
}

#[test]
fn picture_files_that_are_none() {
    let place = place_with(&[("a.png", b"\x89PNG\r\n\x1a\ngarbage garbage garbage"), ("b.png", b"hello")]);
    let message = refused(&place, "run sobel a.png -o out.png", 5);
    assert!(message.starts_with("error: a.png: the PNG file cannot be decoded: "), "{message}");
    assert_snapshot!(refused(&place, "run sobel b.png -o out.png", 5), @"error: b.png: its name says PNG, but it does not begin like one: it is damaged, or something else");
    place.write("c.raw", [0; 400]);
    let message = refused(&place, "run sobel c.raw --size 10x10 --sample f32 -o out.png", 5);
    assert!(message.contains("f32"), "{message}");
}

#[test]
fn kernels_that_are_none() {
    let place = place_with(&[("in", b"x"), ("text.wasm", b"hello"), ("empty.wasm", b""), ("none.wat", b"(component)")]);
    place.write("half.wat", "(module");
    let mut wasm = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/dist/primes.wasm")).unwrap();
    wasm.truncate(20_000);
    place.write("cut.wasm", wasm);
    assert_snapshot!(refused(&place, "run text.wasm in -o out", 4), @"error: text.wasm: not a WebAssembly file that can be run: it begins with the bytes 68 65 6c 6c, but a WebAssembly file begins with 00 61 73 6d, or with `(` when it is text");
    assert_snapshot!(refused(&place, "run empty.wasm in -o out", 4), @"error: empty.wasm: not a WebAssembly file that can be run: it is empty");
    assert!(refused(&place, "run cut.wasm in -o out", 4).contains("can be run: unexpected end-of-file (at offset 0x"));
    assert_snapshot!(refused(&place, "run none.wat in -o out", 4), @"error: none.wat: it exports nothing; a kernel exports mapper, flat-mapper or image-filter of taskhost:kernel@1.0.0, or wasi:cli/run@0.2 (a program), or any functions to be called with --invoke");
    assert!(
        refused(&place, "compile half.wat", 4)
            .starts_with("error: half.wat: not a WebAssembly file that can be run: its text has an error")
    );
    assert_snapshot!(refused(&place, "run primes in --kind raw", 4), @"error: primes: --kind raw wants a core module, and this is a component");
}

#[test]
fn settings_that_make_no_sense() {
    let place = place_with(&[("in", b"x\n")]);
    assert_snapshot!(refused(&place, "run grep in", 2), @"error: grep: the kernel needs the setting `pattern` (Regular expression (ASCII classes; see https://docs.rs/regex).): add --config pattern=VALUE");
    assert_snapshot!(refused(&place, "run grep in -c patern=x", 2), @"error: grep: the kernel has no setting `patern`; it takes: pattern");
    assert_snapshot!(refused(&place, "run echo in --merge reduce", 2), @"error: --merge reduce needs a kernel that exports `reducer`; this one does not");
    assert_snapshot!(refused(&place, "run echo in --header", 2), @"error: --header is for --split lines or blocks; the split here is chunks:256KiB");
    assert_snapshot!(refused(&place, "run echo in --size 1x1", 2), @"error: --size has no meaning here: the kernel takes items, not pictures");
    assert_snapshot!(refused(&place, "run sobel in --split lines", 2), @"error: --split has no meaning here: the kernel filters pictures, not items");
    let long = place.taskhost("run echo in -c").argument(format!("x={}", "a".repeat(40_000))).run().code(2);
    assert_snapshot!(long.stderr, @"error: the settings have more than 32 KiB together; give large data as input");
}

#[test]
fn compressed_lines() {
    let place = place_with(&[("t.gz", b"\x1f\x8b\x08\0\0\0\0\0")]);
    assert_snapshot!(refused(&place, "run primes t.gz -o out", 5), @"
    error: t.gz is cut short: its gzip data ends at byte 8, in the middle
    0 items, 1 failed, 0 B in, 0 B out, TIME, WORKERS, SPEED-UP
    ");
}

#[test]
fn outputs_that_cannot_be() {
    let place = place_with(&[("in", b"0 10\n")]);
    assert_snapshot!(refused(&place, "run primes in -o no/out", 5), @"error: no/out cannot be written: the folder no does not exist; make it first: mkdir -p no");
    assert!(refused(&place, "run primes in -o in/out", 5).contains("Not a directory"));
    for output in ["/dev/full", "-"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let outcome = place.taskhost("run primes in -o").argument(output).stdout(full).run().code(5);
        assert!(outcome.stderr.contains("no space is left on the device"), "{}", outcome.stderr);
    }
    let outcome = place.taskhost("run primes in --report no/report.json").run().code(5);
    assert!(outcome.stderr.contains("the report no/report.json cannot be written"), "{}", outcome.stderr);
}

/// Runs the program on a disk of 64 KiB that is mounted at `disk`. The last line of its output is what it left there.
fn on_small_disk(place: &Place, line: &str) -> Option<(Outcome, String)> {
    let mut mount = std::process::Command::new("unshare");
    let mount = mount.args(["-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).stderr(std::process::Stdio::null());
    if !mount.status().is_ok_and(|status| status.success()) {
        return None;
    }
    std::fs::create_dir_all(place.path("disk")).unwrap();
    let script = "mount -t tmpfs -o size=64k tmpfs disk && \"$@\"; code=$?; find disk -type f; exit $code";
    let shell = Program::of("unshare".as_ref(), &place.path("")).arguments("-Urm sh -c").argument(script);
    let outcome = shell.arguments("sh").argument(env!("CARGO_BIN_EXE_taskhost")).arguments(line).run();
    let left = String::from_utf8_lossy(&outcome.stdout).into_owned();
    Some((outcome, left))
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let place = Place::new();
    place.write("data.bin", crate::native::Numbers::new(1).bytes(300_000));
    for line in [
        "run invert data.bin -o disk/out",
        "run echo data.bin --split lines --merge lines -o disk/out",
        "run sobel data.bin --size 300x1000 -o disk/out.raw",
        "run sobel data.bin --size 300x1000 -o disk/out.png",
        "run sobel data.bin --size 300x1000 -o disk/out.npy",
    ] {
        let Some((outcome, left)) = on_small_disk(&place, line) else {
            return skipped("bad_input::a_full_disk_leaves_nothing_behind", "a file system cannot be mounted here");
        };
        assert_eq!((outcome.code, left.as_str()), (5, ""), "{line}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(": no space is left"), "{line}: {}", outcome.stderr);
    }
}

#[test]
fn an_input_that_shrinks_during_the_run() {
    let place = Place::new();
    // The first line keeps the only worker busy while the rest of the file goes away.
    place.write("in", format!("0 3000000\n{}", "0 10\n".repeat(500_000)));
    let running = place.taskhost("run primes in -j 1 --batch 1 -o out").start();
    eventually("the first line is computed", || {
        let workers = running.process.workers();
        workers.iter().any(|worker| worker.status("State").starts_with('R') && has_open(worker.id, "/in"))
    });
    std::fs::OpenOptions::new().write(true).open(place.path("in")).unwrap().set_len(20).unwrap();
    let outcome = running.end().code(5);
    assert!(outcome.stderr.contains("it was changed during the run"), "{}", outcome.stderr);
    assert_eq!(place.files(), ["in"]);
}

/// Whether a process has a file open whose path ends like this.
fn has_open(id: u32, end: &str) -> bool {
    let Ok(open) = std::fs::read_dir(format!("/proc/{id}/fd")) else { return false };
    open.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok()).any(|path| path.to_string_lossy().ends_with(end))
}

#[test]
fn an_interrupt_while_input_is_awaited() {
    let place = Place::new();
    let running = place.taskhost("run primes -o out").start();
    eventually("it waits for input", || running.process.workers().len() == 1 || running.process.workers().len() == 2);
    running.process.signal(Signal::INT);
    running.end().code(130);
    assert!(!place.path("out").exists());
}
