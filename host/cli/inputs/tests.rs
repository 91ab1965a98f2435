//! Sources from arguments, folders and lists, on real files.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// A folder with these files.
fn folder_with(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for file in files {
        fs::create_dir_all(folder.path().join(file).parent().expect("within the folder")).expect("made");
        fs::write(folder.path().join(file), file).expect("written");
    }
    folder
}

/// The names of all sources; errors as `!`.
fn names(inputs: &mut Inputs) -> Vec<String> {
    let name = |found| match found {
        Ok(Found::Stdin | Found::Call(_)) => "-".to_owned(),
        Ok(Found::File(file)) => file.name,
        Err(_) => "!".to_owned(),
    };
    inputs.map(name).collect()
}

/// The sources in one folder.
fn walk(folder: &Path, options: InputOptions) -> Inputs {
    Inputs::new(vec![folder.to_owned()], None, options).expect("good options")
}

#[test]
fn a_folder_is_walked_in_byte_order_of_the_paths() {
    let folder = folder_with(&["b", "a/z", "a.txt", "a/b/c", "B", "ä", ".hidden", ".git/config"]);
    let mut inputs = walk(folder.path(), InputOptions::default());
    assert_eq!(names(&mut inputs), ["B", "a.txt", "a/b/c", "a/z", "b", "ä"]);
    assert_eq!(inputs.skipped(), Skipped { hidden: 2, ..Skipped::default() });
    let hidden = InputOptions { hidden: true, ..InputOptions::default() };
    assert_eq!(names(&mut walk(folder.path(), hidden))[..3], [".git/config", ".hidden", "B"]);
}

#[test]
fn globs_choose_in_folders_only() {
    let folder = folder_with(&["a.png", "b.txt", "sub/c.png"]);
    let options = InputOptions { globs: vec!["*.png".into()], ..InputOptions::default() };
    let arguments = vec![folder.path().join("b.txt"), folder.path().to_owned()];
    let mut inputs = Inputs::new(arguments, None, options).expect("good options");
    let text = folder.path().join("b.txt").display().to_string();
    assert_eq!(names(&mut inputs), [text.as_str(), "a.png", "sub/c.png"]);
    assert_eq!(inputs.skipped().filtered, 1);
}

#[test]
fn links_to_files_are_files_and_links_to_folders_are_left_out() {
    let folder = folder_with(&["real/a", "elsewhere"]);
    symlink("../elsewhere", folder.path().join("real/link")).expect("linked");
    symlink("..", folder.path().join("real/up")).expect("linked");
    symlink("nowhere", folder.path().join("real/broken")).expect("linked");
    let mut inputs = walk(&folder.path().join("real"), InputOptions::default());
    assert_eq!(names(&mut inputs), ["a", "!", "link"], "the broken link is an error");
    assert_eq!(inputs.skipped().linked_folders, 1);
}

#[test]
fn what_is_no_file_is_left_out() {
    let folder = folder_with(&["a"]);
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).expect("bound");
    let mut inputs = walk(folder.path(), InputOptions::default());
    assert_eq!(names(&mut inputs), ["a"]);
    assert_eq!(inputs.skipped().special, 1);
}

#[test]
fn the_output_folder_is_no_input() {
    let folder = folder_with(&["a", "out/a", "out/deep/b", "outer/c"]);
    let options = InputOptions { exclude: Some(folder.path().join("./out")), ..InputOptions::default() };
    assert_eq!(names(&mut walk(folder.path(), options)), ["a", "outer/c"]);
}

#[test]
fn one_missing_path_is_one_error() {
    let folder = folder_with(&["a"]);
    let arguments = vec![folder.path().join("missing"), folder.path().join("a")];
    let found: Vec<_> = Inputs::new(arguments, None, InputOptions::default()).expect("good options").collect();
    let error = found[0].as_ref().expect_err("missing");
    assert!(!error.is_usage() && error.to_string().contains("missing: No such file"), "{error}");
    let expected = FoundFile {
        path: folder.path().join("a"),
        name: folder.path().join("a").display().to_string(),
        relative: "a".into(),
    };
    assert!(matches!(&found[1], Ok(Found::File(file)) if *file == expected));
}

#[test]
fn standard_input_is_taken_once() {
    let one = Inputs::new(vec!["-".into()], None, InputOptions::default()).expect("once");
    assert!(matches!(one.collect::<Vec<_>>()[..], [Ok(Found::Stdin)]));
    let twice = Inputs::new(vec!["-".into(), "-".into()], None, InputOptions::default());
    assert!(twice.expect_err("twice").is_usage());
    let list = ListSource { path: None, nul: false };
    assert!(Inputs::new(vec!["-".into()], Some(list), InputOptions::default()).is_err());
}

#[test]
fn a_list_names_files_and_folders() {
    let folder = folder_with(&["a", "sub/b", "sub/c"]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(folder.path().join("list"), format!("{}\n{}\n{}\n", path("a"), path("missing"), path("sub")))
        .expect("written");
    let list = ListSource { path: Some(folder.path().join("list")), nul: false };
    let mut inputs =
        Inputs::new(vec![folder.path().join("list")], Some(list), InputOptions::default()).expect("a list");
    assert!(inputs.is_open_ended());
    assert_eq!(names(&mut inputs), [path("list").as_str(), path("a").as_str(), "!", "b", "c"]);
    let missing = ListSource { path: Some(folder.path().join("no-list")), nul: true };
    assert!(Inputs::new(Vec::new(), Some(missing), InputOptions::default()).is_err());
}

#[test]
fn listed_paths_keep_what_is_below_the_current_folder() {
    for (path, relative) in
        [("./a/b.png", "a/b.png"), ("a/b.png", "a/b.png"), ("../a/b.png", "b.png"), ("/x/b.png", "b.png")]
    {
        assert_eq!(listed_relative(Path::new(path)), Path::new(relative));
    }
}
