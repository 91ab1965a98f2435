//! The same kernels in this process, on one thread, without pool and walls: what an embedding of wasmtime gives.
//!
//! ```text
//! in_process compile KERNEL CODE plain|epochs
//! in_process items CODE plain|epochs INPUT OUTPUT lines|SIZE [NAME=VALUE]…     one call for each item
//! in_process picture CODE plain|epochs INPUT OUTPUT WIDTH HEIGHT f64|rgb
//! ```
//!
//! Code is compiled beforehand, as taskhost's is. With `epochs` it checks a counter in every loop, the usual way to stop a
//! kernel that does not end.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use taskhost_engine::{HostContext, Input, Instance, LoadOptions, LoadedKernel, Tile};
use taskhost_protocol::fault::Fault;
use taskhost_protocol::kernel::{CompileOptions, Exports, Kind, Needs, Profile};
use taskhost_protocol::limits::WorkerLimits;
use taskhost_protocol::picture::{Cut, Format, Sample};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Rows of a strip: as many as make about 1 MiB, so that it stays in the cache.
const STRIP: u64 = 1 << 20;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["compile", kernel, code, profile] => {
            let options = CompileOptions { profile: self::profile(profile), kind: None };
            Ok(fs::write(code, taskhost_engine::compile(&fs::read(kernel)?, options)?.code)?)
        }
        ["items", code, profile, input, output, cut, settings @ ..] => {
            let exports = Exports { mapper: true, lifecycle: true, ..Exports::default() };
            let mut instance = start(code, profile, exports, settings)?;
            items(&mut instance, &fs::read(input)?, cut, &mut BufWriter::new(File::create(output)?))
        }
        ["picture", code, profile, input, output, width, height, sample] => {
            let exports = Exports { image_filter: true, lifecycle: true, ..Exports::default() };
            let is_float = *sample == "f64";
            let (channels, sample) = if is_float { (1, Sample::F64) } else { (3, Sample::U8) };
            let format = Format { width: number(width)?, height: number(height)?, channels, sample };
            let mut instance = start(code, profile, exports, &[])?;
            picture(&mut instance, format, &fs::read(input)?, &mut File::create(output)?)
        }
        _ => Err("see the head of this program's source for what it takes".into()),
    }
}

fn profile(word: &str) -> Profile {
    if word == "epochs" { Profile::Sampled } else { Profile::Plain }
}

fn start(code: &str, profile: &str, exports: Exports, settings: &[&str]) -> Outcome<Instance> {
    let loaded = LoadedKernel::load(LoadOptions {
        kind: Kind::Component,
        exports,
        invoke: None,
        needs: Needs::default(),
        sampled: self::profile(profile) == Profile::Sampled,
        folders: &[],
        limits: WorkerLimits::default(),
        code_path: Path::new(code),
    })?;
    let settings = settings.iter().filter_map(|setting| setting.split_once('='));
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut instance = loaded.instantiate(HostContext { settings: Arc::new(settings), ..HostContext::default() })?;
    instance.start()?;
    Ok(instance)
}

fn items(instance: &mut Instance, input: &[u8], cut: &str, output: &mut impl Write) -> Outcome {
    let mut write = |item: &[u8]| {
        let mut sink = |result: &[u8]| output.write_all(result).map_err(|error| Fault::Input(error.to_string()));
        instance.process(Input::Bytes(item), &mut sink)
    };
    if cut == "lines" {
        let text = input.strip_suffix(b"\n").unwrap_or(input);
        text.split(|byte| *byte == b'\n').try_for_each(&mut write)?;
    } else {
        input.chunks(number(cut)?).try_for_each(&mut write)?;
    }
    Ok(output.flush()?)
}

fn picture(instance: &mut Instance, image: Format, input: &[u8], output: &mut impl Write) -> Outcome {
    let Cut::Strips { halo } = instance.prepare(image)?.cut else { return Err("it filters no strips".into()) };
    let row_bytes = (input.len() / image.height as usize) as u64;
    let rows = u32::try_from(STRIP / row_bytes)?.max(1);
    let mut first_row = 0;
    while first_row < image.height {
        let rows = rows.min(image.height - first_row);
        let above = halo.min(first_row);
        let below = halo.min(image.height - first_row - rows);
        let samples = &input[(u64::from(first_row - above) * row_bytes) as usize..];
        let samples = &samples[..(u64::from(above + rows + below) * row_bytes) as usize];
        let mut sink = |result: &[u8]| output.write_all(result).map_err(|error| Fault::Input(error.to_string()));
        let tile = Tile { image, first_row, rows, above, below };
        instance.filter(tile, Input::Bytes(samples), u64::from(rows) * row_bytes, &mut sink)?;
        first_row += rows;
    }
    Ok(())
}

fn number<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("`{word}` is no number that fits here"))
}
