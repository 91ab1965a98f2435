//! Messages between coordinator and worker, and the information about a kernel in an artifact.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use taskhost_protocol::frame::{decode, decode_info, encode, encode_info};
use taskhost_protocol::ids::BatchId;
use taskhost_protocol::limits::{KERNEL_INFO_BYTES, MESSAGE_BYTES};
use taskhost_protocol::message::{FromWorker, ToWorker};
use taskhost_protocol::progress::Progress;

use super::choices::Choices;

/// Whatever is accepted as a message is one that could have been sent: it encodes, to no more bytes, and is read back.
///
/// The first byte says what the rest is taken for.
pub fn messages(data: &[u8]) {
    let mut choices = Choices(data);
    match choices.byte() % 4 {
        0 => message::<FromWorker>(choices.0),
        1 => message::<ToWorker>(choices.0),
        2 => info(choices.0),
        _ => progress(&mut choices),
    }
}

fn message<M: Debug + PartialEq + Serialize + DeserializeOwned>(data: &[u8]) {
    let Ok(message) = decode::<M>(data) else { return };
    assert!(data.len() <= MESSAGE_BYTES, "a message over the limit was taken");
    let bytes = encode(&message).expect("what was decoded is short enough to be encoded");
    assert!(bytes.len() <= data.len(), "{message:?} has {} bytes, but came in {}", bytes.len(), data.len());
    assert_eq!(decode::<M>(&bytes).expect("what was encoded is decoded"), message);
    // Neither less nor more than a message is one.
    for length in [0, bytes.len() / 2, bytes.len() - 1] {
        assert!(decode::<M>(&bytes[..length]).is_err(), "{length} bytes of {message:?} were taken");
    }
    assert!(decode::<M>(&[&bytes[..], &[0]].concat()).is_err(), "{message:?} was taken with a byte behind it");
}

fn info(data: &[u8]) {
    let Ok(info) = decode_info(data) else { return };
    match encode_info(&info) {
        Ok(bytes) => {
            assert!(bytes.len() as u64 <= KERNEL_INFO_BYTES);
            assert_eq!(decode_info(&bytes).expect("what was encoded is decoded"), info);
        }
        Err(_) => assert!(data.len() as u64 > KERNEL_INFO_BYTES, "{info:?} was read and cannot be written"),
    }
}

/// What stands in a progress cell, which a worker may write anything to.
fn progress(choices: &mut Choices<'_>) {
    let mut number = [0; 8];
    number.fill_with(|| choices.byte());
    let (number, batch) = (u64::from_le_bytes(number), BatchId(choices.number() as u64));
    let Some(progress) = Progress::decode(number, batch) else { return };
    assert_eq!(progress.batch, batch);
    assert_eq!(progress.encode(), number, "{progress:?}");
}
