//! A connection that is given up when nothing moves on it for too long, in whichever direction, or when whoever reads the answers
//! does so more slowly than is bearable.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::body::LEAST_RATE;

/// A stream with a limit to its silence.
pub(super) struct Patient<T> {
    stream: T,
    patience: Duration,
    /// When it is given up, unless something moves.
    end: Pin<Box<Sleep>>,
    /// Bytes that were taken from us.
    written: u64,
    /// How long they were waited with, before now.
    waited: Duration,
    /// Since when nothing more is taken.
    full: Option<Instant>,
    /// When it is given up for having taken so little in that time.
    slow: Pin<Box<Sleep>>,
}

impl<T> Patient<T> {
    pub(super) fn new(stream: T, patience: Duration) -> Self {
        let sleep = || Box::pin(tokio::time::sleep(patience));
        let (written, waited, full) = (0, Duration::ZERO, None);
        Self { stream, patience, end: sleep(), written, waited, full, slow: sleep() }
    }

    /// Counts how long whoever reads has us wait, not how long we have them wait: what is told as it comes to be may be little.
    fn count(&mut self, context: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let now = Instant::now();
        match result {
            Poll::Ready(taken) => {
                self.waited += self.full.take().map_or(Duration::ZERO, |since| now - since);
                self.written += *taken.as_ref().unwrap_or(&0) as u64;
                return Poll::Ready(taken);
            }
            Poll::Pending if self.full.is_none() => {
                self.full = Some(now);
                let bearable = self.patience + Duration::from_secs(self.written / LEAST_RATE);
                self.slow.as_mut().reset(now + bearable.saturating_sub(self.waited));
            }
            Poll::Pending => {}
        }
        self.slow.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn look<R>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if result.is_ready() {
            let end = Instant::now() + self.patience;
            self.end.as_mut().reset(end);
            return result;
        }
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.look(context, result)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        let result = self.look(context, result);
        self.count(context, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Takes so many bytes at a time, after a while in which it takes none.
    struct Reader {
        bytes: usize,
        rest: Duration,
        until: Option<Pin<Box<Sleep>>>,
    }

    impl AsyncWrite for Reader {
        fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let (rest, taken) = (self.rest, self.bytes.min(bytes.len()));
            let until = self.until.get_or_insert_with(|| Box::pin(tokio::time::sleep(rest)));
            if until.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.until = None;
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Whether so many writes to it are borne.
    fn is_borne(bytes: usize, rest: Duration, patience: Duration, writes: usize) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let mut stream = Patient::new(Reader { bytes, rest, until: None }, patience);
            for _ in 0..writes {
                let written = poll_fn(|context| Pin::new(&mut stream).poll_write(context, &[0; 64 << 10])).await;
                if written.is_err() {
                    return false;
                }
            }
            true
        })
    }

    #[test]
    fn who_takes_nothing_or_little_is_given_up() {
        let long = Duration::from_secs(1000);
        assert!(!is_borne(1, long, Duration::from_millis(20), 1));
        // Each of them in time, all of them together too few.
        assert!(!is_borne(1, Duration::from_millis(2), Duration::from_millis(200), 2000));
        assert!(is_borne(64 << 10, Duration::ZERO, long, 2000));
        assert!(is_borne(64 << 10, Duration::from_millis(2), long, 20));
    }
}
