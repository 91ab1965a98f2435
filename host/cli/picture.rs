//! A picture as an input: what says its geometry, and what its result looks like as a file.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::path::Path;

use taskhost_data::formats::{Content, ImageKind, SNIFF_BYTES, Sniffed, extension_of, image_kind, packing, sniff};
use taskhost_data::{envi, geometry, npy};
use taskhost_os::exact;
use taskhost_pool::event::{OnError, PictureJobPlan};
use taskhost_pool::job::PictureForm;
use taskhost_pool::state::sizing::BatchRule;
use taskhost_protocol::picture::{Format, PictureFile, PicturePlan, Sample};

use crate::args::PictureArguments;

/// Longest sidecar header that is read, in bytes: those with wavelengths of a thousand bands have 50 kB.
const SIDECAR_BYTES: u64 = 1 << 20;

/// What an input is as a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PictureInput {
    /// Its format; `None` when it must be decoded first.
    pub(crate) format: Option<Format>,
    pub(crate) planes: u32,
    pub(crate) at: u64,
    pub(crate) kind: InputKind,
}

/// Who says the geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputKind {
    /// A picture file.
    File(PictureFile),
    /// A `.npy` file; `flat` when its array has two dimensions.
    Npy { flat: bool },
    /// `--size`.
    Raw,
    /// An ENVI header beside it.
    Envi,
}

/// Looks at the first bytes of a picture of `len` bytes, and beside it.
pub(crate) fn look(
    file: &File,
    path: Option<&Path>,
    len: u64,
    arguments: &PictureArguments,
) -> Result<PictureInput, String> {
    if let Some((width, height)) = arguments.size {
        let channels = arguments.channels.unwrap_or(1);
        let format = Format { width, height, channels, sample: arguments.sample.unwrap_or(Sample::U8) };
        geometry::check_length(format, len).map_err(|error| error.to_string())?;
        return Ok(PictureInput { format: Some(format), planes: 1, at: 0, kind: InputKind::Raw });
    }
    let mut first = [0; SNIFF_BYTES];
    let got = exact::pread_full(file.as_fd(), &mut first, 0).map_err(|error| error.to_string())?;
    match sniff(&first[..got]) {
        Some(Content::Picture(file)) => {
            return Ok(PictureInput { format: None, planes: 1, at: 0, kind: InputKind::File(file) });
        }
        Some(Content::Npy) => return npy_picture(file, &first[..got], len),
        _ => {}
    }
    if let Some(path) = path {
        for sidecar in envi::sidecar_candidates(path) {
            if sidecar.is_file() {
                return envi_picture(&sidecar, len).map_err(|error| format!("{}: {error}", sidecar.display()));
            }
        }
    }
    if let Sniffed::Packed(packing) = packing(&first[..got]) {
        let packing = packing.name();
        return Err(format!("it is compressed with {packing}, and pictures are read as they are; decompress it first"));
    }
    if let Some(Content::Other(name)) = sniff(&first[..got]) {
        return Err(format!("it is {name}, which is not read; convert it to PNG, JPEG, PGM, PPM or .npy first"));
    }
    if let Some(ImageKind::Converted(named)) = path.and_then(image_kind) {
        let name = extension_of(named).to_uppercase();
        return Err(format!("its name says {name}, but it does not begin like one: it is damaged, or something else"));
    }
    if path.and_then(image_kind) == Some(ImageKind::Npy) {
        return Err("its name says .npy, but it does not begin like one: it is damaged, or something else".into());
    }
    Err("its geometry is not known: add --size WIDTHxHEIGHT (and --channels, --sample), or put an ENVI .hdr beside it"
        .into())
}

fn npy_picture(file: &File, first: &[u8], len: u64) -> Result<PictureInput, String> {
    let bytes = npy::header_bytes(first).map_err(|error| error.to_string())?;
    let mut header = vec![0; bytes.min(usize::try_from(len).unwrap_or(usize::MAX))];
    exact::pread_exact(file.as_fd(), &mut header, 0).map_err(|error| error.to_string())?;
    let header = npy::parse(&header).map_err(|error| error.to_string())?;
    header.check_length(len).map_err(|error| error.to_string())?;
    let kind = InputKind::Npy { flat: header.flat };
    Ok(PictureInput { format: Some(header.format), planes: 1, at: header.data_at, kind })
}

fn envi_picture(sidecar: &Path, len: u64) -> Result<PictureInput, String> {
    let mut text = String::new();
    let file = File::open(sidecar).map_err(|error| error.to_string())?;
    file.take(SIDECAR_BYTES).read_to_string(&mut text).map_err(|error| error.to_string())?;
    let header = envi::parse(&text).map_err(|error| error.to_string())?;
    header.check_length(len).map_err(|error| error.to_string())?;
    let first = *header.pictures.first().ok_or("it describes no picture")?;
    let planes = u32::try_from(header.pictures.len()).map_err(|_| "it has too many bands")?;
    Ok(PictureInput { format: Some(first.format), planes, at: first.offset, kind: InputKind::Envi })
}

/// What the result looks like, from the name it gets, or else from the input.
pub(crate) fn form(input: &PictureInput, output: Option<&Path>) -> Result<PictureForm, String> {
    let samples = |header| Ok(PictureForm::Samples { header });
    if let Some(name) = output.and_then(unwritten) {
        return Err(format!(
            "{name} is not written; name the result .png, .jpg, .pgm, .ppm, .npy, or .raw for the samples alone"
        ));
    }
    let kind = match output.and_then(image_kind) {
        Some(kind) => kind,
        None => match input.kind {
            InputKind::File(file) => ImageKind::Converted(file),
            InputKind::Npy { .. } => ImageKind::Npy,
            InputKind::Raw | InputKind::Envi => ImageKind::Raw,
        },
    };
    match kind {
        ImageKind::Raw => samples(no_header),
        _ if input.planes > 1 => Err(format!(
            "it has {} bands one after the other (bsq), which only a raw result can hold: name it .raw",
            input.planes
        )),
        ImageKind::Npy if matches!(input.kind, InputKind::Npy { flat: false }) => samples(deep_npy),
        ImageKind::Npy => samples(flat_npy),
        ImageKind::Converted(file) => Ok(PictureForm::File(file)),
    }
}

/// The picture format that a name promises and that nobody here can write.
fn unwritten(output: &Path) -> Option<String> {
    const NAMES: [&str; 12] = ["avif", "bmp", "exr", "gif", "heic", "hdf5", "ico", "jp2", "svg", "tif", "tiff", "webp"];
    let extension = output.extension()?.to_str()?.to_ascii_lowercase();
    NAMES.contains(&extension.as_str()).then(|| extension.to_uppercase())
}

fn no_header(_: &PicturePlan, _: u32) -> Vec<u8> {
    Vec::new()
}

fn flat_npy(plan: &PicturePlan, _: u32) -> Vec<u8> {
    npy::write(plan.output, true)
}

fn deep_npy(plan: &PicturePlan, _: u32) -> Vec<u8> {
    npy::write(plan.output, false)
}

/// The plan of a picture's job.
pub(crate) fn plan(
    input: &PictureInput,
    form: &PictureForm,
    to_file: bool,
    (batch, on_error): (BatchRule, OnError),
) -> PictureJobPlan {
    let encode = matches!(form, PictureForm::File(_));
    // Rows that are encoded afterwards go straight to their place in memory.
    PictureJobPlan {
        format: input.format,
        planes: input.planes,
        at: input.at,
        direct: to_file || encode,
        encode,
        batch,
        on_error,
        rows: None,
    }
}

/// The header to be put beside a raw result whose input had one, so that the result can be an input again.
pub(crate) fn sidecar(format: Format, planes: u32) -> String {
    let text = envi::write(format);
    if planes == 1 {
        return text;
    }
    text.replace("bands = 1\n", &format!("bands = {planes}\n")).replace("interleave = bip", "interleave = bsq")
}
