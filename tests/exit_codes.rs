//! Every exit code, provoked through the program.

use rustix::process::Signal;

use crate::harness::Place;

#[test]
fn done_is_0() {
    Place::new().taskhost("run primes").input("0 10\n").run().code(0);
}

/// A worker needs more descriptors than a process may have here, and neither the user nor the kernel is to blame.
#[test]
fn a_fault_of_the_host_is_1() {
    let place = Place::new();
    let limited = "ulimit -n 8 && exec \"$0\" run primes";
    let run = crate::harness::Program::of("sh".as_ref(), &place.path("")).argument("-c").argument(limited);
    let outcome = run.argument(env!("CARGO_BIN_EXE_taskhost")).input("0 10\n").run().code(1);
    assert!(outcome.stderr.contains("error: "), "{}", outcome.stderr);
}

#[test]
fn a_wrong_command_line_is_2() {
    let place = Place::new();
    place.taskhost("run primes --workers none").run().code(2);
    place.taskhost("frobnicate").run().code(2);
    place.taskhost("run grep").input("x\n").run().code(2);
}

#[test]
fn a_failed_item_is_3() {
    Place::new().taskhost("run primes").input("0 10\nnonsense\n").run().code(3);
}

#[test]
fn a_refused_kernel_is_4() {
    let place = Place::new();
    place.write("text.wasm", "this is text");
    place.taskhost("run text.wasm").input("x").run().code(4);
    place.write("nothing.wat", "(module)");
    place.taskhost("inspect nothing.wat").run().code(4);
}

#[test]
fn an_input_or_output_that_cannot_be_used_is_5() {
    let place = Place::new();
    place.taskhost("run primes missing.txt").run().code(5);
    place.taskhost("run primes -o missing/out.txt").input("0 10\n").run().code(5);
    place.taskhost("run missing").input("0 10\n").run().code(5);
}

#[test]
fn the_end_by_a_signal_is_130_or_143() {
    for (signal, code, word) in [(Signal::INT, 130, "interrupted"), (Signal::TERM, 143, "terminated")] {
        let place = Place::new();
        let mut running = place.taskhost("run primes -o out.txt").start();
        // Its workers are at work when the first bytes of a long input were taken.
        running.write("0 100\n".repeat(20_000));
        running.process.signal(signal);
        let outcome = running.end().code(code);
        assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
        assert_eq!(place.files(), <[&str; 0]>::default());
    }
}

#[test]
fn a_reader_that_goes_away_is_141() {
    let place = Place::new();
    let mut running = place.taskhost("run primes").start();
    running.write("0 10\n");
    assert_eq!(running.line(), "4");
    running.stop_reading();
    running.write("0 10\n");
    let outcome = running.end().code(141);
    assert_eq!(outcome.stderr, "");
}
