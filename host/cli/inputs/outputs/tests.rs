//! Names of outputs, on real files.

use std::fs;

use super::*;

/// A file as it is found in a folder.
fn found(folder: &Path, relative: &str) -> Found {
    let name = relative.to_owned();
    Found::File(FoundFile { path: folder.join(relative), name, relative: relative.into() })
}

/// A folder with these files.
fn folder_with(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for file in files {
        fs::create_dir_all(folder.path().join(file).parent().expect("within the folder")).expect("made");
        fs::write(folder.path().join(file), file).expect("written");
    }
    folder
}

/// The destination that a text says.
fn destination(text: impl AsRef<OsStr>) -> Destination {
    Destination::parse(text.as_ref()).expect("a destination")
}

#[test]
fn a_slash_or_an_existing_folder_makes_a_folder() {
    let folder = folder_with(&[]);
    assert_eq!(destination("out/"), Destination::Folder("out/".into()));
    assert_eq!(destination(folder.path()), Destination::Folder(folder.path().into()));
    assert_eq!(destination("out.png"), Destination::File("out.png".into()));
    assert_eq!(destination("a{{b}}"), Destination::File("a{b}".into()));
    assert!(matches!(destination("out/{stem}.png"), Destination::Template(_)));
}

#[test]
fn each_input_has_its_place() {
    let folder = folder_with(&["a.png", "sub/a.png"]);
    let inputs = [found(folder.path(), "a.png"), found(folder.path(), "sub/a.png")];
    let out = folder.path().join("out");
    let mut names = OutputNames::new(Destination::Folder(out.clone()), false);
    let expected = vec![Output::Write(out.join("a.png")), Output::Write(out.join("sub/a.png"))];
    assert_eq!(names.name_all(&inputs), Ok(expected));
}

#[test]
fn two_inputs_with_one_output_are_refused() {
    let folder = folder_with(&["a.png", "sub/a.png"]);
    let inputs = [found(folder.path(), "a.png"), found(folder.path(), "sub/a.png")];
    let mut names = OutputNames::new(destination("out/{stem}.jpg"), false);
    let error = names.name_all(&inputs).expect_err("the same name").to_string();
    assert!(error.starts_with("out/a.jpg would be the output of two inputs"), "{error}");
    assert!(error.contains(&folder.path().join("a.png").display().to_string()), "{error}");
    let mut names = OutputNames::new(destination("out/{stem}.jpg"), false);
    assert!(names.name(&inputs[0]).is_ok());
    assert!(names.name(&inputs[1]).expect_err("the same name").to_string().contains("input 1"));
}

#[test]
fn an_input_is_not_written_over() {
    let folder = folder_with(&["a.png", "b.png"]);
    let same_place = Destination::Folder(folder.path().join("."));
    let error = OutputNames::new(same_place, false).name(&found(folder.path(), "a.png")).expect_err("the input itself");
    assert!(matches!(error, OutputNameError::OverInput { .. }), "{error}");
    // The result of the first in the place of the second.
    let inputs = [found(folder.path(), "a.png"), found(folder.path(), "b.png")];
    let other = folder.path().join("b.png");
    let Found::File(second) = &inputs[1] else { unreachable!("a file") };
    let renamed = FoundFile { relative: "c.png".into(), ..second.clone() };
    let first = FoundFile { path: folder.path().join("a.png"), name: "a.png".into(), relative: "b.png".into() };
    let mut names = OutputNames::new(Destination::Folder(folder.path().into()), false);
    let error = names.name_all(&[Found::File(first), Found::File(renamed)]).expect_err("over the second");
    assert_eq!(
        error,
        OutputNameError::OverInput { output: other, writer: folder.path().join("a.png").display().to_string() }
    );
}

#[test]
fn what_exists_is_passed_over_on_request() {
    let folder = folder_with(&["in/a", "in/b", "out/a"]);
    let inputs = [found(&folder.path().join("in"), "a"), found(&folder.path().join("in"), "b")];
    let out = folder.path().join("out");
    let outputs = OutputNames::new(Destination::Folder(out.clone()), true).name_all(&inputs).expect("good names");
    assert_eq!(outputs, [Output::Exists(out.join("a")), Output::Write(out.join("b"))]);
    let outputs = OutputNames::new(Destination::Folder(out.clone()), false).name_all(&inputs).expect("good names");
    assert_eq!(outputs, [Output::Write(out.join("a")), Output::Write(out.join("b"))]);
}

#[test]
fn standard_input_has_no_name() {
    let mut names = OutputNames::new(destination("out/"), false);
    assert_eq!(names.name_all(&[Found::Stdin]), Err(OutputNameError::Stdin));
}
