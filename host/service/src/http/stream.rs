//! Answers that go out as they come to be.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::Frame;
use tokio::sync::mpsc;

/// Parts that wait for a slow reader; whoever makes them waits with them.
const PARTS: usize = 4;

/// Where the parts of an answer are given.
#[derive(Debug)]
pub(super) struct Parts(mpsc::Sender<io::Result<Bytes>>);

/// Nobody reads any more.
#[derive(Debug)]
pub(super) struct Gone;

impl Parts {
    /// Gives a part, as soon as there is room for it.
    pub(super) async fn give(&self, part: impl Into<Bytes>) -> Result<(), Gone> {
        let part = part.into();
        if part.is_empty() {
            return if self.0.is_closed() { Err(Gone) } else { Ok(()) };
        }
        self.0.send(Ok(part)).await.map_err(|_| Gone)
    }

    /// Ends the answer before its end, so that whoever reads it knows that this is not all.
    pub(super) async fn cut(self) {
        let _ = self.0.send(Err(io::ErrorKind::UnexpectedEof.into())).await;
    }
}

struct PartsBody(mpsc::Receiver<io::Result<Bytes>>);

impl hyper::body::Body for PartsBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(context).map(|part| part.map(|part| part.map(Frame::data)))
    }
}

/// An answer whose parts are given by and by. It ends when the giver is dropped.
pub(super) fn stream() -> (Parts, Body) {
    let (sender, receiver) = mpsc::channel(PARTS);
    (Parts(sender), Body::new(PartsBody(receiver)))
}
