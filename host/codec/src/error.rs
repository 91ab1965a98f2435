//! Why a picture could not be decoded or encoded.

use taskhost_protocol::fault::Fault;
use taskhost_protocol::limits::PICTURE_BYTES;
use taskhost_protocol::picture::{Format, PictureFile};

/// What is wrong with a picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// No bytes.
    #[error("the file is empty")]
    Empty,
    /// First bytes that say nothing.
    #[error("the file is neither PNG nor JPEG nor PNM (PGM, PPM), by its first bytes")]
    Unknown,
    /// The decoder gave up.
    #[error("the {} file cannot be decoded: {reason}", name(*.file))]
    Decode {
        /// The format by the first bytes.
        file: PictureFile,
        /// What the decoder says.
        reason: String,
    },
    /// The file ends too early.
    #[error("the {} file is cut short", name(*.0))]
    Truncated(PictureFile),
    /// Pixels beyond [`PICTURE_BYTES`].
    #[error("a picture of {width}x{height} is over the limit of {PICTURE_BYTES} bytes")]
    TooLarge {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// The machine, or this worker's share of it, has not that much memory.
    #[error("no memory for a picture of {0} bytes")]
    Memory(u64),
    /// The format has no place for such samples.
    #[error("a picture of {format} cannot be written as {}: {advice}", name(*.file))]
    Unsupported {
        /// What was to be written.
        format: Format,
        /// As what.
        file: PictureFile,
        /// What can be done.
        advice: &'static str,
    },
    /// The samples are not those of the format.
    #[error("a picture of {format} does not have {got} bytes")]
    Length {
        /// The format.
        format: Format,
        /// Bytes that were given.
        got: usize,
    },
    /// The encoder gave up.
    #[error("the picture cannot be written as {}: {reason}", name(*.file))]
    Encode {
        /// As what.
        file: PictureFile,
        /// What the encoder says.
        reason: String,
    },
}

impl From<CodecError> for Fault {
    /// What the file did wrong is the input's fault, what cannot be written the output's.
    fn from(error: CodecError) -> Self {
        let text = error.to_string();
        match error {
            CodecError::Unsupported { .. } | CodecError::Length { .. } | CodecError::Encode { .. } => {
                Self::Output(text)
            }
            CodecError::Empty
            | CodecError::Unknown
            | CodecError::Decode { .. }
            | CodecError::Truncated(_)
            | CodecError::TooLarge { .. }
            | CodecError::Memory(_) => Self::Input(text),
        }
        .capped()
    }
}

/// What people call the format.
pub(crate) fn name(file: PictureFile) -> &'static str {
    match file {
        PictureFile::Png => "PNG",
        PictureFile::Jpeg => "JPEG",
        PictureFile::Pnm => "PNM",
    }
}
