//! What is said of a kernel, and of a run, before anything runs.

use std::sync::LazyLock;

use insta::assert_snapshot;
use regex::Regex;

use crate::harness::Place;

/// Text without the sizes of code, which depend on the compiler and the processor, and without the cores.
fn scrubbed(text: &str) -> String {
    static SIZES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[0-9.]+ (B|KiB|MiB) of").unwrap());
    static WORKERS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?m)^workers  .*$").unwrap());
    let text = SIZES.replace_all(text, "SIZE of");
    WORKERS.replace_all(&text, "workers  WORKERS").into_owned()
}

fn inspect(kernel: &str) -> String {
    let place = Place::new();
    place.write("echo.wat", include_str!("kernels/echo.wat"));
    let outcome = place.taskhost("inspect").argument(kernel).run().success();
    assert_eq!(outcome.stderr, "");
    scrubbed(outcome.text())
}

#[test]
fn a_component_that_maps() {
    assert_snapshot!(inspect("mandelbrot"), @"
    component: it exports taskhost:kernel/mapper@1.0.0

    Iteration counts of the Mandelbrot set (little-endian u16) for each row number.

    Usage: taskhost run mandelbrot [INPUT]… [-o OUTPUT]

    Split:   lines
    Merge:   concat

    Settings (-c NAME=VALUE):
      width       Pixels across. [default: 800]
      height      Pixels down. [default: 600]
      iterations  Where to stop, at most 65535. [default: 1000]

    Exports:
      taskhost:kernel/describe@1.0.0
      taskhost:kernel/lifecycle@1.0.0
      taskhost:kernel/mapper@1.0.0
      taskhost:kernel/packed-mapper@1.0.0

    Imports:
      taskhost:kernel/config@1.0.0
      taskhost:kernel/log@1.0.0
      taskhost:kernel/types@1.0.0

    Sizes:   SIZE of WebAssembly, SIZE of code, SIZE of memory to begin with
    ");
}

#[test]
fn a_component_that_filters() {
    assert_snapshot!(inspect("grep"), @"
    component: it exports taskhost:kernel/flat-mapper@1.0.0

    Keeps the lines that match a regular expression.

    Usage: taskhost run grep [INPUT]… [-o OUTPUT] -c pattern=VALUE

    Split:   lines
    Merge:   lines

    Settings (-c NAME=VALUE):
      pattern  Regular expression (ASCII classes; see https://docs.rs/regex). (needed)

    Exports:
      taskhost:kernel/describe@1.0.0
      taskhost:kernel/flat-mapper@1.0.0
      taskhost:kernel/lifecycle@1.0.0
      taskhost:kernel/packed-mapper@1.0.0

    Imports:
      taskhost:kernel/config@1.0.0
      taskhost:kernel/log@1.0.0
      taskhost:kernel/types@1.0.0

    Sizes:   SIZE of WebAssembly, SIZE of code, SIZE of memory to begin with
    ");
}

#[test]
fn a_component_that_reduces() {
    assert_snapshot!(inspect("wordcount"), @"
    component: it exports taskhost:kernel/mapper@1.0.0

    Counts words; lines `word<TAB>count`, sorted by bytes.

    Usage: taskhost run wordcount [INPUT]… [-o OUTPUT]

    Split:   blocks:1MiB
    Merge:   reduce

    Exports:
      taskhost:kernel/describe@1.0.0
      taskhost:kernel/lifecycle@1.0.0
      taskhost:kernel/mapper@1.0.0
      taskhost:kernel/packed-mapper@1.0.0
      taskhost:kernel/reducer@1.0.0

    Imports:
      taskhost:kernel/log@1.0.0
      taskhost:kernel/types@1.0.0

    Sizes:   SIZE of WebAssembly, SIZE of code, SIZE of memory to begin with
    ");
}

#[test]
fn a_component_that_filters_pictures() {
    assert_snapshot!(inspect("resize"), @"
    component: it exports taskhost:kernel/image-filter@1.0.0

    Resizes: box average when shrinking, bilinear when growing.

    Usage: taskhost run resize [INPUT]… [-o OUTPUT] -c width=VALUE -c height=VALUE

    Settings (-c NAME=VALUE):
      width   Width of the result in pixels. (needed)
      height  Height of the result in pixels. (needed)

    Exports:
      taskhost:kernel/describe@1.0.0
      taskhost:kernel/image-filter@1.0.0
      taskhost:kernel/lifecycle@1.0.0

    Imports:
      taskhost:kernel/config@1.0.0
      taskhost:kernel/log@1.0.0
      taskhost:kernel/types@1.0.0

    Sizes:   SIZE of WebAssembly, SIZE of code, SIZE of memory to begin with
    ");
}

#[test]
fn a_raw_module() {
    assert_snapshot!(inspect("echo.wat"), @"
    raw module: it exports memory, taskhost_alloc and taskhost_process

    Usage: taskhost run echo.wat [INPUT]… [-o OUTPUT]

    Exports:
      memory: memory
      taskhost_alloc: (i32) -> i32
      taskhost_process: (i32, i32) -> i64

    Imports:
      none

    Sizes:   SIZE of WebAssembly, SIZE of code, SIZE of memory to begin with
    ");
}

/// What a run would do, in a folder with some inputs.
fn dry_run(line: &str) -> String {
    let place = Place::new();
    place.write("never.wat", include_str!("kernels/never-returns.wat"));
    place.write("one", "7\n");
    for number in 1..=12 {
        place.write(&format!("many/{number:02}"), "7");
    }
    let before = place.files();
    let outcome = place.taskhost(line).arguments("--dry-run").run().success();
    assert_eq!(place.files(), before, "{line}");
    assert_eq!(outcome.stderr, "", "{line}");
    scrubbed(outcome.text())
}

#[test]
fn a_dry_run_over_one_input() {
    assert_snapshot!(dry_run("run primes one"), @"
    kernel   primes (component: it exports taskhost:kernel/mapper@1.0.0)
    split    lines (by the kernel)
    merge    lines (by the kernel)
    inputs   1 input, 2 B
               one
    workers  WORKERS
    limits   1GiB of memory a worker, 256MiB a result
    output   standard output
    ");
}

#[test]
fn a_dry_run_over_many_inputs_with_flags() {
    let line = "run wordcount many --split blocks:64K --memory 100MiB --max-output 1kB -o counts.txt";
    assert_snapshot!(dry_run(line), @"
    kernel   wordcount (component: it exports taskhost:kernel/mapper@1.0.0)
    split    blocks:64KiB (by flag)
    merge    reduce (by the kernel)
    inputs   12 inputs, 12 B
               01
               02
               03
               04
               05
               06
               07
               08
               09
               10
               … and 2 more
    workers  WORKERS
    limits   100MiB of memory a worker, 1000 a result
    output   counts.txt
    ");
}

#[test]
fn a_dry_run_over_pictures() {
    assert_snapshot!(dry_run("run sobel many -o out/{stem}.png"), @"
    kernel   sobel (component: it exports taskhost:kernel/image-filter@1.0.0)
    split    rows of each picture, as the kernel's `prepare` says
    inputs   12 inputs, 12 B
               01
               02
               03
               04
               05
               06
               07
               08
               09
               10
               … and 2 more
    workers  WORKERS
    limits   1GiB of memory a worker, 256MiB a result
    output   a file for each input: out/{stem}.png
    ");
}

/// The kernel is asked what it says of itself, and given no item.
#[test]
fn a_dry_run_runs_nothing() {
    assert_snapshot!(dry_run("run never.wat one -o out"), @"
    kernel   never.wat (raw module: it exports memory, taskhost_alloc and taskhost_process)
    split    whole (by default)
    merge    concat (by default)
    inputs   1 input, 2 B
               one
    workers  WORKERS
    limits   1GiB of memory a worker, 256MiB a result
    output   out
    ");
}
