//! The memory of a program as WASI preview 1 sees it: numbers and places, each checked.

use taskhost_protocol::fault::Fault;

/// Error numbers of preview 1, as the interface has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errno {
    Badf = 8,
    Fault = 21,
    Inval = 28,
    Io = 29,
    Isdir = 31,
    Mfile = 33,
    Nametoolong = 37,
    Noent = 44,
    Nosys = 52,
    Notdir = 54,
    Notsock = 57,
    Notsup = 58,
    Overflow = 61,
    Rofs = 69,
    Spipe = 70,
    Notcapable = 76,
}

/// Why a call gives no result.
pub(super) enum Stop {
    /// The program is told so.
    Errno(Errno),
    /// The program ends here.
    Fault(Fault),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A linear memory.
pub(super) struct Guest<'a>(pub(super) &'a mut [u8]);

impl Guest<'_> {
    pub(super) fn bytes(&self, at: u32, len: u32) -> Result<&[u8], Errno> {
        let at = at as usize;
        self.0.get(at..at + len as usize).ok_or(Errno::Fault)
    }

    pub(super) fn bytes_mut(&mut self, at: u32, len: u32) -> Result<&mut [u8], Errno> {
        let at = at as usize;
        self.0.get_mut(at..at + len as usize).ok_or(Errno::Fault)
    }

    pub(super) fn text(&self, at: u32, len: u32) -> Result<&str, Errno> {
        std::str::from_utf8(self.bytes(at, len)?).map_err(|_| Errno::Inval)
    }

    pub(super) fn put(&mut self, at: u32, bytes: &[u8]) -> Result<(), Errno> {
        let len = u32::try_from(bytes.len()).map_err(|_| Errno::Overflow)?;
        self.bytes_mut(at, len)?.copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn put_u32(&mut self, at: u32, number: u32) -> Result<(), Errno> {
        self.put(at, &number.to_le_bytes())
    }

    pub(super) fn put_u64(&mut self, at: u32, number: u64) -> Result<(), Errno> {
        self.put(at, &number.to_le_bytes())
    }

    /// A length, when it is one that the program can count to.
    pub(super) fn put_len(&mut self, at: u32, len: usize) -> Result<(), Errno> {
        self.put_u32(at, u32::try_from(len).map_err(|_| Errno::Overflow)?)
    }

    /// One of the buffers of a vector: where, and how long.
    pub(super) fn vector(&self, vectors: u32, index: u32) -> Result<(u32, u32), Errno> {
        let at = index.checked_mul(8).and_then(|offset| vectors.checked_add(offset)).ok_or(Errno::Fault)?;
        let bytes = self.bytes(at, 8)?;
        let word = |from: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&bytes[from..from + 4]);
            u32::from_le_bytes(word)
        };
        Ok((word(0), word(4)))
    }
}
