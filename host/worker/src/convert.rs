//! The convert role: picture files to samples and back.

use std::os::fd::AsFd;

use taskhost_os::exact;
use taskhost_os::sandbox::Role;
use taskhost_protocol::fault::Fault;
use taskhost_protocol::limits::PICTURE_BYTES;
use taskhost_protocol::message::{FromWorker, ToWorker};
use taskhost_protocol::picture::{Format, PictureFile};

use crate::files::Files;
use crate::startup::{Channel, Fatal};

/// Decodes and encodes until the coordinator closes the socket.
pub(crate) fn run(channel: &mut Channel) -> Result<(), Fatal> {
    // A decoder's panic is caught and becomes an error of the picture; it must not end the worker.
    std::panic::set_hook(Box::new(|_| {}));
    channel.lock(Role::Convert, 1)?;
    channel.locked()?;
    channel.send(&FromWorker::Ready { description: None })?;
    let mut files = Files::default();
    loop {
        let (message, fds) = channel.receive()?;
        match message {
            ToWorker::Open { slot, open } => files.open(slot, open, fds)?,
            ToWorker::Close { slot } => files.close(slot)?,
            ToWorker::Decode { from, bytes, to } => {
                let decoded = decode(files.file(from)?, bytes, files.file(to)?);
                channel.send(&FromWorker::Decoded(decoded.map_err(Fault::capped)))?;
            }
            ToWorker::Encode { from, format, to, file } => {
                let encoded = encode(files.file(from)?, format, files.file(to)?, file);
                channel.send(&FromWorker::Encoded(encoded.map_err(Fault::capped)))?;
            }
            ToWorker::Start(..) | ToWorker::Go | ToWorker::Run(_) | ToWorker::Stream(_) => {
                return Err(Fatal::Protocol("a worker for pictures converts nothing else".into()));
            }
        }
    }
}

fn read(file: impl AsFd, bytes: u64) -> Result<Vec<u8>, Fault> {
    if bytes > PICTURE_BYTES {
        return Err(Fault::ItemTooLarge { len: bytes, limit: PICTURE_BYTES });
    }
    let mut buffer = vec![0; usize::try_from(bytes).unwrap_or(0)];
    exact::pread_exact(file.as_fd(), &mut buffer, 0).map_err(|error| Fault::Input(error.to_string()))?;
    Ok(buffer)
}

fn decode(from: impl AsFd, bytes: u64, to: impl AsFd) -> Result<Format, Fault> {
    let file = read(from, bytes)?;
    let (format, samples) = taskhost_codec::decode(&file).map_err(|error| Fault::Input(error.to_string()))?;
    exact::pwrite_all(to.as_fd(), &samples, 0).map_err(|error| Fault::Output(error.to_string()))?;
    Ok(format)
}

fn encode(from: impl AsFd, format: Format, to: impl AsFd, file: PictureFile) -> Result<u64, Fault> {
    let samples = read(from, format.bytes().unwrap_or(u64::MAX))?;
    let encoded = taskhost_codec::encode(format, &samples, file).map_err(|error| Fault::Output(error.to_string()))?;
    exact::pwrite_all(to.as_fd(), &encoded, 0).map_err(|error| Fault::Output(error.to_string()))?;
    Ok(encoded.len() as u64)
}
