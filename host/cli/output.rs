//! Where results go: standard output, one file, a file for each input, or what a file name really is.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use taskhost_data::formats::{is_parquet_name, packing_of};
use taskhost_os::atomic_file::{AtomicFile, AtomicFileError};
use taskhost_pool::job::Output;
use taskhost_protocol::limits::DATABASE_BYTES;
use taskhost_protocol::stream::{Conversion, Load, StreamWork};

use crate::args::RunArguments;
use crate::exit_code::Failure;
use crate::inputs::outputs::Destination;

/// Where the results of a run go.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Standard output; `asked` when the user typed `-o -`, and so wants it even on a terminal.
    Stdout { asked: bool },
    /// One file.
    File(PathBuf),
    /// A file for each input.
    PerInput(Destination),
}

/// Reads `-o`.
pub(crate) fn place(output: Option<&Path>) -> Result<Place, Failure> {
    let Some(output) = output else { return Ok(Place::Stdout { asked: false }) };
    if output.as_os_str() == "-" {
        return Ok(Place::Stdout { asked: true });
    }
    let (file, table) = match table(output) {
        Some((_, "")) => {
            let output = output.display();
            return Err(Failure::usage(format!("-o {output} names no table: write -o {output}TABLE")));
        }
        Some((file, _)) => (file, true),
        None => (output, false),
    };
    let destination = Destination::parse(file.as_os_str()).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(match destination {
        Destination::Folder(_) if table => {
            return Err(Failure::usage(format!("{} is a folder, and a table is in a file", file.display())));
        }
        Destination::File(path) => Place::File(path),
        destination @ (Destination::Folder(_) | Destination::Template(_)) => Place::PerInput(destination),
    })
}

/// Binary results are not put on a terminal but into `<stem>.out<ext>` in the current folder.
pub(crate) fn spare_terminal(place: &Place, input: Option<&Path>) -> Option<PathBuf> {
    if matches!(place, Place::Stdout { asked: true }) || !io::stdout().is_terminal() {
        return None;
    }
    let stem = input.and_then(Path::file_stem).map_or_else(|| OsString::from("stdin"), OsString::from);
    let mut name = stem;
    name.push(".out");
    if let Some(extension) = input.and_then(Path::extension) {
        name.push(".");
        name.push(extension);
    }
    Some(PathBuf::from(name))
}

/// Standard output as an output.
pub(crate) fn stdout() -> Result<Output, Failure> {
    let fd = io::stdout().as_fd().try_clone_to_owned();
    fd.map(Output::Stream).map_err(|error| Failure::input(format!("standard output cannot be used: {error}")))
}

/// Extensions of SQLite databases.
const DATABASES: [&str; 4] = ["sqlite", "sqlite3", "db", "db3"];

/// The database and its table that `-o DATABASE::TABLE` names.
fn table(output: &Path) -> Option<(&Path, &str)> {
    let (file, table) = output.to_str()?.rsplit_once("::")?;
    let file = Path::new(file);
    let extension = file.extension()?.to_str()?;
    DATABASES.iter().any(|known| extension.eq_ignore_ascii_case(known)).then_some((file, table))
}

/// What is made of a result on its way to its file, by the names of both.
pub(crate) fn work(path: &Path, arguments: &RunArguments) -> Option<StreamWork> {
    if let Some((_, table)) = arguments.output.output.as_deref().and_then(table) {
        return Some(StreamWork::Load(Load { table: table.to_owned(), before: 0 }));
    }
    if arguments.input.no_compression {
        return None;
    }
    if is_parquet_name(path) {
        return Some(StreamWork::WriteTable { by_item: true });
    }
    packing_of(path).map(|packing| StreamWork::Convert(Conversion::Pack(packing)))
}

/// What a file is that this is made of, for messages.
pub(crate) fn kind(work: &StreamWork) -> String {
    match work {
        StreamWork::Load(load) => format!("rows of the table {} of a database", load.table),
        StreamWork::Convert(Conversion::Pack(packing) | Conversion::Unpack(packing)) => {
            format!("compressed with {}", packing.name())
        }
        StreamWork::ReadTable { .. } | StreamWork::WriteTable { .. } => "Parquet".into(),
    }
}

/// A file that appears whole or not at all, whatever is made of what is written; for a device or a pipe, that itself.
pub(crate) fn file(path: &Path, work: Option<StreamWork>) -> Result<Output, Failure> {
    if matches!(work, Some(StreamWork::WriteTable { .. })) && !cfg!(feature = "parquet") {
        let path = path.display();
        return Err(Failure::usage(format!(
            "{path} is to be Parquet, and this taskhost was built without that: build it with `cargo install --features \
             parquet`, or have results written to it as they are with --no-compression"
        )));
    }
    match (AtomicFile::create(path), work) {
        (Ok(file), Some(StreamWork::Load(load))) => database(path, file, load),
        (Ok(file), Some(work)) => Ok(Output::Converted(Box::new(file), work)),
        (Ok(file), None) => Ok(Output::File(Box::new(file))),
        (Err(AtomicFileError::NotAFile { .. }), Some(work)) if !path.is_dir() => {
            let (path, kind) = (path.display(), kind(&work));
            Err(Failure::input(format!("{path} is no file, and only a file can be {kind}: name a file")))
        }
        (Err(AtomicFileError::NotAFile { .. }), None) if !path.is_dir() => {
            let device = OpenOptions::new().write(true).open(path);
            let device =
                device.map_err(|error| Failure::input(format!("{} cannot be written: {error}", path.display())))?;
            Ok(Output::Stream(OwnedFd::from(device)))
        }
        (Err(AtomicFileError::Io { error, .. }), _) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Err(Failure::input(format!(
                "{} cannot be written: the folder {} does not exist; make it first: mkdir -p {}",
                path.display(),
                folder.display(),
                folder.display()
            )))
        }
        (Err(error), _) => Err(Failure::input(error.to_string())),
    }
}

/// A database to which rows are added: a copy of what is there, which takes its place when all of them are in it.
fn database(path: &Path, file: AtomicFile, load: Load) -> Result<Output, Failure> {
    let failed = |error: io::Error| Failure::input(format!("{} cannot be read: {error}", path.display()));
    for suffix in ["-wal", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let name = PathBuf::from(name);
        if name.metadata().is_ok_and(|metadata| metadata.len() > 0) {
            let (name, path) = (name.display(), path.display());
            return Err(Failure::input(format!(
                "{name} is there, so that {path} is in use, or was left in the middle of something: close what uses it, or \
                 open and close it once with the sqlite3 command"
            )));
        }
    }
    let before = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        old => {
            let mut old = old.map_err(failed)?;
            if old.metadata().map_err(failed)?.len() > DATABASE_BYTES {
                let (path, most) = (path.display(), DATABASE_BYTES >> 30);
                return Err(Failure::input(format!(
                    "{path} is larger than {most} GiB, the most that rows are added to in this way; write JSON lines, and have \
                     the sqlite3 command load them"
                )));
            }
            io::copy(&mut old, &mut file.file()).map_err(failed)?
        }
    };
    Ok(Output::Converted(Box::new(file), StreamWork::Load(Load { before, ..load })))
}

/// A file for one input of many: its folder is made when needed.
pub(crate) fn file_of_many(path: &Path, work: Option<StreamWork>) -> Result<Output, Failure> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::input(format!("the folder {} cannot be made: {error}", folder.display())))?;
    }
    file(path, work)
}
