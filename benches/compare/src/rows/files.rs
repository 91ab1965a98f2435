//! Many files, a result for each.

use std::fs;
use std::io::{self, Write as _};

use crate::row::Row;
use crate::setup::{Noise, Setup};

const BYTES: usize = 64 << 10;

pub(crate) fn row(setup: &Setup) -> io::Result<Row> {
    let count = setup.size(1000, 20);
    let folder = setup.file(&format!("files-{count}"));
    if !folder.exists() {
        fs::create_dir_all(&folder)?;
        let mut noise = Noise::new();
        for number in 0..count {
            let mut file = fs::File::create(folder.join(format!("{number:04}.raw")))?;
            let bytes: Vec<u8> = (0..BYTES / 8).flat_map(|_| noise.next().to_le_bytes()).collect();
            file.write_all(&bytes)?;
        }
    }
    let output = setup.file("files-out");
    let ours = setup.taskhost().arguments("run -q -j 2 invert --split whole").argument(&folder).argument("-o");
    let mut slash = output.clone().into_os_string();
    slash.push("/");
    let native = setup.native("native Rust + rayon, 2 threads").arguments("files").argument(&folder).argument(&output);
    let python = |kind| {
        let contender = setup.python(kind, "files.py").arguments("2").argument(&folder);
        contender.argument(&output).writes(&output)
    };
    // Compiles the kernel beforehand, for the embedding that is started for each file.
    let missing = setup.in_process("", "", "invert", "plain").missing().map(str::to_owned);
    let mut parallel = setup.parallel("GNU parallel, an embedding of wasmtime for each file");
    if missing.is_none() {
        let command = format!(
            "mkdir -p {out} && {embedding} items {code} plain {{}} {out}/{{/}} {BYTES}",
            out = output.display(),
            embedding = setup.in_process_path().display(),
            code = setup.file("invert-plain.code").display(),
        );
        let names = setup.input(&format!("names-{count}"), |file| {
            (0..count).try_for_each(|number| writeln!(file, "{}/{number:04}.raw", folder.display()))
        })?;
        parallel = parallel.argument(command).reads(&names).rounds(3);
    }
    Ok(Row {
        work: format!("{count} files of {} KiB, each inverted into a file of its own; whole processes", BYTES >> 10),
        contenders: vec![
            ours.argument(slash).writes(&output),
            native.arguments("2").writes(&output),
            python("executor"),
            python("pool"),
            python("joblib"),
            parallel.writes(&output),
        ],
        targets: Vec::new(),
    })
}
