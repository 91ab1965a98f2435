//! Standard input and output of one run of a program.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use taskhost_protocol::fault::Fault;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use super::files::Files;

/// What a program is given for one item.
pub(crate) struct Stdio {
    /// `argv`.
    pub(crate) arguments: Arc<[String]>,
    pub(crate) environment: Vec<(String, String)>,
    /// Standard input …
    pub(crate) input: Vec<u8>,
    /// … and how much of it was read.
    pub(crate) read: usize,
    pub(crate) output: Gathered,
    pub(crate) files: Files,
}

impl Stdio {
    /// Reads from standard input as much as there is and fits.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let left = &self.input[self.read..];
        let len = left.len().min(buffer.len());
        buffer[..len].copy_from_slice(&left[..len]);
        self.read += len;
        len
    }
}

/// Standard output, up to its limit.
#[derive(Clone)]
pub(crate) struct Gathered {
    bytes: Arc<Mutex<Vec<u8>>>,
    limit: u64,
}

impl Gathered {
    /// `buffer` is used for it.
    pub(crate) fn new(mut buffer: Vec<u8>, limit: u64) -> Self {
        buffer.clear();
        Self { bytes: Arc::new(Mutex::new(buffer)), limit }
    }

    /// What was written.
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.lock())
    }

    /// Adds bytes; beyond the limit the program ends.
    pub(super) fn add(&self, bytes: &[u8]) -> Result<(), Fault> {
        let mut gathered = self.lock();
        let len = gathered.len() as u64 + bytes.len() as u64;
        if len > self.limit {
            return Err(Fault::OutputLimit { len, limit: self.limit });
        }
        gathered.extend_from_slice(bytes);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that a component may write at once.
const PERMIT: usize = 1 << 20;

impl IsTerminal for Gathered {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Gathered {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only preview 3 asks for it, which is not linked.
        StdoutStream::async_stream(&MemoryOutputPipe::new(0))
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Gathered {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Gathered {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.add(&bytes).map_err(|fault| StreamError::Trap(fault.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}
