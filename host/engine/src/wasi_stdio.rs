//! What a kernel writes to standard output and standard error, as log lines: that is where panics and prints go.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use taskhost_protocol::limits::TEXT_BYTES;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Bytes kept until they are taken; more are dropped. Sixteen of the longest lines.
const KEPT: usize = 16 * TEXT_BYTES;

/// Bytes that the kernel may write at once.
const PERMIT: usize = 64 * 1024;

/// Bytes kept of what was last printed to standard error: a panic, and the start of its backtrace.
const LAST_WORDS: usize = 4 * TEXT_BYTES;

/// Both outputs of one instance.
#[derive(Clone, Default)]
pub(crate) struct Output {
    /// Of both.
    kept: Arc<Mutex<Vec<u8>>>,
    /// Of standard error, for the item in hand.
    last_words: Arc<Mutex<VecDeque<u8>>>,
    is_errors: bool,
}

impl Output {
    /// The same, as standard error.
    pub(crate) fn errors(&self) -> Self {
        Self { is_errors: true, ..self.clone() }
    }

    /// The lines written since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *lock(&self.kept));
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }

    /// The end of what was written to standard error for the item in hand.
    pub(crate) fn last_words(&self) -> String {
        String::from_utf8_lossy(lock(&self.last_words).make_contiguous()).into_owned()
    }

    /// Adds to standard error.
    pub(crate) fn add_errors(&self, bytes: &[u8]) {
        self.keep(bytes);
        let mut words = lock(&self.last_words);
        words.extend(&bytes[bytes.len().saturating_sub(LAST_WORDS)..]);
        let over = words.len().saturating_sub(LAST_WORDS);
        words.drain(..over);
    }

    /// What was written is said elsewhere, and is no log line.
    pub(crate) fn forget_errors(&self) {
        lock(&self.kept).clear();
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = lock(&self.kept);
        let room = KEPT.saturating_sub(kept.len()).min(bytes.len());
        kept.extend_from_slice(&bytes[..room]);
    }

    /// Another item.
    pub(crate) fn forget_last_words(&self) {
        lock(&self.last_words).clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only preview 3 asks for it, which is not linked.
        StdoutStream::async_stream(&MemoryOutputPipe::new(KEPT))
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if self.is_errors {
            self.add_errors(&bytes);
        } else {
            self.keep(&bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}
