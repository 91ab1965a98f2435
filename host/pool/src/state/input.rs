//! How far a job's list of inputs has been read: files are opened one after the other, as they are needed, and pipes
//! stretch by stretch.

use taskhost_protocol::work::Split;

/// What the job waits for before it can say what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next file may be asked for.
    Idle,
    /// It was asked for.
    Asked,
    /// A pipe is open; whether a stretch of it was asked for, and where the items of that begin.
    Pipe { asked: bool, start: u64 },
    /// There are no more.
    Ended,
}

/// A job's list of inputs.
#[derive(Debug)]
pub(crate) struct Input {
    split: Split,
    next: Next,
    /// Position of the first item of the next input.
    next_base: u64,
    /// Bytes of all inputs before the next.
    next_bytes: u64,
}

impl Input {
    pub(crate) fn new(split: Split) -> Self {
        Self { split, next: Next::Idle, next_base: 0, next_bytes: 0 }
    }

    /// The first input has inputs of others in front of it: the position of an item at its byte 0.
    pub(crate) fn behind(mut self, base: u64) -> Self {
        self.next_base = base;
        self
    }

    pub(crate) fn next(&self) -> Next {
        self.next
    }

    /// The next file, or the next stretch of the pipe, was asked for.
    pub(crate) fn ask(&mut self) {
        self.next = match self.next {
            Next::Pipe { start, .. } => Next::Pipe { asked: true, start },
            Next::Idle | Next::Asked => Next::Asked,
            Next::Ended => Next::Ended,
        };
    }

    /// A file of `len` bytes is open. Returns the position of an item at its byte 0.
    pub(crate) fn file(&mut self, len: u64) -> u64 {
        let base = self.next_base;
        self.next = Next::Idle;
        self.advance(len);
        base
    }

    /// A pipe is open; its first item begins at `start`. Returns the position of an item at its byte 0.
    pub(crate) fn pipe(&mut self, start: u64) -> u64 {
        self.next = Next::Pipe { asked: false, start };
        self.next_base
    }

    /// A stretch of the pipe was read, whose items begin before `end`. Returns the position of an item at byte 0.
    pub(crate) fn block(&mut self, end: u64) -> u64 {
        self.next = Next::Pipe { asked: false, start: end };
        self.next_base
    }

    /// The pipe has ended after `len` bytes. Returns the positions behind the items of its last stretch.
    pub(crate) fn pipe_ended(&mut self, len: u64) -> (u64, u64) {
        let start = match self.next {
            Next::Pipe { start, .. } => start.min(len),
            Next::Idle | Next::Asked | Next::Ended => len,
        };
        let behind = (self.next_base + start, self.next_base + len);
        self.next = Next::Idle;
        self.advance(len);
        behind
    }

    pub(crate) fn end(&mut self) {
        self.next = Next::Ended;
    }

    /// Bytes of all inputs that were opened, without a pipe that has not ended.
    pub(crate) fn bytes(&self) -> u64 {
        self.next_bytes
    }

    /// Position behind all items of the inputs that were opened.
    pub(crate) fn positions(&self) -> u64 {
        self.next_base
    }

    fn advance(&mut self, len: u64) {
        self.next_bytes += len;
        self.next_base += match self.split {
            Split::Whole => 1,
            Split::Lines | Split::Blocks(_) | Split::Table => len,
            Split::Records(size) | Split::Chunks(size) => len.div_ceil(size),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_bytes_or_items() {
        let bases = |split| {
            let mut input = Input::new(split);
            [input.file(10), input.file(0), input.file(5), input.positions()]
        };
        assert_eq!(bases(Split::Lines), [0, 10, 10, 15]);
        assert_eq!(bases(Split::Whole), [0, 1, 2, 3]);
        assert_eq!(bases(Split::Chunks(4)), [0, 3, 3, 5]);
    }

    #[test]
    fn a_pipe_may_end_behind_the_items_of_its_last_stretch() {
        let mut input = Input::new(Split::Blocks(4));
        input.pipe(0);
        // Of a line of ten bytes, the window of the first four has the item.
        input.block(8);
        assert_eq!(input.pipe_ended(10), (8, 10));
        assert_eq!(input.positions(), 10);
    }
}
