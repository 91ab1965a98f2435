//! Makes the seeds: small good examples, from which the fuzzer and the tests make bad ones. `cargo run` in this folder
//! writes them, `cargo run FOLDER` to another folder; the same program writes the same bytes.

use std::fs;
use std::path::{Path, PathBuf};

use taskhost_codec::encode;
use taskhost_data::{envi, npy};
use taskhost_pool::journal::{Header, InputKind, InputPrint, Journal, PartsRecord, Record};
use taskhost_protocol::fault::{Fault, ItemFailure, ItemPlace, Refusal};
use taskhost_protocol::frame;
use taskhost_protocol::given::{Allow, Broadcast, Given, Program};
use taskhost_protocol::grant::Grant;
use taskhost_protocol::ids::{BatchId, Generation, JobId, SlotId, SourceId};
use taskhost_protocol::kernel::{
    CompileOptions, Description, Exports, Function, Invoke, KernelInfo, Kind, Needs, Notation, ResultLength, Setting,
};
use taskhost_protocol::limits::{CompileLimits, WorkerLimits};
use taskhost_protocol::message::{
    Fresh, FromWorker, Level, LogLine, Open, Sandbox, Source, Start, StartExecute, ToWorker,
};
use taskhost_protocol::picture::{Cut, Format, PictureFile, PicturePlan, Sample};
use taskhost_protocol::progress::Progress;
use taskhost_protocol::stream::{Conversion, Load, Misfit, Packing, StreamOrder, StreamWork, Taken};
use taskhost_protocol::work::{
    Assignment, Budget, Care, Done, Join, Merge, Partial, Piece, Place, Rest, Rows, Spent, Split, Work,
};

/// A name, and the bytes.
type Seed = (String, Vec<u8>);

fn main() {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let all = std::env::args_os().nth(1).map_or_else(own, PathBuf::from);
    for (target, seeds) in [
        ("messages", messages()),
        ("splits", splits()),
        ("headers", headers()),
        ("journal", journals()),
        ("pictures", pictures()),
        ("values", values()),
    ] {
        let folder = all.join(target);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder for seeds");
        for (name, bytes) in seeds {
            fs::write(folder.join(name), bytes).expect("room for a seed");
        }
    }
}

/// The bytes behind the choice that they are of.
fn choosing(choice: u8, bytes: &[u8]) -> Vec<u8> {
    [&[choice], bytes].concat()
}

const GREY: Format = Format { width: 20, height: 30, channels: 1, sample: Sample::U8 };

fn piece(start: u64, end: u64) -> Piece {
    let (source, slot) = (SourceId(1), SlotId(2));
    Piece { source, slot, start, end, from: 0, to: 1000, at: 0, base: 77 }
}

fn messages() -> Vec<Seed> {
    let job = JobId(3);
    let assignment = |work, split, merge| {
        ToWorker::Run(Assignment {
            job,
            batch: BatchId(300),
            generation: Generation(1),
            split,
            merge,
            work,
            place: Place::File { slot: SlotId(1), offset: 1 << 33 },
            length: ResultLength::Exactly(8),
            budget: Budget { micros: 30_000, output: 1 << 20, items: u64::MAX, failures: 6 },
            care: Care { leave_out_first: true, one_by_one: false, skip_failed: true, retries: 2 },
        })
    };
    let plan = PicturePlan { cut: Cut::Strips { halo: 1 }, output: GREY };
    let rows = Rows { source: SourceId(0), slot: SlotId(0), at: 0, format: GREY, plan, first: 0, count: 30 };
    let execute = StartExecute {
        kind: Kind::Component,
        exports: Exports { mapper: true, ..Exports::default() },
        limits: WorkerLimits { fuel: Some(1000), ..WorkerLimits::default() },
        settings: vec![("pattern".into(), "^b+$".into())],
        describe_only: false,
        invoke: Some(Invoke { function: "geo#area".into(), notation: Notation::Wave }),
        clock: 1_700_000_000_000_000_000,
        seed: *b"0123456789abcdef",
        fresh: Fresh::Item,
        grants: vec![Grant { guest: "/data".into(), writable: true }],
        needs: Needs { exceptions: true, debug_info: false },
        given: Given {
            program: Program {
                name: "cat".into(),
                arguments: vec!["-x".into()],
                environment: vec![("K".into(), "V".into())],
            },
            allow: Allow { clock: true, random: false },
            broadcast: vec![Broadcast { name: "words".into(), at: 0, len: 40 }],
            profile: false,
        },
    };
    let source = Source { id: SourceId(0), job, name: "in.csv".into(), header: Some(b"a,b".to_vec()) };
    let to = [
        ("start-execute", ToWorker::Start(Start::Execute(execute), Sandbox::Auto)),
        (
            "start-compile",
            ToWorker::Start(
                Start::Compile {
                    options: CompileOptions::default(),
                    kernel_bytes: 4000,
                    limits: CompileLimits::default(),
                },
                Sandbox::Full,
            ),
        ),
        ("go", ToWorker::Go),
        ("open", ToWorker::Open { slot: SlotId(1), open: Open::Input(source) }),
        ("items", assignment(Work::Items(vec![piece(0, 50), piece(50, 100)]), Split::Blocks(4096), Merge::Lines)),
        ("rows", assignment(Work::Rows(rows), Split::Whole, Merge::Concat)),
        (
            "combine",
            assignment(
                Work::Combine(Join { slot: SlotId(3), at: 8, lens: vec![1, 2, 3] }),
                Split::Lines,
                Merge::Reduce,
            ),
        ),
        ("encode", ToWorker::Encode { from: SlotId(0), format: GREY, to: SlotId(1), file: PictureFile::Png }),
        (
            "stream",
            ToWorker::Stream(StreamOrder {
                work: StreamWork::Convert(Conversion::Unpack(Packing::Gzip)),
                prefix: b"\x1f\x8b\x08".to_vec(),
                from_start: true,
            }),
        ),
        (
            "table",
            ToWorker::Stream(StreamOrder {
                work: StreamWork::WriteTable { by_item: true },
                prefix: Vec::new(),
                from_start: false,
            }),
        ),
        (
            "load",
            ToWorker::Stream(StreamOrder {
                work: StreamWork::Load(Load { table: "parts".into(), before: 8192 }),
                prefix: Vec::new(),
                from_start: false,
            }),
        ),
    ];
    let place = ItemPlace { source: SourceId(1), offset: 500 };
    let fault = Fault::Trap { reason: "unreachable".into(), backtrace: vec!["f".into(), "g".into()] };
    let done = Done {
        job,
        batch: BatchId(300),
        generation: Generation(1),
        items: 12,
        input: 400,
        output: 800,
        rest: Some(Rest { piece: 1, start: 90 }),
        partials: vec![Partial { level: 1, index: 2, len: 8 }],
        failures: vec![ItemFailure { place, ordinal: 3, len: 20, at: 100, attempts: 1, fault }],
        joining: Some(Fault::Contract("no part".into())),
        counters: vec![("words".into(), 9)],
        plan: Some(plan),
        spent: Spent { total: 9_000_000, copy: 1000, call: 8_000_000, join: 0 },
        memory: 1 << 20,
    };
    let setting = Setting { name: "by".into(), default: Some("2".into()), help: "a factor".into() };
    let description = Description {
        summary: "Multiplies.".into(),
        split: "lines".into(),
        merge: "lines".into(),
        result_length: ResultLength::Unknown,
        settings: vec![setting],
    };
    let log = LogLine { job, place: Some(place), level: Level::Warn, text: "odd\n".into() };
    let misfit = Misfit { place, ordinal: 3, len: 20, what: "it has other columns".into() };
    let taken = Taken { misfits: vec![misfit], bytes: Some(700) };
    let from = [
        ("hello", FromWorker::Hello { version: 2, build: [7; 32] }),
        ("locked", FromWorker::Locked(Vec::new())),
        ("ready", FromWorker::Ready { description: Some(description) }),
        ("refused", FromWorker::Refused(Refusal::TooLarge("it is large".into()))),
        ("compiled", FromWorker::Compiled { info_bytes: 70, code_bytes: 70_000 }),
        ("done", FromWorker::Done(done)),
        ("decoded", FromWorker::Decoded(Ok(GREY))),
        ("streamed", FromWorker::Streamed(Err(Fault::Input("is damaged".into())))),
        ("taken", FromWorker::Taken(taken)),
        ("log", FromWorker::Log(log)),
        ("dying", FromWorker::Dying("out of luck".into())),
    ];
    let info = KernelInfo {
        kind: Kind::RawModule,
        why: "it exports memory".into(),
        exports: Exports { mapper: true, ..Exports::default() },
        import_names: vec!["taskhost:kernel/log".into()],
        export_names: vec!["memory".into()],
        needs: Needs::default(),
        functions: vec![Function { name: "f".into(), ty: "func()".into(), call: Ok("[]".into()) }],
        wasm_bytes: 300,
        code_bytes: 3000,
        initial_memory: 65_536,
    };
    let progress = Progress { batch: BatchId(5), piece: 2, offset: 4096, packed: true }.encode();
    let mut seeds = vec![
        ("info".to_owned(), choosing(2, &frame::encode_info(&info).expect("short"))),
        ("progress".to_owned(), choosing(3, &[&progress.to_le_bytes()[..], &[5, 0]].concat())),
    ];
    seeds.extend(from.map(|(name, message)| (name.into(), choosing(0, &frame::encode(&message).expect("short")))));
    seeds.extend(to.map(|(name, message)| (name.into(), choosing(1, &frame::encode(&message).expect("short")))));
    seeds
}

fn splits() -> Vec<Seed> {
    let lines: String = (0..60).map(|line| "x".repeat(line * 7 % 23) + "\n").collect();
    let table = "name,number\r\nα,1\r\n\r\nlast,2";
    let mut seeds = Vec::new();
    for (split, kind) in ["lines", "blocks", "records", "chunks", "whole"].iter().zip(0_u8..) {
        for (input, bytes) in [("lines", lines.as_str()), ("table", table), ("newlines", "\n\n\n\n"), ("empty", "")] {
            // Kind, size, three lengths of pieces, length of the reads, and whether the cuts are anywhere.
            let choices = [kind, 40, 0, 30, 0, 101, 0, 8, 0, 50, 0, u8::from(input == "lines")];
            seeds.push((format!("{split}-{input}"), [&choices, bytes.as_bytes()].concat()));
        }
    }
    seeds
}

fn headers() -> Vec<Seed> {
    let version_2 = {
        let first = npy::write(GREY, false);
        [&first[..6], &[2, 0], &first[8..10], &[0, 0], &first[10..]].concat()
    };
    let wave = "ENVI\ndescription = {\n of a valley,\n seen from above }\nsamples = 300\nlines = 200\nbands = 4\n\
                header offset = 128\nfile type = ENVI Standard\ndata type = 12\ninterleave = bsq\nbyte order = 0\n\
                ; a comment = 5\nwavelength = { 450.0,\n 550.0, 650.0, 800.0}\n";
    let mut seeds = vec![
        ("npy-2".to_owned(), choosing(0, &version_2)),
        ("envi-bsq".to_owned(), choosing(1, wave.as_bytes())),
        ("envi-bip".to_owned(), choosing(1, envi::write(GREY).as_bytes())),
    ];
    for sample in Sample::ALL {
        seeds.push((format!("npy-{sample}"), choosing(0, &npy::write(Format { sample, ..GREY }, true))));
    }
    let notations =
        ["blocks:1MiB", "records:16", "chunks:64K", "lines", "1.5GiB", "10MB", "2h30m", "1.5s", "200ms", "640x480"];
    seeds.extend(
        notations.map(|text| (format!("notation-{}", text.replace([':', '.'], "-")), choosing(2, text.as_bytes()))),
    );
    seeds
}

fn journals() -> Vec<Seed> {
    let folder = tempfile::tempdir().expect("a folder for a journal");
    let path = folder.path().join("journal");
    let input =
        InputPrint { name: b"in.txt".to_vec(), kind: InputKind::File { bytes: 100, modified: -5, digest: [7; 32] } };
    let header = Header {
        run: *b"a run of a fuzz!",
        command: vec![b"run".to_vec(), b"kernel.wasm".to_vec()],
        folder: b"/data".to_vec(),
        kernel: [9; 32],
        shape: "lines".to_owned(),
        clock: 1_700_000_000_000_000_000,
        inputs: vec![input],
        taskhost: "0.1.0".to_owned(),
    };
    let parts = PartsRecord {
        job: JobId(0),
        source: SourceId(0),
        start: 0,
        end: 20,
        bytes: b"12345".to_vec(),
        parts: vec![Partial { level: 0, index: 4, len: 5 }],
        items: 1,
        counters: vec![("words".into(), 3)],
        failed: Vec::new(),
    };
    let mut journal = Journal::create(&path, &header).expect("a journal is created");
    for record in [Record::Kernel { digest: [8; 32] }, Record::Parts(parts), Record::End { exit: 3 }] {
        journal.append(&record).expect("a record is appended");
        journal.sync().expect("a journal is synced");
    }
    drop(journal);
    let mut file = fs::read(&path).expect("it is there");
    // The process that wrote it, which is another each time.
    file[12..16].fill(0);
    let mut seeds =
        vec![("file".to_owned(), choosing(0, &file)), ("payloads".to_owned(), choosing(1, &payloads(&file)))];
    // Choices of what is written and how it is damaged.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for number in 0..12 {
        let choices: Vec<u8> = (0..300)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect();
        seeds.push((format!("choices-{number}"), choosing(2, &choices)));
    }
    seeds
}

/// The payloads of a journal, as the target takes them: lengths of two bytes, and so many bytes.
fn payloads(journal: &[u8]) -> Vec<u8> {
    // The numbers are those of the format: bytes in front of the records, and of each payload.
    let mut rest = &journal[36..];
    let mut bytes = Vec::new();
    while let Some((head, behind)) = rest.split_first_chunk::<24>() {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        bytes.extend(u16::try_from(length).expect("short").to_le_bytes());
        bytes.extend(&behind[..length]);
        rest = &behind[length..];
    }
    bytes
}

fn pictures() -> Vec<Seed> {
    let mut seeds = vec![
        ("bitmap.pbm".to_owned(), b"P4\n3 2\n\xa0\x40".to_vec()),
        ("text.pbm".to_owned(), b"P1\n3 2\n1 0 1\n0 1 0\n".to_vec()),
        ("text.pgm".to_owned(), b"P2\n# a comment\n2 1\n15\n15 5\n".to_vec()),
        ("text.ppm".to_owned(), b"P3\n2 1\n255\n1 2 3 4 5 6\n".to_vec()),
    ];
    for channels in 1..=4 {
        for sample in [Sample::U8, Sample::U16] {
            let format = Format { width: 9, height: 7, channels, sample };
            let samples: Vec<u8> = (0..format.bytes().expect("small")).map(|at| (at * at / 7) as u8).collect();
            for (file, ending) in [(PictureFile::Png, "png"), (PictureFile::Jpeg, "jpg"), (PictureFile::Pnm, "pnm")] {
                if let Ok(bytes) = encode(format, &samples, file) {
                    seeds.push((format!("{channels}-{sample}.{ending}"), bytes));
                }
            }
        }
    }
    seeds
}

/// The bytes that make a type, a 0, and a line of JSON for a function with one parameter of that type.
fn values() -> Vec<Seed> {
    let examples: [(&[u8], &str); 14] = [
        (&[6], "7"),
        (&[7], "\"-9223372036854775808\""),
        (&[8], "18446744073709551615"),
        (&[9], "1.5e-3"),
        (&[10], "\"NaN\""),
        (&[11], "\"\\ud83d\\ude00\""),
        (&[12], "\"\\u0000\\n\""),
        (&[13], "\"n1\""),
        (&[14], "[[\"n0\",\"n2\"]]"),
        (&[15, 2], "\"AAECAw==\""),
        (&[15, 18, 12, 10], "[[{\"n0\":\"a\",\"n1\":0.1},{\"n1\":-0.0,\"n0\":\"\"}]]"),
        (&[17, 16, 5, 16, 5], "[[null,3]]"),
        (&[19, 12, 12], "[{\"n2\":\"x\"}]"),
        (&[20, 16, 6], "[{\"ok\":null}]"),
    ];
    let seed = |(number, (choices, line)): (usize, (&[u8], &str))| {
        (format!("value-{number}"), [choices, &[0], line.as_bytes()].concat())
    };
    examples.into_iter().enumerate().map(seed).collect()
}
