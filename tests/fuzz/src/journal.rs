//! Journals: as they were written, and then damaged.

use std::fs;
use std::path::Path;

use taskhost_pool::journal::{Commit, InputKind, InputPrint, JobOver, OutputRecord};
use taskhost_pool::journal::{Contents, FailedRecord, Header, Journal, JournalError, PartsRecord, Record};
use taskhost_protocol::ids::{JobId, SourceId};
use taskhost_protocol::work::Partial;
use tempfile::TempDir;

use super::choices::Choices;

/// The run whose journals these are.
const RUN: [u8; 16] = *b"a run of a fuzz!";

/// First bytes of a journal.
const MAGIC: &[u8] = b"\x89THJRNL\n";

/// Bytes in front of the first record.
const PREAMBLE: usize = 36;

/// Bytes of a record in front of its payload.
const HEAD: usize = 24;

/// Most records that one input of the fuzzer makes.
const RECORDS: usize = 12;

/// Whatever became of a journal, what is read from it are the first records that were written to it, or nothing; none is
/// changed, none is made up. What was read once is read again, and can be gone on with.
///
/// The first byte chooses: a file of just these bytes; frames around these bytes whose checksums are right; or a journal
/// that is written as the bytes choose, synced here and there, and then damaged.
pub fn journal(data: &[u8]) {
    // In memory where there is such a folder: a journal waits for the disk again and again.
    let folder = if Path::new("/dev/shm").is_dir() { TempDir::new_in("/dev/shm") } else { TempDir::new() };
    let folder = folder.expect("a folder for a journal");
    let path = folder.path().join("journal");
    let mut choices = Choices(data);
    match choices.byte() % 3 {
        0 => {
            fs::write(&path, choices.0).expect("room for a journal");
            let _ = read(&path);
        }
        1 => {
            fs::write(&path, framed(&mut choices)).expect("room for a journal");
            if let Ok(contents) = read(&path) {
                survives(&folder.path().join("again"), &contents);
            }
        }
        _ => damaged(&path, &mut choices),
    }
}

/// Reads it twice, and adds a record in between: nothing else may change.
fn read(path: &Path) -> Result<Contents, JournalError> {
    let (mut journal, contents) = Journal::open(path)?;
    let more = Record::Kernel { digest: [3; 32] };
    journal.append(&more).expect("a journal that was read can be gone on with");
    drop(journal);
    let (_, again) = Journal::open(path).expect("what was read once is read again");
    assert_eq!(again.torn_bytes, 0, "something was left torn");
    assert_eq!(again.header, contents.header);
    assert_eq!(again.records.split_last(), Some((&more, &contents.records[..])));
    Ok(contents)
}

/// What was read can be written, and is then read as the same.
fn survives(path: &Path, contents: &Contents) {
    let mut journal = Journal::create(path, &contents.header).expect("a header that was read can be written");
    for record in &contents.records {
        journal.append(record).expect("a record that was read can be written");
    }
    drop(journal);
    let (_, again) = Journal::open(path).expect("what was written is read");
    assert_eq!((&again.header, &again.records), (&contents.header, &contents.records));
}

/// A journal whose payloads are these bytes: lengths of two bytes, and so many bytes.
fn framed(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut bytes = [MAGIC, &1_u32.to_le_bytes(), &0_u32.to_le_bytes(), &RUN].concat();
    bytes.extend(crc32c::crc32c(&RUN).to_le_bytes());
    for seq in 0_u64.. {
        if choices.0.is_empty() {
            break;
        }
        let length = choices.number();
        let payload = choices.bytes(length);
        let length = u32::try_from(payload.len()).expect("short").to_le_bytes();
        let numbers = [length.as_slice(), &seq.to_le_bytes(), &0_u64.to_le_bytes()];
        let sum = [&[RUN.as_slice()], &numbers[..], &[payload]].concat().concat();
        bytes.extend(length);
        bytes.extend(crc32c::crc32c(&sum).to_le_bytes());
        bytes.extend(numbers[1..].concat());
        bytes.extend(payload);
    }
    bytes
}

/// Writes a journal, damages its file, and reads it.
fn damaged(path: &Path, choices: &mut Choices<'_>) {
    let mut journal = Journal::create(path, &header(choices)).expect("a journal is created");
    let mut written = Vec::new();
    // Records that are known to be on the disk, and those that a later record knows to be.
    let (mut synced, mut confirmed) = (0, 0);
    for _ in 0..usize::from(choices.byte()) % RECORDS {
        let record = record(choices);
        journal.append(&record).expect("a record is appended");
        written.push(record);
        confirmed = synced;
        if choices.byte().is_multiple_of(4) {
            journal.sync().expect("a journal is synced");
            synced = written.len();
        }
    }
    drop(journal);
    let whole = fs::read(path).expect("it is there");
    let is_cut_only = damage(path, choices);
    let now = fs::read(path).expect("it is there");
    match read(path) {
        Ok(contents) => {
            let read = &contents.records;
            assert!(written.starts_with(read), "{read:?}\nof {written:?}");
            // As long as the last record is what it was, it vouches for those in front of it.
            let last = last_frame(&whole);
            let vouched =
                if now.get(last..).is_some_and(|end| end.starts_with(&whole[last..])) { confirmed } else { 0 };
            assert!(read.len() >= vouched && (now != whole || read.len() == written.len()), "{read:?}\nof {written:?}");
        }
        // A file that ends too early is one that a crash could have left.
        Err(JournalError::Corrupt { what, .. }) => assert!(!is_cut_only, "{what}"),
        Err(error) => assert!(now != whole, "{error}"),
    }
}

/// Where the last frame of a whole journal begins.
fn last_frame(journal: &[u8]) -> usize {
    let mut at = PREAMBLE;
    loop {
        let Some(length) = journal.get(at..).and_then(<[u8]>::first_chunk) else { return at };
        let next = at + HEAD + u32::from_le_bytes(*length) as usize;
        if next >= journal.len() {
            return at;
        }
        at = next;
    }
}

/// Damages a file in a few places. Says whether nothing was done to it but to cut it.
fn damage(path: &Path, choices: &mut Choices<'_>) -> bool {
    let mut bytes = fs::read(path).expect("it is there");
    let mut is_cut_only = true;
    for _ in 0..choices.byte() % 4 {
        let (what, at) = (choices.byte(), choices.number() % (bytes.len() + 1));
        match what % 4 {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => {
                bytes[at] ^= choices.byte();
                is_cut_only = false;
            }
            2 => {
                let end = (at + choices.number()).min(bytes.len());
                bytes[at..end].fill(0);
                is_cut_only = false;
            }
            3 => {
                bytes.extend(choices.bytes(40));
                is_cut_only = false;
            }
            _ => {}
        }
    }
    fs::write(path, &bytes).expect("room for a journal");
    is_cut_only
}

fn header(choices: &mut Choices<'_>) -> Header {
    let inputs = 1 + choices.byte() % 3;
    let kind = |choice| match choice % 2 {
        0 => InputKind::Pipe,
        _ => InputKind::File { bytes: choice, modified: -1, digest: [choice as u8; 32] },
    };
    Header {
        run: RUN,
        command: vec![b"run".to_vec(), b"kernel.wasm".to_vec()],
        folder: b"/data".to_vec(),
        kernel: [9; 32],
        shape: "lines".to_owned(),
        clock: 1_700_000_000_000_000_000,
        inputs: (0..inputs)
            .map(|_| InputPrint { name: text(choices).into_bytes(), kind: kind(choices.number() as u64) })
            .collect(),
        taskhost: "0.1.0".to_owned(),
    }
}

fn text(choices: &mut Choices<'_>) -> String {
    let length = usize::from(choices.byte() % 16);
    String::from_utf8_lossy(choices.bytes(length)).into_owned()
}

fn record(choices: &mut Choices<'_>) -> Record {
    let (job, source) = (JobId(choices.byte().into()), SourceId(choices.byte().into()));
    let (from, more) = (choices.number() as u64, choices.number() as u64);
    match choices.byte() % 7 {
        0 => Record::Kernel { digest: [choices.byte(); 32] },
        1 => Record::Output(OutputRecord {
            job,
            target: b"out".to_vec(),
            data: text(choices).into_bytes(),
            direct: more.is_multiple_of(2),
        }),
        2 => Record::Commit(Commit {
            job,
            source,
            offset: from,
            complete: more.is_multiple_of(2),
            output_from: from,
            output: from + more,
            items: more,
            input: more,
            source_items: more,
            counters: vec![(text(choices), more)],
            digest: [choices.byte(); 32],
            read: (more.is_multiple_of(3)).then_some((more, [1; 32])),
        }),
        3 => Record::Failed(FailedRecord {
            job,
            source,
            offset: from,
            len: more,
            item: more,
            line: (more.is_multiple_of(2)).then_some(more),
            at: from,
            filled: 0,
            json: text(choices),
        }),
        4 => {
            let length = choices.number() % 100;
            let bytes = choices.bytes(length).to_vec();
            Record::Parts(PartsRecord {
                job,
                source,
                start: from,
                end: from + more,
                parts: vec![Partial { level: 0, index: from, len: bytes.len() as u64 }],
                bytes,
                items: more,
                counters: Vec::new(),
                failed: Vec::new(),
            })
        }
        5 => Record::JobOver(JobOver {
            job,
            input: b"in".to_vec(),
            output: None,
            failed: (more.is_multiple_of(2)).then(|| text(choices)),
        }),
        _ => Record::End { exit: choices.byte() },
    }
}
