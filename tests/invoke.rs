//! Functions of any component, called with JSON.

use insta::assert_snapshot;

use crate::harness::{Outcome, Place};

mod foreign;
pub(crate) mod library;

fn place() -> Place {
    let place = Place::new();
    place.write("library.wasm", library::library());
    place
}

/// Calls a function for each line of what is piped in.
fn invoke(function: &str, lines: &str) -> Outcome {
    let place = place();
    place.taskhost("run library.wasm --on-error skip").argument("--invoke").argument(function).input(lines).run()
}

/// Makes one call that is typed.
fn call(call: &str) -> Outcome {
    place().taskhost("run library.wasm").argument("--invoke").argument(call).run()
}

#[test]
fn a_line_is_a_call() {
    let place = place();
    let numbers: String = (0..5000).map(|number| format!("{number}\n")).collect();
    place.write("numbers.jsonl", &numbers);
    let wanted: String =
        (0..5000_u32).map(|n| format!("{}\n", n > 1 && (2..).take_while(|d| d * d <= n).all(|d| n % d != 0))).collect();
    for workers in [1, 2] {
        let run = format!("run library.wasm --invoke is-prime --input numbers.jsonl -o primes.jsonl -j {workers}");
        place.taskhost(&run).run().success();
        assert_eq!(place.text("primes.jsonl"), wanted);
    }
}

#[test]
fn arguments_are_listed_or_named() {
    let outcome = invoke("math.add", "[1,2]\n{\"b\":-5,\"a\":3}\n[2147483647,1]\n").success();
    assert_eq!(outcome.text(), "3\n-2\n-2147483648\n");
    let outcome = invoke("longest", "[[\"a\",\"bcd\",\"ef\"]]\n{\"words\":[]}\n").success();
    assert_eq!(outcome.text(), "\"bcd\"\n\"\"\n");
    let outcome = invoke("flip", "{\"x\":1,\"y\":-2.5}\n[{\"y\":1e300,\"x\":\"-Infinity\"}]\n").success();
    assert_eq!(outcome.text(), "{\"x\":-2.5,\"y\":1.0}\n{\"x\":1e300,\"y\":\"-Infinity\"}\n");
    assert_eq!(invoke("nap", "[]\n{}\n").success().text(), "null\nnull\n");
    assert_eq!(invoke("greet", "\"Grüße, 😀\\n\"\n").success().text(), "\"Grüße, 😀\\n\"\n");
    let outcome = invoke("paint", "[{\"circle\":2}]\n\"nothing\"\n[{\"polygon\":[{\"x\":1,\"y\":2}]}]\n").success();
    assert_eq!(outcome.text(), "\"red\"\nnull\n\"green\"\n");
    assert_eq!(invoke("repeat", "[\"abc\",3]\n").success().text(), "\"YWJj\"\n");
}

#[test]
fn every_type_passes_through_a_component() {
    let value = concat!(
        r#"{"yes":true,"a":-128,"b":255,"c":-32768,"d":65535,"e":-2147483648,"f":4294967295,"#,
        r#""g":-9223372036854775808,"h":18446744073709551615,"i":0.1,"j":5e-324,"k":"😀","text":"a\"b\\\u0001","#,
        r#""bytes":"AAEC/w==","words":["","two"],"pair":[7,"x"],"form":{"polygon":[{"x":1.5,"y":-0.0}]},"#,
        r#""color":"blue","permissions":["read","execute"],"maybe":3,"perhaps":{"some":null},"#,
        r#""outcome":{"err":"no"},"points":[{"x":"NaN","y":"Infinity"},{"x":2.0,"y":3.0}]}"#,
    );
    let least = value
        .replace(r#""maybe":3"#, r#""maybe":null"#)
        .replace(r#""perhaps":{"some":null}"#, r#""perhaps":null"#)
        .replace(r#"{"polygon":[{"x":1.5,"y":-0.0}]}"#, r#""nothing""#)
        .replace(r#"{"err":"no"}"#, r#"{"ok":4}"#)
        .replace(r#"["read","execute"]"#, "[]");
    assert_ne!(least, value);
    let lines = format!("{value}\n{least}\n");
    assert_eq!(invoke("same", &lines).success().text(), lines);
}

#[test]
fn an_error_is_a_failed_item() {
    let outcome = invoke("divide", "[7,2]\n[1,0]\n[9,3]\n").code(3);
    assert_eq!(outcome.text(), "3\n3\n");
    assert_snapshot!(outcome.messages(), @"
    error: -, item 1 (at byte 6): division by zero
    3 items, 1 failed, 18 B in, 4 B out, TIME, WORKERS, SPEED-UP
    failed: output written without 1 item: standard output
    ");
    let outcome = invoke("fail", "[0]\n[7]\n").code(3);
    assert_eq!(outcome.text(), "null\n");
    assert_snapshot!(outcome.messages(), @r#"
    error: -, item 1 (at byte 4): {"circle":7.0}
    2 items, 1 failed, 8 B in, 5 B out, TIME, WORKERS, SPEED-UP
    failed: output written without 1 item: standard output
    "#);
}

#[test]
fn a_line_that_is_no_call_is_a_failed_item() {
    let lines = "[1,2]\nnonsense\n[1,2.5]\n[\"1\",2]\n[1]\n\n{\"a\":1,\"c\":2}\n[3000000000,1]\n[3,4]\n";
    let outcome = invoke("math.add", lines).code(3);
    assert_eq!(outcome.text(), "3\n7\n");
    assert_snapshot!(outcome.messages(), @r#"
    error: -, item 1 (at byte 6): this is not JSON, at byte 0: null expected
    error: -, item 2 (at byte 15): argument b: expected s32, a whole number from -2147483648 to 2147483647, but 2.5, with a fraction or an exponent, came
    error: -, item 3 (at byte 23): argument a: expected s32, but the string "1" came
    error: -, item 4 (at byte 31): expected 2 arguments, but 1 came
    error: -, item 5 (at byte 35): the line is empty, but the arguments were expected
    error: -, item 6 (at byte 36): there is no argument "c"; there are a, b
    error: -, item 7 (at byte 50): argument a: expected s32, a whole number from -2147483648 to 2147483647, but 3000000000 came
    9 items, 7 failed, 71 B in, 4 B out, TIME, WORKERS, SPEED-UP
    failed: output written without 7 items: standard output
    "#);
    let outcome = place().taskhost("run library.wasm --invoke math.add --errors -").input("[\n").run().code(3);
    assert!(outcome.stderr.contains("this is not JSON, at byte 1"), "{}", outcome.stderr);
}

#[test]
fn a_trap_costs_its_item() {
    let outcome = invoke("trap", "0\n1\n0\n").code(3);
    assert_eq!(outcome.text(), "null\nnull\n");
    assert!(outcome.stderr.contains("unreachable"), "{}", outcome.stderr);
}

#[test]
fn results_and_arguments_have_limits() {
    let place = place();
    let run = "run library.wasm --on-error skip --max-output 100 --invoke";
    let outcome = place.taskhost(run).argument("greet").input(format!("\"{}\"\n\"short\"\n", "x".repeat(200))).run();
    assert_eq!(outcome.code(3).text(), "\"short\"\n");
    // More than the values of a result may take in the host.
    let outcome = place.taskhost(run).argument("repeat").input("[\"\",2000000]\n[\"\",0]\n").run();
    assert_eq!(outcome.code(3).text(), "\"\"\n");
    let run = "run library.wasm --on-error skip --memory 8MiB --invoke longest";
    let many = format!("[[{}\"x\"]]\n[[\"y\"]]\n", "\"\",".repeat(200_000));
    let outcome = place.taskhost(run).input(many).run().code(3);
    assert_eq!(outcome.text(), "\"y\"\n");
    assert!(outcome.stderr.contains("more values in the line than there is room for"), "{}", outcome.stderr);
}

#[test]
fn a_hundred_megabytes_are_a_string() {
    let place = place();
    place.write("long.jsonl", format!("\"{}\"\n", "long ".repeat(20_000_000)));
    place.taskhost("run library.wasm --invoke greet long.jsonl -o same.jsonl").run().success();
    assert!(place.read("same.jsonl") == place.read("long.jsonl"));
}

#[test]
fn a_call_can_be_typed() {
    for (typed, result) in [
        ("add(1, -2)", None),
        ("math.add(1, -2)", Some("-1")),
        ("example:numbers/math@1.2.0#is-prime(1000003)", Some("true")),
        ("nap()", Some("null")),
        ("greet(\"a(b)\")", Some("\"a(b)\"")),
        ("flip({x: inf, y: -1.5})", Some("{\"x\":-1.5,\"y\":\"Infinity\"}")),
        ("paint(polygon([{x: 1, y: 2}]))", Some("\"green\"")),
        ("longest([\"a\", \"bc\"])", Some("\"bc\"")),
    ] {
        let outcome = call(typed);
        match result {
            Some(result) => assert_eq!(outcome.success().text(), format!("{result}\n"), "{typed}"),
            None => assert!(outcome.code(4).stderr.contains("may be one of several functions"), "{typed}"),
        }
    }
    assert_snapshot!(call("divide(1, 0)").code(3).messages(), @"
    error: the call: division by zero
    1 item, 1 failed, 12 B in, 0 B out, TIME, WORKERS, SPEED-UP
    failed: the output is not whole; to go on without the items that fail, type --on-error skip
    ");
    assert_snapshot!(call("math.add(1)").code(3).messages(), @"
    error: the call: the call is not understood: invalid params: missing required param(s) at 10..11; the function takes (a: s32, b: s32)
    1 item, 1 failed, 11 B in, 0 B out, TIME, WORKERS, SPEED-UP
    failed: the output is not whole; to go on without the items that fail, type --on-error skip
    ");
    assert_snapshot!(call("math.add(1, \"x\")").code(3).messages(), @"
    error: the call: the call is not understood: invalid value type at 12..15; the function takes (a: s32, b: s32)
    1 item, 1 failed, 16 B in, 0 B out, TIME, WORKERS, SPEED-UP
    failed: the output is not whole; to go on without the items that fail, type --on-error skip
    ");
    assert_snapshot!(call("math.add(1, ").code(3).messages(), @"
    error: the call: the call is not understood: unexpected end of input at 12..12; the function takes (a: s32, b: s32)
    1 item, 1 failed, 12 B in, 0 B out, TIME, WORKERS, SPEED-UP
    failed: the output is not whole; to go on without the items that fail, type --on-error skip
    ");
    assert_eq!(call(&format!("longest({}", "[".repeat(20_000))).code, 3);
}

#[test]
fn what_cannot_be_called_is_refused() {
    assert_snapshot!(invoke("is-prim", "1\n").code(4).messages(), @"error: library.wasm: it has no function is-prim; it has greet, longest, nap, trap, repeat, example:numbers/math@1.2.0#is-prime, example:numbers/math@1.2.0#add, example:numbers/math@1.2.0#divide, example:numbers/more-math@1.2.0#add, example:numbers/forms@1.2.0#[method]counter.next, example:numbers/forms@1.2.0#same, example:numbers/forms@1.2.0#flip, … and 2 more. Did you mean is-prime?");
    assert_snapshot!(invoke("add", "1\n").code(4).messages(), @"error: library.wasm: add may be one of several functions; write one of example:numbers/math@1.2.0#add, example:numbers/more-math@1.2.0#add");
    assert_snapshot!(invoke("forms#[method]counter.next", "1\n").code(4).messages(), @"error: library.wasm: the function example:numbers/forms@1.2.0#[method]counter.next cannot be called with JSON: its parameter self has a resource in it, which is a handle and no data");
    let place = place();
    place.write("lines", "1\n");
    place.write("raw.wat", "(module (func (export \"f\")))");
    place.write("kernel.wasm", b"(component)");
    assert_snapshot!(place.taskhost("run library.wasm lines").run().code(4).messages(), @"error: library.wasm: name the function to be called with --invoke NAME: it has greet, longest, nap, trap, repeat, example:numbers/math@1.2.0#is-prime, example:numbers/math@1.2.0#add, example:numbers/math@1.2.0#divide, example:numbers/more-math@1.2.0#add, example:numbers/forms@1.2.0#[method]counter.next, example:numbers/forms@1.2.0#same, example:numbers/forms@1.2.0#flip, … and 2 more; `taskhost inspect library.wasm` says what they take");
    assert_snapshot!(place.taskhost("run raw.wat --invoke f lines").run().code(4).messages(), @"error: raw.wat: --invoke wants a component, or a core module with a `component-type` section: only those say what their functions take; this is a core module without one");
    assert_snapshot!(place.taskhost("run kernel.wasm --invoke f lines").run().code(4).messages(), @"error: kernel.wasm: it exports nothing; a kernel exports mapper, flat-mapper or image-filter of taskhost:kernel@0.1.0, or wasi:cli/run@0.2 (a program), or any functions to be called with --invoke");
    let outcome = place.taskhost("run mandelbrot --invoke f lines").run().code(4);
    assert!(outcome.stderr.contains("it has no function f; it has taskhost:kernel/"), "{}", outcome.stderr);
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    let place = place();
    place.write("lines", "1\n");
    for arguments in [
        "--invoke nap() lines",
        "--invoke nap() --split lines",
        "--invoke nap() --journal j -o out",
        "--invoke nap --kind raw lines",
        "--invoke nap -c a=b lines",
        "--invoke (1) lines",
        "--invoke nap --merge reduce lines",
    ] {
        place.taskhost("run library.wasm").arguments(arguments).run().code(2);
    }
}

#[test]
fn a_failed_call_can_be_replayed() {
    let place = place();
    let run = "run library.wasm --invoke divide --on-error skip --capture bad -q";
    place.taskhost(run).input("[4,2]\n[1,0]\n").run().code(3);
    let files = place.files();
    let capsule = files.iter().find(|name| name.starts_with("bad/")).expect("a capsule");
    let outcome = place.taskhost("replay").argument(capsule).run().code(3);
    assert!(outcome.stderr.contains("division by zero"), "{}", outcome.stderr);
}

#[test]
fn functions_are_shown_with_an_example() {
    let outcome = place().taskhost("inspect library.wasm").run().success();
    let text = outcome.text();
    let shown = text.split("Exports:").next().unwrap();
    let short: Vec<&str> = shown.lines().filter(|line| line.len() < 200).collect();
    assert_snapshot!(short.join("\n"), @r#"
    typed functions: a component, and --invoke NAME calls one of its functions

    Usage: taskhost run library.wasm --invoke NAME [INPUT]… [-o OUTPUT]

    Functions (--invoke NAME, a line of JSON for each call):
      greet: func(name: string) -> string
          "text"
      longest: func(words: list<string>) -> string
          [["text"]]
      nap: func()
          []
      trap: func(n: u32)
          1
      repeat: func(text: string, times: u32) -> list<u8>
          ["text", 1]
      example:numbers/math@1.2.0#is-prime: func(n: u64) -> bool
          1
      example:numbers/math@1.2.0#add: func(a: s32, b: s32) -> s32
          [1, 1]
      example:numbers/math@1.2.0#divide: func(dividend: s32, divisor: s32) -> result<s32, string>
          [1, 1]
      example:numbers/more-math@1.2.0#add: func(a: s32, b: s32) -> s32
          [1, 1]
      example:numbers/forms@1.2.0#[method]counter.next: func(self: borrow<resource>) -> u32
          cannot be called: its parameter self has a resource in it, which is a handle and no data
      example:numbers/forms@1.2.0#flip: func(p: record { x: f64, y: f64 }) -> record { x: f64, y: f64 }
          {"x": 1.5, "y": 1.5}
      example:numbers/forms@1.2.0#paint: func(form: variant { circle(f64), polygon(list<record { x: f64, y: f64 }>), nothing }) -> option<enum { red, green, blue }>
          [{"circle": 1.5}]
      example:numbers/forms@1.2.0#fail: func(code: u32) -> result<_, variant { circle(f64), polygon(list<record { x: f64, y: f64 }>), nothing }>
          1
    "#);
    // Every example is a line that the function takes.
    let mut lines = shown.lines().skip_while(|line| !line.starts_with("Functions"));
    lines.next();
    let mut called = 0;
    while let (Some(name), Some(example)) = (lines.next(), lines.next()) {
        let Some((name, _)) = name.trim().split_once(": func(") else { break };
        if !example.contains("cannot be called") && !name.contains("trap") && !name.contains("fail") {
            invoke(name, &format!("{}\n", example.trim())).success();
            called += 1;
        }
    }
    assert!(called > 8, "{called}");
}

#[test]
fn a_dry_run_says_how_lines_are_cut() {
    let place = place();
    place.write("lines", "1\n");
    let outcome = place.taskhost("run library.wasm --invoke is-prime -n lines").run().success();
    let text = outcome.text();
    assert!(text.contains("split    lines (by default)") && text.contains("merge    lines (by default)"), "{text}");
}

#[test]
fn wasi_is_there_and_makes_no_difference() {
    let place = place();
    place.write("dice.wasm", library::dice());
    place.write("lines", "[]\n".repeat(2000));
    let rolls = [1, 2].map(|workers| {
        let run = format!("run dice.wasm --invoke roll --batch 7 -j {workers} lines");
        place.taskhost(&run).run().success().text().to_owned()
    });
    assert_eq!(rolls[0], rolls[1]);
    let different: std::collections::HashSet<&str> = rolls[0].lines().collect();
    assert_eq!(different.len(), 2000);
}

#[test]
fn types_are_imported_from_nobody() {
    let place = place();
    place.write("borrowed.wasm", library::borrowed());
    let lines = "[{\"x\":3,\"y\":4},\"y\"]\n{\"axis\":\"x\",\"of\":{\"y\":4,\"x\":3}}\n";
    let outcome = place.taskhost("run borrowed.wasm --invoke pick").input(lines).run().success();
    assert_eq!(outcome.text(), "4\n3\n");
}

#[test]
fn functions_are_imported_from_nobody_either() {
    let place = place();
    place.write("needy.wasm", library::needy());
    let outcome = place.taskhost("run needy.wasm --invoke run").input("1\n").run().code(4);
    assert!(outcome.stderr.contains("imports example:needy/helper, which is not offered"), "{}", outcome.stderr);
}

#[test]
fn an_instance_is_kept_unless_somebody_says_otherwise() {
    let place = place();
    place.write("lines", "1\n2\n");
    for fresh in ["worker", "batch", "item"] {
        let run = format!("run library.wasm --invoke is-prime --fresh {fresh} lines");
        assert_eq!(place.taskhost(&run).run().success().text(), "false\ntrue\n");
    }
}

#[test]
fn fuel_is_the_same_for_the_same_call() {
    let place = place();
    let run = "run library.wasm --invoke is-prime --fuel 1000 --on-error skip";
    let outcome = place.taskhost(run).input("7\n1000000007\n9\n").run().code(3);
    assert_eq!(outcome.text(), "true\nfalse\n");
    assert!(outcome.stderr.contains("used up the 1000 units of fuel"), "{}", outcome.stderr);
}

/// The code is the same, and for a large component it takes long to make.
#[test]
fn what_was_inspected_is_not_compiled_again() {
    let place = place();
    place.write("lines", "1\n");
    let taskhost =
        |arguments: &str| place.taskhost(arguments).env("XDG_CACHE_HOME", place.path("cache")).run().success();
    taskhost("inspect library.wasm");
    taskhost("run library.wasm --invoke is-prime lines");
    taskhost("run library.wasm --invoke greet(\"x\")");
    assert_eq!(taskhost("cache ls").text().lines().filter(|line| line.contains("library.wasm")).count(), 1);
}

#[test]
fn functions_of_the_contract_can_be_called_too() {
    let place = place();
    let call = "mapper.process([49, 32, 49, 48])";
    let outcome = place.taskhost("run primes").argument("--invoke").argument(call).run().success();
    assert!(outcome.text().starts_with('"'), "{}", outcome.text());
}
