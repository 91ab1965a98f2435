//! What a job needs, taken to the service unless it is there already.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::{Value, json};

use super::connection::{Answer, Asked, Connection, Content};
use super::wanted::{Input, Wanted, Work};
use crate::exit_code::Failure;
use crate::kernel::{self, KernelFile};

/// Inputs that are text and together no longer than this are sent with the job itself.
const INLINE: u64 = 64 << 10;

/// From so many bytes on, a file goes on where it was when the connection is lost: less is sent again.
const IN_PARTS: u64 = 4 << 20;

/// Most that is read of standard input: it is sent again when the connection is lost, so it has to be kept until then.
const STDIN_BYTES: u64 = 256 << 20;

fn digest(bytes: &[u8]) -> String {
    format!("blake3:{}", blake3::hash(bytes).to_hex())
}

/// Has the kernel there, and returns what it is called there.
pub(super) fn kernel(connection: &Connection, wanted: &Wanted<'_>) -> Result<String, Failure> {
    let (digest, file) = known_kernel(connection, wanted)?;
    let Some(file) = file else { return Ok(digest) };
    let named = &wanted.arguments.kernel.kernel;
    let path = format!("/v1/kernels/{digest}");
    let mut head = vec![("content-type", "application/wasm".to_owned())];
    if let Some(signature) = kernel::signature(named) {
        head.push(("taskhost-signature", taskhost_service::signature::as_sent(&signature)));
    }
    let asked = Asked { method: "PUT", path: &path, head, content: Content::Bytes(file.bytes) };
    let answer = connection.ask(&asked)?;
    if answer.is_good() {
        return Ok(digest);
    }
    let failure = answer.failure();
    Err(Failure::new(failure.exit, format!("{}: {}", file.name, failure.message)))
}

/// What the kernel is called there: the digest of a file here, or, when there is no such file, the name of one that is there. With
/// the file when it is not there yet.
pub(super) fn known_kernel(
    connection: &Connection,
    wanted: &Wanted<'_>,
) -> Result<(String, Option<KernelFile>), Failure> {
    let named = &wanted.arguments.kernel.kernel;
    let file = match kernel::find(named) {
        Ok(file) => file,
        Err(failure) => {
            let name = named.to_string_lossy();
            let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte));
            let is_there = is_name && !named.exists() && kernel_there(connection, &name)?.is_good();
            return if is_there { Ok((name.into_owned(), None)) } else { Err(failure) };
        }
    };
    let digest = digest(&file.bytes);
    let is_there = kernel_there(connection, &digest)?.is_good();
    Ok((digest, (!is_there).then_some(file)))
}

fn kernel_there(connection: &Connection, reference: &str) -> Result<Answer, Failure> {
    let answer = connection.ask(&Asked::get(&format!("/v1/kernels/{reference}")))?;
    // Whoever may not look may still bring it.
    if answer.is_good() || matches!(answer.status, 400 | 403 | 404) {
        Ok(answer)
    } else {
        Err(connection.refused(&answer))
    }
}

/// Has the inputs there, and returns what stands for each in a job.
pub(super) fn inputs(connection: &Connection, work: &Work) -> Result<Vec<Value>, Failure> {
    let total = work.inputs.iter().map(|input| match &input.path {
        Some(path) => {
            path.metadata().map_or(u64::MAX, |metadata| if metadata.is_file() { metadata.len() } else { u64::MAX })
        }
        None => 0,
    });
    let is_small = total.fold(0_u64, u64::saturating_add) <= INLINE;
    work.inputs.iter().map(|input| one(connection, input, is_small)).collect()
}

fn one(connection: &Connection, input: &Input, is_small: bool) -> Result<Value, Failure> {
    let failed = |error: std::io::Error| Failure::input(format!("{} cannot be read: {error}", input.name));
    let regular = input.path.as_deref().filter(|path| path.metadata().is_ok_and(|metadata| metadata.is_file()));
    let mut hashed = 0;
    let (digest, content) = match (regular, &input.path) {
        (Some(path), _) if !is_small => {
            let mut hasher = blake3::Hasher::new();
            let mut file = File::open(path).map_err(failed)?;
            hash(&mut file, &mut hasher).map_err(failed)?;
            hashed = hasher.count();
            (format!("blake3:{}", hasher.finalize().to_hex()), Content::File(path.to_owned(), 0))
        }
        (_, path) => {
            let bytes = read(path.as_deref(), &input.name)?;
            if is_small && bytes.len() as u64 <= INLINE {
                match String::from_utf8(bytes) {
                    Ok(text) => return Ok(json!({ "text": text })),
                    Err(error) => of_bytes(error.into_bytes()),
                }
            } else {
                of_bytes(bytes)
            }
        }
    };
    let path = format!("/v1/blobs/{digest}");
    match content {
        Content::File(file, _) if hashed >= IN_PARTS => {
            let answer = connection.store(&path, &file, hashed)?;
            if !answer.is_good() {
                return Err(connection.refused(&answer));
            }
        }
        content => {
            let there = connection.ask(&Asked { method: "HEAD", ..Asked::get(&path) })?;
            if !there.is_good() {
                connection.ask_well(&Asked { method: "PUT", path: &path, head: Vec::new(), content })?;
            }
        }
    }
    Ok(json!({ "blob": digest }))
}

fn of_bytes(bytes: Vec<u8>) -> (String, Content) {
    (digest(&bytes), Content::Bytes(bytes))
}

fn hash(file: &mut File, hasher: &mut blake3::Hasher) -> std::io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            read => hasher.update(&buffer[..read]),
        };
    }
}

/// Reads a small file, or what comes through a pipe.
fn read(path: Option<&Path>, shown: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = match path {
        Some(path) => File::open(path).and_then(|file| file.take(STDIN_BYTES + 1).read_to_end(&mut bytes)),
        None => std::io::stdin().lock().take(STDIN_BYTES + 1).read_to_end(&mut bytes),
    };
    read.map_err(|error| Failure::input(format!("{shown} cannot be read: {error}")))?;
    if bytes.len() as u64 > STDIN_BYTES {
        let most = STDIN_BYTES >> 20;
        return Err(Failure::input(format!(
            "{shown} has more than {most} MiB, the most that a pipe may have for a service: put it into a file"
        )));
    }
    Ok(bytes)
}
