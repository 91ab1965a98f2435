//! This executable and the processor it runs on, as far as compiled artifacts depend on them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::OnceLock;

use crate::exact::{ExactError, pread_exact};
use crate::spawn::Program;

/// What tells two builds of this program apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildId {
    /// The linker's own note (GNU build id): a digest of what was linked, usually 20 bytes.
    Note(Vec<u8>),
    /// There is none. Hash the file instead ([`open`]).
    Absent,
}

/// This executable, by inode: an upgrade on the disk does not change what this opens.
///
/// # Errors
/// When /proc is not there.
pub fn open() -> io::Result<File> {
    File::open("/proc/self/exe")
}

/// The build id of this executable. Reads a few hundred bytes of it.
///
/// # Errors
/// When the executable cannot be read.
pub fn build_id() -> io::Result<BuildId> {
    Ok(note_of(&open()?).map_err(io_error)?.map_or(BuildId::Absent, BuildId::Note))
}

/// What tells this build of the executable from all others: its build id, or where there is none, its bytes.
///
/// # Errors
/// When the executable cannot be read.
pub fn identity() -> io::Result<[u8; 32]> {
    // It does not change while this runs; what is forked has what was read before.
    static KNOWN: OnceLock<[u8; 32]> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(*known);
    }
    let read = identity_of(&Program::ProcSelfExe)?;
    Ok(*KNOWN.get_or_init(|| read))
}

/// The same of another program.
///
/// # Errors
/// When it cannot be read.
pub fn identity_of(program: &Program) -> io::Result<[u8; 32]> {
    let open = || match program {
        Program::ProcSelfExe => open(),
        Program::Path(path) => File::open(OsStr::from_bytes(path.to_bytes())),
    };
    let mut hasher = blake3::Hasher::new_derive_key("taskhost executable 2026-11 v1");
    match note_of(&open()?).map_err(io_error)? {
        Some(note) => hasher.update(&note),
        None => hasher.update_reader(open()?)?,
    };
    Ok(*hasher.finalize().as_bytes())
}

/// The features of this processor, sorted, separated by spaces: equal texts mean that code compiled on one runs on
/// the other.
///
/// # Errors
/// When /proc/cpuinfo cannot be read or tells nothing.
pub fn cpu_features() -> io::Result<String> {
    for line in BufReader::new(File::open("/proc/cpuinfo")?).lines() {
        if let Some(features) = features_of(&line?) {
            return Ok(features);
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "/proc/cpuinfo names no features of this processor"))
}

/// The features in a line that names them: `flags` on x86-64, `Features` on aarch64.
fn features_of(line: &str) -> Option<String> {
    let (name, list) = line.split_once(':')?;
    if !matches!(name.trim(), "flags" | "Features") {
        return None;
    }
    let mut features: Vec<&str> = list.split_whitespace().collect();
    features.sort_unstable();
    features.dedup();
    Some(features.join(" "))
}

/// Bytes of the header of a 64-bit ELF file, and of one entry of its program headers.
const HEADER_BYTES: usize = 64;
const ENTRY_BYTES: usize = 56;

/// The kind of a program header that points to notes, and of the note that is a build id.
const PT_NOTE: u32 = 4;
const NT_GNU_BUILD_ID: u32 = 3;

/// Most bytes of notes that are read: they are small, and a broken file may claim anything.
const MOST_NOTE_BYTES: u64 = 64 * 1024;

/// Most program headers that are looked at; ordinary programs have a dozen.
const MOST_ENTRIES: u64 = 128;

fn note_of(file: &File) -> Result<Option<Vec<u8>>, ExactError> {
    let mut header = [0; HEADER_BYTES];
    pread_exact(file.as_fd(), &mut header, 0)?;
    let (Some(table), Some(count)) = (u64_at(&header, 32), u16_at(&header, 56)) else { return Ok(None) };
    if !header.starts_with(b"\x7fELF\x02") || u16_at(&header, 54) != Some(ENTRY_BYTES as u16) {
        return Ok(None);
    }
    for number in 0..u64::from(count).min(MOST_ENTRIES) {
        let mut entry = [0; ENTRY_BYTES];
        pread_exact(file.as_fd(), &mut entry, table.saturating_add(number * ENTRY_BYTES as u64))?;
        let (Some(PT_NOTE), Some(offset), Some(size)) = (u32_at(&entry, 0), u64_at(&entry, 8), u64_at(&entry, 32))
        else {
            continue;
        };
        let mut notes = vec![0; usize::try_from(size.min(MOST_NOTE_BYTES)).expect("at most 64 KiB")];
        pread_exact(file.as_fd(), &mut notes, offset)?;
        if let Some(id) = build_id_in(&notes) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// The build id among `notes`. Each has the length of its name, that of its content and its kind, in 32 bits each, and
/// then name and content, each filled up to a multiple of four bytes.
fn build_id_in(mut notes: &[u8]) -> Option<Vec<u8>> {
    loop {
        let name_len = usize::try_from(u32_at(notes, 0)?).ok()?;
        let len = usize::try_from(u32_at(notes, 4)?).ok()?;
        let kind = u32_at(notes, 8)?;
        let content_at = 12_usize.checked_add(name_len.checked_next_multiple_of(4)?)?;
        let end = content_at.checked_add(len)?;
        if kind == NT_GNU_BUILD_ID && notes.get(12..12_usize.checked_add(name_len)?) == Some(b"GNU\0") {
            return notes.get(content_at..end).filter(|id| !id.is_empty()).map(<[u8]>::to_vec);
        }
        notes = notes.get(content_at.checked_add(len.checked_next_multiple_of(4)?)?..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn io_error(error: ExactError) -> io::Error {
    match error {
        ExactError::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn note(name: &[u8], kind: u32, content: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        note.extend((name.len() as u32).to_ne_bytes());
        note.extend((content.len() as u32).to_ne_bytes());
        note.extend(kind.to_ne_bytes());
        for part in [name, content] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    /// An ELF file with one program header, which points to `notes`.
    fn elf(notes: &[u8]) -> File {
        let mut bytes = vec![0; HEADER_BYTES + ENTRY_BYTES];
        bytes[..5].copy_from_slice(b"\x7fELF\x02");
        bytes[32..40].copy_from_slice(&(HEADER_BYTES as u64).to_ne_bytes());
        bytes[54..56].copy_from_slice(&(ENTRY_BYTES as u16).to_ne_bytes());
        bytes[56..58].copy_from_slice(&1_u16.to_ne_bytes());
        bytes[64..68].copy_from_slice(&PT_NOTE.to_ne_bytes());
        bytes[72..80].copy_from_slice(&((HEADER_BYTES + ENTRY_BYTES) as u64).to_ne_bytes());
        bytes[96..104].copy_from_slice(&(notes.len() as u64).to_ne_bytes());
        bytes.extend(notes);
        let mut file = tempfile::tempfile().expect("a temporary folder");
        file.write_all(&bytes).expect("space");
        file
    }

    #[test]
    fn the_note_is_found_among_others() {
        let notes = [note(b"other\0", 3, b"12345"), note(b"GNU\0", 1, b"abi"), note(b"GNU\0", 3, b"the id")].concat();
        assert_eq!(note_of(&elf(&notes)).expect("readable").as_deref(), Some(&b"the id"[..]));
    }

    #[test]
    fn broken_notes_are_no_note() {
        let whole = note(b"GNU\0", 3, b"the id");
        for end in 0..whole.len() - 2 {
            assert_eq!(build_id_in(&whole[..end]), None, "{end}");
        }
        assert_eq!(build_id_in(&[0xff; 64]), None);
        assert_eq!(note_of(&elf(b"")).expect("readable"), None);
        assert_eq!(note_of(&elf(&note(b"GNU\0", 3, b""))).expect("readable"), None);
    }

    #[test]
    fn what_is_no_elf_has_none() {
        let mut file = tempfile::tempfile().expect("a temporary folder");
        file.write_all(&[b'#'; 200]).expect("space");
        assert_eq!(note_of(&file).expect("readable"), None);
    }

    #[test]
    fn this_program_has_an_identity() {
        // Whether there is a note is up to the linker.
        if let BuildId::Note(id) = build_id().expect("/proc") {
            assert!(id.len() >= 8, "{id:?}");
        }
    }

    #[test]
    fn features_are_sorted() {
        assert_eq!(features_of("flags\t\t: sse2 avx  fpu avx").as_deref(), Some("avx fpu sse2"));
        assert_eq!(features_of("Features\t: fp asimd").as_deref(), Some("asimd fp"));
        assert_eq!(features_of("model name\t: x"), None);
        assert!(cpu_features().expect("/proc").contains(' '));
    }
}
