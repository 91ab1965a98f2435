//! The journal as a whole: what was written is read, and what was damaged is cut off at its end or refused.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::{collection::vec, option, sample::Index};
use taskhost_os::exact::pwrite_all;
use taskhost_protocol::ids::{JobId, SourceId};
use taskhost_protocol::work::Partial;
use tempfile::{TempDir, tempdir, tempfile};

use super::frame::{Frames, HOLDER_AT, PREAMBLE};
use super::*;

/// Where this variable is set, a test was started by a test, to work in the folder that it names.
const INSIDE: &str = "TASKHOST_TEST_FOLDER";

fn header() -> Header {
    let digest = [7; 32];
    let file = InputKind::File { bytes: 100, modified: -5, digest };
    Header {
        run: *b"a random number!",
        command: vec![b"run".to_vec(), b"k.wasm".to_vec()],
        folder: b"/data".to_vec(),
        kernel: [9; 32],
        shape: String::new(),
        clock: 1_700_000_000_000_000_000,
        inputs: vec![InputPrint { name: b"in\xff".to_vec(), kind: file }],
        taskhost: "0.1.0".to_owned(),
    }
}

fn commit(output_from: u64, output: u64, digest: [u8; 32]) -> Record {
    let counters = vec![("words".to_owned(), output)];
    let (job, source) = (JobId(0), SourceId(0));
    Record::Commit(Commit {
        job,
        source,
        offset: output,
        complete: false,
        output_from,
        output,
        items: 3,
        input: output,
        source_items: 3,
        counters,
        digest,
        read: None,
    })
}

/// One record of each kind.
fn records() -> Vec<Record> {
    let (job, source) = (JobId(0), SourceId(0));
    let output = OutputRecord { job, target: b"out".to_vec(), data: b".out.taskhost-0".to_vec(), direct: true };
    let failed = FailedRecord {
        job,
        source,
        offset: 10,
        len: 3,
        item: 2,
        line: Some(3),
        at: 20,
        filled: 0,
        json: "{\"item\": 2}".to_owned(),
    };
    let partial = Partial { level: 0, index: 4, len: 5 };
    let parts = PartsRecord {
        job,
        source,
        start: 0,
        end: 20,
        bytes: b"12345".to_vec(),
        parts: vec![partial],
        items: 1,
        counters: Vec::new(),
        failed: Vec::new(),
    };
    vec![
        Record::Output(output),
        commit(0, 10, [1; 32]),
        Record::Failed(failed),
        Record::Parts(parts),
        Record::Kernel { digest: [2; 32] },
        Record::JobOver(JobOver { job, input: b"in".to_vec(), output: None, failed: Some("no".to_owned()) }),
        Record::End { exit: 3 },
    ]
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("run.journal");
    (folder, path)
}

/// The bytes of a journal with these records; each number of `synced` is a record behind which everything is synced.
fn journal(header: &Header, records: &[Record], synced: impl Fn(usize) -> bool) -> Vec<u8> {
    let (_folder, path) = folder();
    let mut journal = Journal::create(&path, header).unwrap();
    for (index, record) in records.iter().enumerate() {
        journal.append(record).unwrap();
        if synced(index) {
            journal.sync().unwrap();
        }
    }
    fs::read(&path).unwrap()
}

/// Reads a journal without changing anything.
fn read_bytes(bytes: &[u8]) -> Result<Contents, JournalError> {
    let (file, path) = (tempfile().unwrap(), Path::new("run.journal"));
    pwrite_all(file.as_fd(), bytes, 0).unwrap();
    let mut records = Vec::new();
    let run = writer::run(&file, path)?;
    let (contents, _) = read::read(&file, path, run, |_, record| records.push(record))?;
    Ok(Contents { records, ..contents })
}

/// Where each frame of a journal begins, and where the last ends.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let file = tempfile().unwrap();
    pwrite_all(file.as_fd(), bytes, 0).unwrap();
    let frames = Frames { file: file.as_fd(), run: header().run, size: bytes.len() as u64 };
    let mut ends = vec![PREAMBLE];
    while let Some(frame) = frames.at(*ends.last().unwrap() as u64).unwrap() {
        ends.push(frame.end as usize);
    }
    assert_eq!(*ends.last().unwrap(), bytes.len());
    ends
}

#[test]
fn what_was_written_is_read_and_gone_on_with() {
    let (_folder, path) = folder();
    let records = records();
    let mut journal = Journal::create(&path, &header()).unwrap();
    for record in &records {
        journal.append(record).unwrap();
    }
    journal.sync().unwrap();
    drop(journal);
    let (mut journal, contents) = Journal::open(&path).unwrap();
    let expected = Contents { header: header(), records: records.clone(), torn_bytes: 0, ended: Some(3) };
    assert_eq!(contents, expected);
    let kernel = Record::Kernel { digest: [3; 32] };
    journal.append(&kernel).unwrap();
    journal.append_last(&records[0]).unwrap();
    drop(journal);
    let (journal, contents) = Journal::open(&path).unwrap();
    assert_eq!(contents.records, [&records[..], &[kernel, records[0].clone()]].concat());
    assert_eq!(contents.ended, None);
    journal.remove().unwrap();
    assert!(!path.exists());
}

#[test]
fn records_can_be_read_one_by_one() {
    let (_folder, path) = folder();
    let mut journal = Journal::create(&path, &header()).unwrap();
    records().iter().for_each(|record| journal.append(record).unwrap());
    drop(journal);
    let mut seen = Vec::new();
    let (_journal, contents) = Journal::open_each(&path, |header, record| {
        assert_eq!(header.command.len(), 2);
        seen.push(record);
    })
    .unwrap();
    assert_eq!(seen, records());
    assert_eq!((contents.records.len(), contents.ended), (0, Some(3)));
}

#[test]
fn many_inputs_and_large_results_are_spread_over_frames() {
    let inputs: Vec<_> = (0..2500)
        .map(|number| InputPrint { name: format!("in-{number}").into_bytes(), kind: InputKind::Pipe })
        .collect();
    let header = Header { inputs, ..header() };
    let bytes: Vec<u8> = (0..20_000_000_u32).map(|at| (at ^ at >> 8) as u8).collect();
    let [.., Record::Parts(parts), _, _, _] = &records()[..] else { panic!("no parts") };
    let parts = Record::Parts(PartsRecord { bytes, ..parts.clone() });
    let bytes = journal(&header, &[Record::End { exit: 0 }, parts.clone()], |_| true);
    let ends = frames(&bytes);
    assert_eq!(ends.len() - 1, 1 + 3 + 1 + 3);
    let contents = read_bytes(&bytes).unwrap();
    assert_eq!(contents.header, header);
    assert!(contents.records == [Record::End { exit: 0 }, parts]);
    // Without its last frame the record is none, and what there is of it goes away.
    let begin = ends[5];
    let contents = read_bytes(&bytes[..ends[7] + 1]).unwrap();
    assert_eq!(contents.records, [Record::End { exit: 0 }]);
    assert_eq!(contents.torn_bytes, (ends[7] + 1 - begin) as u64);
    // Nor without its first.
    let without = [&bytes[..begin], &bytes[ends[6]..]].concat();
    assert!(matches!(read_bytes(&without), Err(JournalError::Corrupt { offset, .. }) if offset == begin as u64));
}

#[test]
fn a_record_that_no_reader_would_take_is_not_written() {
    let (_folder, path) = folder();
    let mut journal = Journal::create(&path, &header()).unwrap();
    let failed = Some("x".repeat(entry::ENTRY_BYTES));
    let record = Record::JobOver(JobOver { job: JobId(1), input: Vec::new(), output: None, failed });
    assert!(matches!(journal.append(&record), Err(JournalError::TooLarge { .. })));
    journal.append(&Record::End { exit: 0 }).unwrap();
    drop(journal);
    assert_eq!(Journal::open(&path).unwrap().1.records, [Record::End { exit: 0 }]);
}

#[test]
fn a_journal_that_is_cut_anywhere_has_a_prefix_of_its_records() {
    let records = records();
    let bytes = journal(&header(), &records, |_| true);
    let ends = frames(&bytes);
    for cut in 0..bytes.len() {
        match read_bytes(&bytes[..cut]) {
            Ok(contents) => {
                // The header and its inputs are two frames.
                let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
                assert_eq!(contents.records, records[..whole - 2], "cut at {cut}");
                assert_eq!(contents.torn_bytes, (cut - ends[whole]) as u64);
                assert_eq!(contents.ended, None);
            }
            Err(JournalError::NotBegun(_)) => assert!(cut < ends[2], "cut at {cut}"),
            Err(error) => panic!("cut at {cut}: {error}"),
        }
    }
}

#[test]
fn a_changed_byte_anywhere_is_noticed() {
    let records = records();
    let bytes = journal(&header(), &records, |_| true);
    let ends = frames(&bytes);
    let holder = HOLDER_AT as usize..HOLDER_AT as usize + 4;
    for at in 0..bytes.len() {
        for change in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            match read_bytes(&changed) {
                Ok(contents) if at >= ends[ends.len() - 2] => {
                    assert_eq!(contents.records, records[..records.len() - 1]);
                    assert_eq!(contents.torn_bytes, (bytes.len() - ends[ends.len() - 2]) as u64);
                }
                // Only for messages.
                Ok(contents) => {
                    assert!(holder.contains(&at), "byte {at}");
                    assert_eq!((contents.records, contents.torn_bytes), (records.clone(), 0));
                }
                Err(JournalError::Corrupt { offset, .. }) => {
                    let frame = ends.iter().rfind(|begin| **begin <= at).copied().unwrap_or(0);
                    assert_eq!(offset, frame as u64, "byte {at}");
                }
                Err(JournalError::NotAJournal(_)) => assert!(at < 8),
                Err(JournalError::Version { .. }) => assert!((8..12).contains(&at)),
                Err(error) => panic!("byte {at}: {error}"),
            }
        }
    }
}

#[test]
fn records_in_the_wrong_place_are_refused() {
    let records = records();
    let bytes = journal(&header(), &records, |_| true);
    let ends = frames(&bytes);
    let frame = |index: usize| &bytes[ends[index]..ends[index + 1]];
    let other = Header { run: *b"another number!!", ..header() };
    let foreign = journal(&other, &records, |_| true);
    assert_eq!(foreign.len(), bytes.len());
    for index in 0..ends.len() - 2 {
        let (before, behind) = (&bytes[..ends[index]], &bytes[ends[index + 1]..]);
        let doubled = [before, frame(index), frame(index), behind].concat();
        let swapped = [before, frame(index + 1), frame(index), &bytes[ends[index + 2]..]].concat();
        let left_out = [before, behind].concat();
        let replaced = [before, &foreign[ends[index]..ends[index + 1]], behind].concat();
        for wrong in [doubled, swapped, left_out, replaced] {
            let result = read_bytes(&wrong);
            assert!(matches!(result, Err(JournalError::Corrupt { .. })), "frame {index}: {result:?}");
        }
    }
    // The end of another run's journal is no more than a lost tail.
    let spliced = [&bytes[..ends[4]], &foreign[ends[4]..]].concat();
    assert_eq!(read_bytes(&spliced).unwrap().records, records[..2]);
    let renamed = [&foreign[..PREAMBLE], &bytes[PREAMBLE..]].concat();
    assert!(matches!(read_bytes(&renamed), Err(JournalError::NotBegun(_))));
}

#[test]
fn what_is_no_journal_is_left_alone() {
    let (folder, path) = folder();
    for text in ["", "a text that is long enough to have been a journal, but is none"] {
        fs::write(&path, text).unwrap();
        let error = Journal::open(&path).unwrap_err();
        let found = Journal::create(&path, &header()).unwrap_err();
        // Only of a journal it is said that it may be deleted.
        let is_right = match text {
            "" => matches!((error, found), (JournalError::NotBegun(_), JournalError::Exists(_))),
            _ => matches!((error, found), (JournalError::NotAJournal(_), JournalError::Taken(_))),
        };
        assert!(is_right, "{text}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    assert!(matches!(Journal::open(Path::new("/dev/null")), Err(JournalError::NotAJournal(_))));
    for path in [folder.path().join("missing"), folder.path().join("missing/journal")] {
        assert!(matches!(Journal::open(&path), Err(JournalError::Io { .. })));
    }
    assert!(matches!(Journal::create(&folder.path().join("missing/journal"), &header()), Err(JournalError::Io { .. })));
    let mut newer = journal(&header(), &[], |_| true);
    newer[8] = 200;
    fs::write(&path, newer).unwrap();
    assert!(matches!(Journal::open(&path), Err(JournalError::Version { found: 200, .. })));
}

#[test]
fn a_journal_has_one_owner() {
    let (_folder, path) = folder();
    let journal = Journal::create(&path, &header()).unwrap();
    let error = Journal::open(&path).unwrap_err().to_string();
    let holder = format!("is in use by process {}: wait for that run to end, or stop it", std::process::id());
    assert!(error.ends_with(&holder), "{error}");
    let error = Journal::create(&path, &header()).unwrap_err().to_string();
    assert!(error.contains("exists already: `taskhost resume "), "{error}");
    drop(journal);
    let (journal, _) = Journal::open(&path).unwrap();
    assert!(matches!(Journal::open(&path), Err(JournalError::Busy { .. })));
    // Its name may have gone to another file.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "another").unwrap();
    journal.remove().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "another");
}

#[test]
fn a_lost_tail_is_cut_off_once() {
    let (_folder, path) = folder();
    let records = records();
    let bytes = journal(&header(), &records, |_| true);
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let (mut journal, contents) = Journal::open(&path).unwrap();
    assert!(contents.torn_bytes > 0);
    assert_eq!(fs::metadata(&path).unwrap().len() + contents.torn_bytes, bytes.len() as u64 - 1);
    journal.append(&Record::End { exit: 0 }).unwrap();
    drop(journal);
    let (_journal, contents) = Journal::open(&path).unwrap();
    assert_eq!(contents.torn_bytes, 0);
    assert_eq!(contents.records.len(), records.len());
    assert_eq!(contents.ended, Some(0));
}

#[test]
fn a_damaged_journal_is_left_as_it_is() {
    let (_folder, path) = folder();
    let mut bytes = journal(&header(), &records(), |_| true);
    let begin = frames(&bytes)[3];
    bytes[begin + 30] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = Journal::open(&path).unwrap_err().to_string();
    let expected = format!("is damaged at byte {begin} (record 3 was on the disk and is not valid any more)");
    assert!(error.contains(&expected), "{error}");
    assert!(fs::read(&path).unwrap() == bytes);
}

#[test]
fn a_killed_owner_owns_nothing() {
    let name = "journal::tests::a_killed_owner_owns_nothing";
    if let Some(folder) = std::env::var_os(INSIDE).map(PathBuf::from) {
        let _journal = Journal::create(&folder.join("run.journal"), &header()).unwrap();
        std::io::stdout().write_all(b"\nit is created\n").unwrap();
        // Until it is killed.
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }
    let (folder, path) = folder();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).env(INSIDE, folder.path());
    let mut owner = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(owner.stdout.take().unwrap());
    assert!(output.lines().any(|line| line.unwrap() == "it is created"));
    let id = owner.id();
    assert!(matches!(Journal::open(&path), Err(JournalError::Busy { holder: Some(holder), .. }) if holder == id));
    owner.kill().unwrap();
    owner.wait().unwrap();
    let (_journal, contents) = Journal::open(&path).unwrap();
    assert_eq!(contents, Contents { header: header(), records: Vec::new(), torn_bytes: 0, ended: None });
}

/// Runs this test again as root of a user and mount namespace, with a tmpfs mounted with these options.
fn inside_tmpfs(test: &str, options: &str) {
    let folder = tempdir().unwrap();
    let script = format!("mount -t tmpfs -o {options} none \"$0\" && exec \"$1\" --exact {test} --nocapture");
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .arg(folder.path())
        .arg(program)
        .env(INSIDE, folder.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "the test has another name");
}

#[test]
fn the_last_records_fit_on_a_full_disk() {
    let Some(folder) = std::env::var_os(INSIDE).map(PathBuf::from) else {
        return inside_tmpfs("journal::tests::the_last_records_fit_on_a_full_disk", "size=8m");
    };
    let path = folder.join("run.journal");
    let mut journal = Journal::create(&path, &header()).unwrap();
    let full = File::create(folder.join("rest")).unwrap();
    let chunk = vec![1; 64 << 10];
    let written = (0..).take_while(|step| pwrite_all(full.as_fd(), &chunk, step * 65536).is_ok()).count();
    assert!(written > 0 && written < 100, "{written}");
    // Records go on as long as what is kept for the last ones is not touched …
    let [.., Record::Parts(parts), _, _, _] = &records()[..] else { panic!("no parts") };
    let large = Record::Parts(PartsRecord { bytes: chunk, ..parts.clone() });
    let fitting = (0..).take_while(|_| journal.append(&large).is_ok()).count();
    assert!((1..40).contains(&fitting), "{fitting}");
    assert!(matches!(journal.append(&large), Err(JournalError::StorageFull(_))));
    // … and these fit, and are there later, on the disk that is still full.
    let last = records();
    for record in last.iter().cycle().take(1000) {
        journal.append_last(record).unwrap();
    }
    journal.sync().unwrap();
    drop(journal);
    let (mut journal, contents) = Journal::open(&path).unwrap();
    assert_eq!((contents.records.len(), contents.torn_bytes), (fitting + 1000, 0));
    assert!(matches!(journal.append(&large), Err(JournalError::StorageFull(_))));
    assert!(matches!(Journal::create(&folder.join("other"), &header()), Err(JournalError::StorageFull(_))));
    assert!(!folder.join("other").exists());
    drop(full);
    fs::remove_file(folder.join("rest")).unwrap();
    journal.append(&large).unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let Some(folder) = std::env::var_os(INSIDE).map(PathBuf::from) else {
        return inside_tmpfs("journal::tests::a_folder_that_cannot_be_written_is_named", "ro");
    };
    let path = folder.join("run.journal");
    let error = Journal::create(&path, &header()).unwrap_err().to_string();
    let expected = format!("cannot create the journal {}: Read-only file system (os error 30)", path.display());
    assert_eq!(error, expected);
}

prop_compose! {
    fn digests()(digest in any::<[u8; 32]>()) -> [u8; 32] { digest }
}

prop_compose! {
    fn parts()(
        numbers in any::<[u64; 4]>(),
        source in any::<u32>(),
        bytes in vec(any::<u8>(), 0..200),
        parts in vec(any::<(u8, u64, u64)>(), 0..5),
        counters in vec(any::<(String, u64)>(), 0..3),
    ) -> Record {
        let [job, start, end, items] = numbers;
        let parts = parts.into_iter().map(|(level, index, len)| Partial { level, index, len }).collect();
        Record::Parts(PartsRecord { job: JobId(job), source: SourceId(source), start, end, bytes, parts, items, counters, failed: Vec::new() })
    }
}

prop_compose! {
    fn failures()(
        numbers in any::<[u64; 6]>(), source in any::<u32>(), line in option::of(any::<u64>()), json in any::<String>(),
    ) -> Record {
        let [job, offset, len, item, at, filled] = numbers;
        Record::Failed(FailedRecord { job: JobId(job), source: SourceId(source), offset, len, item, line, at, filled, json })
    }
}

fn any_record() -> impl Strategy<Value = Record> {
    let text = || vec(any::<u8>(), 0..50);
    prop_oneof![
        digests().prop_map(|digest| Record::Kernel { digest }),
        (any::<u64>(), text(), text(), any::<bool>()).prop_map(|(job, target, data, direct)| {
            Record::Output(OutputRecord { job: JobId(job), target, data, direct })
        }),
        (any::<u64>(), any::<u64>(), digests()).prop_map(|(from, output, digest)| commit(from, output, digest)),
        failures(),
        parts(),
        (any::<u64>(), text(), option::of(text()), option::of(any::<String>())).prop_map(
            |(job, input, output, failed)| Record::JobOver(JobOver { job: JobId(job), input, output, failed })
        ),
        any::<u8>().prop_map(|exit| Record::End { exit }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn any_records_are_read_as_written(records in vec(any_record(), 0..20)) {
        let contents = read_bytes(&journal(&header(), &records, |index| index % 3 == 0)).unwrap();
        prop_assert_eq!(contents.ended, records.last().and_then(|last| match last {
            Record::End { exit } => Some(*exit),
            _ => None,
        }));
        prop_assert_eq!((contents.records, contents.torn_bytes), (records, 0));
    }

    /// A machine that loses power has on its disk what was synced, and of the rest any part.
    #[test]
    fn what_was_synced_survives_the_loss_of_anything_else(
        records in vec(any_record(), 1..20),
        last_sync in any::<Index>(),
        holes in vec((any::<Index>(), any::<Index>()), 1..4),
        length in any::<Index>(),
    ) {
        let last_sync = last_sync.index(records.len());
        let mut bytes = journal(&header(), &records, |index| index <= last_sync && index % 2 == last_sync % 2);
        // Two frames are the header's.
        let kept = frames(&bytes)[2 + last_sync + 1];
        bytes.truncate(kept + length.index(bytes.len() - kept + 1));
        for (from, to) in holes {
            let lost = &mut bytes[kept..];
            if !lost.is_empty() {
                let (from, to) = (from.index(lost.len()), to.index(lost.len()));
                lost[from.min(to)..from.max(to)].fill(0);
            }
        }
        let contents = read_bytes(&bytes).unwrap();
        prop_assert!(contents.records.len() > last_sync);
        prop_assert_eq!(&contents.records[..], &records[..contents.records.len()]);
    }

    /// Whatever is done to it, a journal is read as a prefix of what was written, or refused.
    #[test]
    fn damage_never_changes_what_is_read(
        records in vec(any_record(), 1..10),
        damage in vec((any::<Index>(), vec(any::<u8>(), 0..40), 0..40_usize), 1..4),
    ) {
        let mut bytes = journal(&header(), &records, |index| index % 2 == 0);
        for (at, new, len) in damage {
            let at = at.index(bytes.len());
            let end = bytes.len().min(at + len);
            bytes.splice(at..end, new);
        }
        if let Ok(contents) = read_bytes(&bytes) {
            prop_assert_eq!(&contents.header, &header());
            prop_assert!(contents.records.len() <= records.len());
            prop_assert_eq!(&contents.records[..], &records[..contents.records.len()]);
        }
    }
}
