//! Inputs of the tests, and what must become of them, by the definitions and in one pass.

use taskhost_protocol::ids::SourceId;
use taskhost_protocol::work::{Merge, Split};

use super::worker::Fate;
use crate::event::{DirectLength, ItemsPlan, OnError, Placement};
use crate::state::sizing::BatchRule;

/// One input.
#[derive(Clone, Debug)]
pub(super) enum Input {
    File(Vec<u8>),
    Pipe(Vec<u8>),
}

impl Input {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::File(bytes) | Self::Pipe(bytes) => bytes,
        }
    }
}

/// A job of items, as a test describes it.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) plan: ItemsPlan,
    pub(super) inputs: Vec<Input>,
    pub(super) header: bool,
    /// Bytes of results that one byte stands for: windows fill up without gigabytes.
    pub(super) scale: u64,
}

impl Spec {
    /// Ordered lines of these inputs, appended.
    pub(super) fn lines(inputs: impl IntoIterator<Item = Input>) -> Self {
        Self::new(Split::Lines, Merge::Lines, inputs)
    }

    /// Ordered items of these inputs, appended or reduced.
    pub(super) fn new(split: Split, merge: Merge, inputs: impl IntoIterator<Item = Input>) -> Self {
        let inputs: Vec<Input> = inputs.into_iter().collect();
        let is_files = inputs.iter().all(|input| matches!(input, Input::File(_)));
        let bytes = is_files.then(|| inputs.iter().map(|input| input.bytes().len() as u64).sum());
        let placement = if merge == Merge::Discard { Placement::Nowhere } else { Placement::Append };
        let plan = ItemsPlan {
            split,
            merge,
            placement,
            length: taskhost_protocol::kernel::ResultLength::Unknown,
            ordered: true,
            batch: BatchRule::Auto,
            bytes,
            on_error: OnError::Fail,
            origin: None,
            portion: None,
        };
        Self { plan, inputs, header: false, scale: 1 }
    }

    pub(super) fn batches_of(self, items: u64) -> Self {
        Self { plan: ItemsPlan { batch: BatchRule::Items(items), ..self.plan }, ..self }
    }

    /// Goes on without items that fail.
    pub(super) fn skipping(self) -> Self {
        Self { plan: ItemsPlan { on_error: OnError::Skip, ..self.plan }, ..self }
    }

    pub(super) fn unordered(self) -> Self {
        Self { plan: ItemsPlan { ordered: false, ..self.plan }, ..self }
    }

    pub(super) fn direct(self, length: DirectLength) -> Self {
        Self { plan: ItemsPlan { placement: Placement::Direct(length), ..self.plan }, ..self }
    }

    /// Results are taken item by item by somebody else.
    pub(super) fn checked(self) -> Self {
        Self { plan: ItemsPlan { placement: Placement::Checked, ..self.plan }, scale: 1, ..self }
    }

    /// Whether the result of an item is not taken: there is an `M` in it.
    pub(super) fn is_misfit(&self, item: &[u8]) -> bool {
        self.plan.placement == Placement::Checked && Fate::of(item, u32::MAX) == Fate::Well && item.contains(&b'M')
    }

    pub(super) fn scaled(self, scale: u64) -> Self {
        Self { scale, ..self }
    }

    /// Where the first item of an input begins.
    pub(super) fn first_item(&self, source: SourceId) -> u64 {
        let bytes = self.inputs[source.0 as usize].bytes();
        let line = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        if self.header { line as u64 } else { 0 }
    }

    /// All items, in order.
    pub(super) fn items(&self) -> Vec<Item> {
        let (mut items, mut base) = (Vec::new(), 0);
        for (source, input) in (0..).map(SourceId).zip(&self.inputs) {
            let (bytes, start) = (input.bytes(), self.first_item(source));
            for (offset, bytes) in pieces_of(self.plan.split, bytes, start) {
                let position = match self.plan.split {
                    Split::Whole => base,
                    Split::Lines | Split::Blocks(_) => base + offset,
                    Split::Records(size) | Split::Chunks(size) => base + offset / size,
                    Split::Table => base + offset,
                };
                items.push(Item { source, offset, position, bytes });
            }
            base += match self.plan.split {
                Split::Whole => 1,
                Split::Lines | Split::Blocks(_) | Split::Table => bytes.len() as u64,
                Split::Records(size) | Split::Chunks(size) => (bytes.len() as u64).div_ceil(size),
            };
        }
        items
    }

    /// The result of an item; `None` when it fails.
    pub(super) fn result(&self, item: &[u8]) -> Option<Vec<u8>> {
        if Fate::of(item, u32::MAX) != Fate::Well {
            return None;
        }
        Some(match self.plan.placement {
            Placement::Direct(DirectLength::Same) => item.iter().map(|byte| !byte).collect(),
            Placement::Direct(DirectLength::Exactly(len)) => vec![Self::sum(item); len as usize],
            // Of another length than the item, and now and then of none.
            Placement::Append | Placement::Checked | Placement::Nowhere => {
                item.iter().skip(1).flat_map(|byte| [*byte, b'!']).collect()
            }
        })
    }

    /// A byte that depends on all bytes.
    pub(super) fn sum(item: &[u8]) -> u8 {
        item.iter().fold(1_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte))
    }

    /// Zeros in the place of the result of an item that fails.
    pub(super) fn filled(&self, item: &[u8]) -> usize {
        match self.plan.placement {
            Placement::Direct(DirectLength::Same) => item.len(),
            Placement::Direct(DirectLength::Exactly(len)) => len as usize,
            Placement::Append | Placement::Checked | Placement::Nowhere => 0,
        }
    }

    /// What stands in the output for an item: its result, or what is there in its place.
    pub(super) fn written(&self, item: &[u8]) -> Vec<u8> {
        if self.is_misfit(item) { Vec::new() } else { self.made(item) }
    }

    /// What the worker writes for an item.
    pub(super) fn made(&self, item: &[u8]) -> Vec<u8> {
        let end: &[u8] = if self.plan.merge == Merge::Lines { b"\n" } else { b"" };
        let front = |result: &[u8]| match self.plan.merge {
            Merge::Framed => (result.len() as u32).to_le_bytes().to_vec(),
            _ => Vec::new(),
        };
        let whole = |result: Vec<u8>| [front(&result).as_slice(), &result, end].concat();
        self.result(item).map_or_else(|| vec![0; self.filled(item)], whole)
    }

    /// The output, without the items that fail.
    pub(super) fn output(&self) -> Vec<u8> {
        let items = self.items();
        match self.plan.merge {
            Merge::Concat | Merge::Lines | Merge::Framed => {
                items.iter().flat_map(|item| self.written(&item.bytes)).collect()
            }
            Merge::Discard => Vec::new(),
            Merge::Reduce => reduce(items.iter().filter_map(|item| Some((item.position, self.result(&item.bytes)?)))),
        }
    }
}

/// An item, by definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) source: SourceId,
    pub(super) offset: u64,
    pub(super) position: u64,
    pub(super) bytes: Vec<u8>,
}

/// Offsets and bytes of the items from `start` on.
fn pieces_of(split: Split, bytes: &[u8], start: u64) -> Vec<(u64, Vec<u8>)> {
    let mut lines = Vec::new();
    let mut at = start as usize;
    while at < bytes.len() {
        let end = bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |len| at + len + 1);
        lines.push((at as u64, bytes[at..end].to_vec()));
        at = end;
    }
    match split {
        Split::Whole => vec![(0, bytes.to_vec())],
        Split::Lines => {
            for (_, line) in &mut lines {
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
            }
            lines
        }
        Split::Blocks(size) => {
            let mut blocks: Vec<(u64, Vec<u8>)> = Vec::new();
            for (offset, line) in lines {
                match blocks.last_mut() {
                    Some((first, block)) if *first / size == offset / size => block.extend(line),
                    _ => blocks.push((offset, line)),
                }
            }
            blocks
        }
        // Here an item of a table is one byte.
        Split::Table => (0..).zip(bytes.chunks(1)).map(|(at, item)| (at, item.to_vec())).collect(),
        Split::Records(size) | Split::Chunks(size) => (0..)
            .step_by(size as usize)
            .zip(bytes.chunks(size as usize))
            .map(|(at, item)| (at, item.to_vec()))
            .collect(),
    }
}

/// What `combine` makes of parts: shows which calls were made.
pub(super) fn combine(parts: &[&[u8]]) -> Vec<u8> {
    [b"(", parts.join(&b' ').as_slice(), b")"].concat()
}

/// What `finish` makes of the last part.
pub(super) fn finish(part: &[u8]) -> Vec<u8> {
    [b"[", part, b"]"].concat()
}

/// The tree by its definition: level by level over all items.
fn reduce(items: impl Iterator<Item = (u64, Vec<u8>)>) -> Vec<u8> {
    let mut nodes: Vec<(u64, Vec<u8>)> = items.collect();
    while nodes.len() > 1 {
        let mut parents: Vec<(u64, Vec<Vec<u8>>)> = Vec::new();
        for (index, bytes) in nodes {
            match parents.last_mut() {
                Some((parent, parts)) if *parent == index / 16 => parts.push(bytes),
                _ => parents.push((index / 16, vec![bytes])),
            }
        }
        let join = |parts: Vec<Vec<u8>>| match parts.as_slice() {
            [only] => only.clone(),
            parts => combine(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>()),
        };
        nodes = parents.into_iter().map(|(index, parts)| (index, join(parts))).collect();
    }
    finish(&nodes.pop().map_or_else(|| combine(&[]), |(_, bytes)| bytes))
}

/// A file of `count` lines of five bytes: `0000` to `9999`.
pub(super) fn numbered(count: usize) -> Input {
    Input::File((0..count).flat_map(|number| format!("{number:04}\n").into_bytes()).collect())
}
