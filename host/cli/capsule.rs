//! A capsule: one failed item with all that is needed to run it again, as a tar file. `docs/capsules.md` describes it.
//!
//! What is read may come from anybody: entries are taken by name into memory, each with a cap, and nothing is unpacked.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use taskhost_protocol::limits::{HEADER_BYTES, ITEM_BYTES, KERNEL_BYTES};

use crate::exit_code::Failure;
use crate::given::Gifts;

/// Raised when a capsule means something else than before; a new field leaves it as it is.
const VERSION: u32 = 1;

/// Longest `capsule.json` in bytes: settings, names and a message have caps, which together are below 200 kB.
const MANIFEST_BYTES: u64 = 1 << 20;

/// Entries that are looked at. There are four; a few more may be added by whoever packs one again.
const ENTRIES: usize = 16;

const MANIFEST: &str = "capsule.json";
const HEADER: &str = "header.bin";
const INPUT: &str = "input.bin";
const KERNEL: &str = "kernel.wasm";

/// `capsule.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) version: u32,
    /// Version of the program that wrote it.
    pub(crate) taskhost: String,
    pub(crate) kernel: Kernel,
    /// `--config`, as the user gave it.
    pub(crate) settings: Vec<(String, String)>,
    /// Arguments and environment of a command, broadcast data, real clocks.
    #[serde(default)]
    pub(crate) given: Gifts,
    pub(crate) limits: Limits,
    pub(crate) split: String,
    pub(crate) merge: String,
    /// What the kernel's clocks showed, in nanoseconds since 1970.
    pub(crate) clock: u64,
    pub(crate) item: Item,
    pub(crate) failure: Failed,
}

/// The kernel that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kernel {
    pub(crate) name: String,
    /// `--kind`, when it was given: `component` or `raw`.
    pub(crate) kind: Option<String>,
    /// `--invoke`, when it was given.
    #[serde(default)]
    pub(crate) invoke: Option<String>,
    pub(crate) blake3: String,
}

/// What it was allowed to use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) memory_bytes: u64,
    pub(crate) output_bytes: u64,
    pub(crate) fuel: Option<u64>,
    pub(crate) timeout_nanoseconds: Option<u64>,
}

/// The item, without its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) source: String,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) position: u64,
    pub(crate) number: Option<u64>,
    pub(crate) line: Option<u64>,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) verdict: String,
    pub(crate) blame: String,
    pub(crate) message: String,
    pub(crate) backtrace: Vec<String>,
    pub(crate) attempts: u32,
}

impl Manifest {
    /// The version that this program writes and reads.
    pub(crate) fn current_version() -> u32 {
        VERSION
    }
}

/// The parts of a capsule that are written.
pub(crate) struct Parts<'a, R> {
    pub(crate) manifest: &'a Manifest,
    /// The first line of the item's input, with `--header`.
    pub(crate) header: Option<&'a [u8]>,
    pub(crate) kernel: &'a [u8],
    /// The item's bytes: as many as the manifest says.
    pub(crate) input: R,
}

/// Writes a capsule.
pub(crate) fn write<R: Read>(to: impl Write, parts: Parts<'_, R>) -> io::Result<()> {
    let mut archive = tar::Builder::new(to);
    let mut entry = |name: &str, len: u64, bytes: &mut dyn Read| {
        let mut header = tar::Header::new_ustar();
        header.set_size(len);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        archive.append_data(&mut header, name, bytes.take(len))
    };
    let mut manifest = serde_json::to_vec_pretty(parts.manifest)?;
    manifest.push(b'\n');
    entry(MANIFEST, manifest.len() as u64, &mut manifest.as_slice())?;
    if let Some(mut header) = parts.header {
        entry(HEADER, header.len() as u64, &mut header)?;
    }
    let mut input = parts.input;
    entry(INPUT, parts.manifest.item.length, &mut input)?;
    let mut kernel = parts.kernel;
    entry(KERNEL, kernel.len() as u64, &mut kernel)?;
    archive.into_inner()?.flush()
}

/// A capsule that was read.
#[derive(Debug)]
pub(crate) struct Capsule {
    pub(crate) manifest: Manifest,
    pub(crate) header: Option<Vec<u8>>,
    pub(crate) input: Vec<u8>,
    pub(crate) kernel: Vec<u8>,
}

impl Capsule {
    /// Reads the capsule at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let wrong = |why: String| Failure::input(format!("{} cannot be replayed: {why}", path.display()));
        let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
        let is_file = file.metadata().is_ok_and(|meta| meta.is_file());
        if !is_file {
            return Err(wrong("it is no file; name a capsule that --capture made".into()));
        }
        Self::read(io::BufReader::new(file)).map_err(wrong)
    }

    fn read(from: impl Read) -> Result<Self, String> {
        let broken = |error: io::Error| format!("it is no capsule, or damaged ({error})");
        let mut parts: [(&str, u64, Option<Vec<u8>>); 4] = [
            (MANIFEST, MANIFEST_BYTES, None),
            (HEADER, HEADER_BYTES as u64, None),
            (INPUT, ITEM_BYTES, None),
            (KERNEL, KERNEL_BYTES, None),
        ];
        let mut archive = tar::Archive::new(from);
        // Raw: extensions, which may name anything of any length, are entries like others and so are passed over.
        for entry in archive.entries().map_err(broken)?.raw(true).take(ENTRIES) {
            let entry = entry.map_err(broken)?;
            let name = entry.path_bytes().into_owned();
            let Some((name, cap, part)) = parts.iter_mut().find(|(known, ..)| known.as_bytes() == name) else {
                continue;
            };
            if !entry.header().entry_type().is_file() || part.is_some() {
                return Err(format!("{name} in it is no file, or there twice"));
            }
            let size = entry.size();
            if size > *cap {
                return Err(format!("{name} in it has {size} bytes, more than the {cap} it may have"));
            }
            // Grows with what is really there, whatever the size claims.
            let mut bytes = Vec::new();
            entry.take(size).read_to_end(&mut bytes).map_err(broken)?;
            if bytes.len() as u64 != size {
                return Err("it ends early".into());
            }
            *part = Some(bytes);
        }
        let [manifest, header, input, kernel] = parts.map(|(name, _, part)| part.ok_or(name));
        let missing = |name| format!("it is no capsule: there is no {name} in it");
        let manifest = manifest_from(&manifest.map_err(missing)?)?;
        let capsule =
            Self { manifest, header: header.ok(), input: input.map_err(missing)?, kernel: kernel.map_err(missing)? };
        let (expected, found) = (capsule.manifest.item.length, capsule.input.len() as u64);
        if expected != found {
            return Err(format!("it is damaged: the item has {found} bytes, and had {expected}"));
        }
        Ok(capsule)
    }
}

fn manifest_from(text: &[u8]) -> Result<Manifest, String> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let wrong = |error: serde_json::Error| format!("{MANIFEST} in it cannot be understood: {error}");
    let Versioned { version } = serde_json::from_slice(text).map_err(wrong)?;
    if version != VERSION {
        return Err(format!(
            "it is of version {version}, and this program reads {VERSION}: use the program that made it"
        ));
    }
    serde_json::from_slice(text).map_err(wrong)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn manifest() -> Manifest {
        Manifest {
            version: VERSION,
            taskhost: "0.1.0".into(),
            kernel: Kernel { name: "primes".into(), kind: None, invoke: None, blake3: "00".into() },
            settings: vec![("a".into(), "b".into())],
            given: Gifts::default(),
            limits: Limits { memory_bytes: 1 << 30, output_bytes: 1 << 28, fuel: None, timeout_nanoseconds: Some(5) },
            split: "lines".into(),
            merge: "lines".into(),
            clock: 7,
            item: Item {
                source: "a.txt".into(),
                offset: 345,
                length: 3,
                position: 345,
                number: Some(12),
                line: Some(13),
            },
            failure: Failed { verdict: "kernel-trap".into(), attempts: 1, ..Failed::default() },
        }
    }

    fn packed() -> Vec<u8> {
        let mut bytes = Vec::new();
        let parts = Parts { manifest: &manifest(), header: Some(b"head"), kernel: b"\0asm", input: &b"3 x"[..] };
        write(&mut bytes, parts).expect("into memory");
        bytes
    }

    /// Name and content.
    type Entry<'a> = (&'a str, &'a [u8]);

    fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in entries {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, *bytes).expect("into memory");
        }
        archive.into_inner().expect("into memory")
    }

    #[test]
    fn what_is_written_is_read() {
        let capsule = Capsule::read(packed().as_slice()).expect("whole");
        assert_eq!((capsule.manifest, capsule.input), (manifest(), b"3 x".to_vec()));
        assert_eq!((capsule.header, capsule.kernel), (Some(b"head".to_vec()), b"\0asm".to_vec()));
    }

    #[test]
    fn a_capsule_that_is_cut_anywhere_is_refused_or_whole() {
        let bytes = packed();
        for end in (0..bytes.len()).step_by(100) {
            if let Ok(capsule) = Capsule::read(&bytes[..end]) {
                assert_eq!(capsule.kernel, b"\0asm");
            }
        }
    }

    #[test]
    fn changed_bytes_never_panic() {
        let bytes = packed();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x55;
            let _ = Capsule::read(changed.as_slice());
        }
    }

    #[test]
    fn sizes_are_capped_before_anything_is_read() {
        let mut header = tar::Header::new_ustar();
        header.set_path(KERNEL).expect("short");
        header.set_size(KERNEL_BYTES + 1);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        let error = Capsule::read(header.as_bytes().as_slice()).expect_err("too large");
        assert!(error.contains("more than"), "{error}");
    }

    #[test]
    fn what_a_capsule_must_not_hold_is_refused() {
        let text = serde_json::to_vec(&manifest()).expect("plain data");
        let whole: [Entry<'_>; 3] = [(MANIFEST, &text), (INPUT, b"3 x"), (KERNEL, b"\0asm")];
        Capsule::read(archive(&whole).as_slice()).expect("whole, without a header");
        let cases: [(&str, Vec<Entry<'_>>); 5] = [
            ("there is no kernel.wasm", whole[..2].to_vec()),
            ("twice", [&whole[..], &whole[..1]].concat()),
            ("had 3", vec![whole[0], (INPUT, b"3"), whole[2]]),
            ("cannot be understood", vec![(MANIFEST, b"{}"), whole[1], whole[2]]),
            ("of version 9", vec![(MANIFEST, br#"{"version":9}"#), whole[1], whole[2]]),
        ];
        for (words, entries) in cases {
            let error = Capsule::read(archive(&entries).as_slice()).expect_err(words);
            assert!(error.contains(words), "{error}");
        }
    }
}
