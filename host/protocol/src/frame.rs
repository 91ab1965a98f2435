//! The encoding of a message: postcard, one message to a packet. The socket keeps the boundaries, so there is no
//! length prefix to lie about, and a packet that is too long never gets here.

use serde::{Serialize, de::DeserializeOwned};

use crate::limits::MESSAGE_BYTES;

/// Why a message could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The message is longer than [`MESSAGE_BYTES`]: a bug of the sender, who has to cap what it sends.
    #[error("message of {0} bytes is over the limit of {MESSAGE_BYTES}")]
    TooLong(usize),
    /// The bytes are no message.
    #[error("not a message: {0}")]
    Malformed(#[from] postcard::Error),
    /// A message, and then more bytes.
    #[error("{0} bytes after the end of a message")]
    Trailing(usize),
}

/// The bytes of a message.
///
/// # Errors
/// When it is longer than [`MESSAGE_BYTES`].
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let bytes = postcard::to_stdvec(message)?;
    if bytes.len() > MESSAGE_BYTES {
        return Err(FrameError::TooLong(bytes.len()));
    }
    Ok(bytes)
}

/// The bytes of a kernel's information, as they stand in an artifact.
///
/// # Errors
/// When they are more than [`crate::limits::KERNEL_INFO_BYTES`].
pub fn encode_info(info: &crate::kernel::KernelInfo) -> Result<Vec<u8>, FrameError> {
    let bytes = postcard::to_stdvec(info)?;
    if bytes.len() as u64 > crate::limits::KERNEL_INFO_BYTES {
        return Err(FrameError::TooLong(bytes.len()));
    }
    Ok(bytes)
}

/// A kernel's information.
///
/// # Errors
/// When the bytes are none.
pub fn decode_info(bytes: &[u8]) -> Result<crate::kernel::KernelInfo, FrameError> {
    Ok(postcard::from_bytes(bytes)?)
}

/// The message in `bytes`, which must hold nothing else.
///
/// # Errors
/// When the bytes are not exactly one message. Nothing is allocated beyond the length of `bytes`: a length inside
/// them that claims more fails first.
pub fn decode<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, FrameError> {
    if bytes.len() > MESSAGE_BYTES {
        return Err(FrameError::TooLong(bytes.len()));
    }
    let (message, rest) = postcard::take_from_bytes(bytes)?;
    if rest.is_empty() { Ok(message) } else { Err(FrameError::Trailing(rest.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{FromWorker, ToWorker};

    #[test]
    fn a_message_survives() {
        let message = FromWorker::Dying("out of luck".into());
        let bytes = encode(&message).expect("short");
        assert_eq!(decode::<FromWorker>(&bytes).expect("valid"), message);
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = encode(&ToWorker::Go).expect("short");
        bytes.push(0);
        assert!(matches!(decode::<ToWorker>(&bytes), Err(FrameError::Trailing(1))));
    }

    #[test]
    fn a_length_that_lies_is_refused_without_allocating() {
        // The variant of `Dying`, then a text length of u32::MAX in LEB128.
        let tag = encode(&FromWorker::Dying(String::new())).expect("short")[0];
        let bytes = [tag, 0xff, 0xff, 0xff, 0xff, 0x0f];
        assert!(matches!(decode::<FromWorker>(&bytes), Err(FrameError::Malformed(_))));
    }

    #[test]
    fn too_long_a_message_is_refused_on_both_sides() {
        let message = FromWorker::Dying("x".repeat(MESSAGE_BYTES));
        assert!(matches!(encode(&message), Err(FrameError::TooLong(_))));
        let bytes = vec![0; MESSAGE_BYTES + 1];
        assert!(matches!(decode::<FromWorker>(&bytes), Err(FrameError::TooLong(_))));
    }
}
