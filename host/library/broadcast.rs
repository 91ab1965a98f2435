//! Data that all workers can read: laid out once, whatever the number of kernels and workers.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use taskhost_os::memfd;
use taskhost_protocol::given::Broadcast;
use taskhost_protocol::limits::{BROADCASTS, NAME_BYTES};

use super::error::Error;

/// Where data comes from.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Bytes(Arc<[u8]>),
    File(PathBuf),
}

/// The data of a pool.
#[derive(Debug, Default)]
pub(crate) struct Laid {
    entries: Vec<Broadcast>,
    /// A file in memory that cannot change any more, when there is any data.
    file: Option<OwnedFd>,
}

impl Laid {
    /// Lays data out, end to end.
    pub(crate) fn out(data: &[(String, Content)]) -> Result<Self, Error> {
        if data.is_empty() {
            return Ok(Self::default());
        }
        let wrong = |what: String| Err(Error::Start(what));
        if data.len() > BROADCASTS {
            return wrong(format!("there can be {BROADCASTS} broadcasts at most"));
        }
        let no_memory = |error: io::Error| Error::Start(format!("there is no room for the broadcast data: {error}"));
        let mut file = File::from(memfd::create(c"taskhost-broadcast").map_err(no_memory)?);
        let mut entries: Vec<Broadcast> = Vec::new();
        let mut at = 0;
        for (name, content) in data {
            if name.is_empty() || name.len() > NAME_BYTES || entries.iter().any(|entry| entry.name == *name) {
                return wrong(format!("broadcast `{name}`: a name has 1 to {NAME_BYTES} bytes, and is given once"));
            }
            let len = match content {
                Content::Bytes(bytes) => file.write_all(bytes).map(|()| bytes.len() as u64).map_err(no_memory)?,
                // From file to file: it never is in the memory of this process.
                Content::File(path) => {
                    let copied = File::open(path).and_then(|mut from| io::copy(&mut from, &mut file));
                    copied.map_err(|error| Error::Broadcast { name: name.clone(), path: path.clone(), error })?
                }
            };
            entries.push(Broadcast { name: name.clone(), at, len });
            at += len;
        }
        memfd::seal_read_only(file.as_fd()).map_err(no_memory)?;
        Ok(Self { entries, file: Some(file.into()) })
    }

    /// What the workers of one kernel are given.
    pub(crate) fn share(&self) -> Result<(Vec<Broadcast>, Option<OwnedFd>), Error> {
        let file = self.file.as_ref().map(OwnedFd::try_clone).transpose();
        let file = file.map_err(|error| Error::Start(format!("a descriptor cannot be duplicated: {error}")))?;
        Ok((self.entries.clone(), file))
    }
}
