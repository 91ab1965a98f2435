//! Which files are read, in which order, and where the result of each goes.

use std::path::Path;

use insta::assert_snapshot;

use crate::harness::Place;

/// Lines of their own, a file to each.
fn folder() -> Place {
    let place = Place::new();
    for (name, text) in [("b.txt", "b"), ("a.log", "a"), ("a/z.txt", "z"), ("sub/c.txt", "c"), ("a-b.txt", "d")] {
        place.write(&format!("in/{name}"), format!("{text}\n"));
    }
    place.write("in/.hidden.txt", "hidden\n");
    place.write("in/sub/.git/x.txt", "git\n");
    place
}

/// What comes of all inputs together, in a line.
#[track_caller]
fn joined(place: &Place, arguments: &str) -> String {
    let run = place.taskhost(&format!("run echo --split lines --merge lines -q {arguments}"));
    run.run().success().text().replace('\n', " ").trim_end().to_owned()
}

#[test]
fn a_folder_is_read_in_byte_order_of_the_paths() {
    let place = folder();
    // in/a-b.txt in/a.log in/a/z.txt in/b.txt in/sub/c.txt
    assert_eq!(joined(&place, "in"), "d a z b c");
    assert_eq!(joined(&place, "in/sub in/b.txt in/a"), "c b z");
}

#[test]
fn globs_and_hidden_files() {
    let place = folder();
    assert_eq!(joined(&place, "in --glob *.txt"), "d z b c");
    assert_eq!(joined(&place, "in --glob a/*.txt --glob *.log"), "a z");
    assert_eq!(joined(&place, "in --hidden"), "hidden d a z b git c");
    let outcome = place.taskhost("run echo in --glob *.zip").run().code(5);
    assert_snapshot!(outcome.stderr, @"error: no input was found: 2 hidden, 5 not matching --glob, 0 in linked folders, 0 no regular files were left out");
    place.taskhost("run echo in --glob [").run().code(2);
}

#[test]
fn a_folder_is_not_left_by_links_and_special_files_are_passed_over() {
    let place = folder();
    std::os::unix::fs::symlink(place.path("in"), place.path("in/sub/loop")).unwrap();
    std::os::unix::fs::symlink(place.path("in/b.txt"), place.path("in/link.txt")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(place.path("in/pipe.txt")).status().unwrap();
    assert!(pipe.success());
    assert_eq!(joined(&place, "in"), "d a z b b c");
}

#[test]
fn standard_input_stands_among_files() {
    let place = folder();
    let run = place.taskhost("run echo --split lines --merge lines in/b.txt - in/a.log").input("x\ny");
    assert_eq!(run.run().success().text(), "b\nx\ny\na\n");
    place.taskhost("run echo - -").run().code(2);
}

#[test]
fn a_list_of_inputs_is_read_as_it_comes() {
    let place = folder();
    let mut running = place.taskhost("run echo --split lines --merge lines --input-list - --batch 1").start();
    for (path, text) in [("in/b.txt", "b"), ("in/a.log", "a"), ("in/sub/c.txt", "c")] {
        running.write(format!("{path}\n"));
        assert_eq!(running.line(), text);
    }
    running.end().success();
}

#[test]
fn a_list_may_be_a_file_and_end_its_paths_with_nul() {
    let place = folder();
    place.write("in/new\nline", "odd\n");
    place.write("list", "in/b.txt\n\nin/a\n");
    assert_eq!(joined(&place, "--input-list list"), "b z");
    place.write("list", "in/new\nline\0in/b.txt\0");
    assert_eq!(joined(&place, "-0 --input-list list"), "odd b");
    assert_eq!(joined(&place, "--null --input-list list in/a.log"), "a odd b");
    place.taskhost("run echo --input-list missing").run().code(5);
    place.taskhost("run echo - --input-list -").run().code(2);
}

#[test]
fn a_missing_file_of_a_list_fails_one_joined_output() {
    let place = folder();
    let run = place.taskhost("run echo --split lines --input-list - -o out").input("in/b.txt\nmissing\nin/a.log\n");
    let outcome = run.run().code(5);
    assert!(outcome.stderr.contains("missing: No such file"), "{}", outcome.stderr);
    assert!(!place.path("out").exists());
}

#[test]
fn a_result_for_each_input_has_its_path() {
    let place = folder();
    place.taskhost("run invert in -o out/").run().success();
    for name in ["b.txt", "a.log", "a/z.txt", "sub/c.txt", "a-b.txt"] {
        let inverted: Vec<u8> = place.read(&format!("in/{name}")).iter().map(|byte| 255 - byte).collect();
        assert_eq!(place.read(&format!("out/{name}")), inverted, "{name}");
    }
    assert_eq!(place.files().iter().filter(|path| path.starts_with("out/")).count(), 5);
}

#[test]
fn what_is_there_already_may_be_left_out() {
    let place = folder();
    place.write("out/b.txt", "old");
    let outcome = place.taskhost("run invert in -o out --skip-existing --report r.json").run().success();
    assert_eq!(place.text("out/b.txt"), "old");
    assert!(place.path("out/a.log").exists());
    assert!(outcome.stderr.contains("1 left out"), "{}", outcome.stderr);
    assert!(place.text("r.json").contains("\"skipped_inputs\": 1"));
    place.taskhost("run invert in -o out").run().success();
    assert_ne!(place.text_lossy("out/b.txt"), "old");
    place.taskhost("run invert in/b.txt -o one --skip-existing").run().code(2);
}

#[test]
fn names_are_made_by_templates() {
    let place = folder();
    place.taskhost("run echo in -o out/{dir}/{stem}-{ext}.new").run().success();
    let new: Vec<String> = place.files().into_iter().filter(|name| name.starts_with("out/")).collect();
    assert_eq!(new, ["out/a-b-txt.new", "out/a-log.new", "out/a/z-txt.new", "out/b-txt.new", "out/sub/c-txt.new"]);
    place.taskhost("run echo in/b.txt -o {name}.{{x}}").run().success();
    assert_eq!(place.text("b.txt.{x}"), "b\n");
    let outcome = place.taskhost("run echo in -o out/{base}").run().code(2);
    assert_snapshot!(outcome.stderr, @"error: -o 'out/{base}': {base} is no placeholder; there are {path} {dir} {name} {stem} {ext}; for braces in a name write {{ and }}");
}

#[test]
fn two_results_of_one_name_are_refused_before_anything_runs() {
    let place = folder();
    let outcome = place.taskhost("run echo in -o out/{ext}").run().code(2);
    let first = "error: out/txt would be the output of two inputs, in/a-b.txt and ";
    assert!(outcome.stderr.starts_with(first), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("tell them apart with a template such as -o 'DIR/{path}'"), "{}", outcome.stderr);
    let outcome = place.taskhost("run echo in/sub in/sub/c.txt -o out/").run().code(2);
    assert!(outcome.stderr.contains("out/c.txt would be the output of two inputs"), "{}", outcome.stderr);
    assert!(!place.path("out").exists());
}

#[test]
fn a_result_never_takes_the_place_of_an_input() {
    let place = folder();
    let before = place.read("in/b.txt");
    for output in ["in/", "in/{path}", "./in/../in/{path}"] {
        let outcome = place.taskhost("run invert in -o").argument(output).run().code(2);
        assert!(outcome.stderr.contains("is an input"), "{}", outcome.stderr);
    }
    assert_eq!(place.read("in/b.txt"), before);
}

/// An output folder within the input folder is not read at the next run.
#[test]
fn the_output_folder_is_no_input() {
    let place = folder();
    for _ in 0..2 {
        place.taskhost("run echo in -o in/out/").run().success();
    }
    let nested = place.files().into_iter().filter(|name| name.contains("out/out")).count();
    assert_eq!(nested, 0);
    assert!(Path::new(&place.path("in/out/b.txt")).exists());
}
