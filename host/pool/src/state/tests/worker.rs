//! What a worker of the tests makes of an order: items are found by the code that real workers use.

use taskhost_data::fixed::fixed_items;
use taskhost_data::lines::ItemCursor;
use taskhost_data::tree::LocalTree;
use taskhost_protocol::fault::{Fault, ItemFailure, ItemPlace};
use taskhost_protocol::picture::{Cut, Format};
use taskhost_protocol::work::{Done, Merge, Partial, Piece, Rest, Rows, Spent, Split};

use super::input::{Spec, combine, finish};
use crate::event::{Order, Task};

/// How a worker runs one batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Hands back the rest after so many items.
    pub(super) items: u64,
    /// Says it took so long.
    pub(super) nanos: u64,
}

impl Effort {
    /// Everything, in no time.
    pub(super) const FULL: Self = Self { items: u64::MAX, nanos: 1000 };

    /// Hands back the rest after so many items.
    pub(super) fn stop_after(items: u64) -> Self {
        Self { items, ..Self::FULL }
    }
}

/// The reply that says nothing yet.
pub(super) fn empty_reply(order: &Order) -> Done {
    Done {
        job: order.job,
        batch: order.batch,
        generation: order.generation,
        items: 0,
        input: 0,
        output: 0,
        rest: None,
        partials: Vec::new(),
        failures: Vec::new(),
        joining: None,
        counters: Vec::new(),
        plan: None,
        spent: Spent::default(),
    }
}

/// Runs items. Returns the reply and the bytes of results.
pub(super) fn run_items(spec: &Spec, order: &Order, effort: Effort) -> (Done, Vec<u8>) {
    let Task::Items(pieces) = &order.task else { panic!("these are no items: {:?}", order.task) };
    let mut run = Run { spec, order, effort, done: empty_reply(order), output: Vec::new() };
    for (index, piece) in pieces.iter().enumerate() {
        let stopped = run.piece(piece);
        let next = pieces.get(index + 1).map(|next| Rest { piece: index as u32 + 1, start: next.start });
        match stopped {
            Some(start) if start < piece.end => run.done.rest = Some(Rest { piece: index as u32, start }),
            Some(_) => run.done.rest = next,
            None => continue,
        }
        break;
    }
    run.done.output = run.output.len() as u64 * spec.scale;
    run.done.counters = vec![("items".into(), run.done.items)];
    run.done.spent.total = effort.nanos;
    (run.done, run.output)
}

struct Run<'a> {
    spec: &'a Spec,
    order: &'a Order,
    effort: Effort,
    done: Done,
    output: Vec<u8>,
}

impl Run<'_> {
    /// Runs the items of one piece. Returns where it stopped, if it did so because of a limit or a failure.
    fn piece(&mut self, piece: &Piece) -> Option<u64> {
        let split = self.order.split;
        let file = self.spec.inputs[piece.source.0 as usize].bytes();
        // What the piece says can be read, and nothing else.
        let mut readable = &file[piece.from as usize..piece.to as usize];
        let local = Piece { at: 0, ..*piece };
        let mut tree = LocalTree::new(piece.position(split, piece.start));
        let mut stopped = None;
        if matches!(split, Split::Lines | Split::Blocks(_)) {
            let mut cursor = ItemCursor::new();
            cursor.open(&local, split, &mut readable).unwrap();
            while let Some(item) = cursor.next_item(&mut readable).unwrap() {
                self.item(piece, item.offset, cursor.bytes(&item), &mut tree);
                if self.is_over() {
                    stopped = Some(cursor.resume_at());
                    break;
                }
            }
        } else {
            for item in fixed_items(split, &local) {
                let at = (item.offset - piece.from) as usize;
                self.item(piece, item.offset, &readable[at..at + item.len as usize], &mut tree);
                if self.is_over() {
                    stopped = Some(item.offset + item.len);
                    break;
                }
            }
        }
        let end = stopped.unwrap_or(piece.end).min(piece.end);
        self.done.input += end - piece.start;
        if self.order.merge == Merge::Reduce && self.done.failures.is_empty() {
            let end = match split {
                Split::Whole => piece.base + 1,
                Split::Lines | Split::Blocks(_) => piece.base + end,
                Split::Records(size) | Split::Chunks(size) => piece.base + end.div_ceil(size),
            };
            for partial in tree.finish(end, &mut join).unwrap() {
                self.output.extend(&partial.bytes);
                let len = partial.bytes.len() as u64 * self.spec.scale;
                self.done.partials.push(Partial { level: partial.node.level, index: partial.node.index, len });
            }
        }
        stopped
    }

    fn item(&mut self, piece: &Piece, offset: u64, bytes: &[u8], tree: &mut LocalTree) {
        let position = piece.position(self.order.split, offset);
        self.done.items += 1;
        match self.spec.result(bytes) {
            None => self.done.failures.push(ItemFailure {
                place: ItemPlace { source: piece.source, offset },
                ordinal: self.done.items - 1,
                len: bytes.len() as u64,
                at: self.output.len() as u64,
                attempts: 1,
                fault: Fault::Failed("there is an X in it".into()),
            }),
            Some(result) if self.order.merge == Merge::Reduce => tree.push(position, &result, &mut join).unwrap(),
            Some(result) => {
                self.output.extend(result);
                self.output.extend((self.order.merge == Merge::Lines).then_some(b'\n'));
            }
        }
    }

    fn is_over(&self) -> bool {
        let budget = &self.order.budget;
        self.done.items >= budget.items.min(self.effort.items)
            || self.output.len() as u64 * self.spec.scale >= budget.output
            || self.done.failures.len() >= budget.failures as usize
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the tree takes operations that can fail")]
fn join(parts: &[&[u8]]) -> Result<Vec<u8>, std::convert::Infallible> {
    Ok(combine(parts))
}

/// Joins or finishes parts.
pub(super) fn run_join(spec: &Spec, order: &Order, parts: &[Vec<u8>]) -> (Done, Vec<u8>) {
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let output = match order.task {
        Task::Finish(_) => finish(parts[0]),
        _ => combine(&parts),
    };
    (Done { output: output.len() as u64 * spec.scale, ..empty_reply(order) }, output)
}

/// What filtering makes of one row.
pub(super) fn row_of(format: &Format, plane: u64, row: u32) -> Vec<u8> {
    vec![(plane * 100 + u64::from(row)) as u8; format.row_bytes().unwrap() as usize]
}

/// Filters rows of a picture of the given planes, which begin at `at`.
pub(super) fn run_rows(order: &Order, rows: &Rows, at: u64, effort: Effort) -> (Done, Vec<u8>) {
    let plane = (rows.at - at) / rows.format.bytes().unwrap();
    let mut done = empty_reply(order);
    let output = &rows.plan.output;
    let is_whole = rows.plan.cut == Cut::Whole;
    let count = if is_whole { rows.count } else { rows.count.min(u32::try_from(effort.items).unwrap_or(u32::MAX)) };
    let made = if is_whole { 0..output.height } else { rows.first..rows.first + count };
    let bytes: Vec<u8> = made.flat_map(|row| row_of(output, plane, row)).collect();
    if count < rows.count {
        done.rest = Some(Rest { piece: 0, start: u64::from(rows.first + count) });
    }
    done.items = 1;
    done.input = u64::from(count) * rows.format.row_bytes().unwrap();
    done.output = bytes.len() as u64;
    done.spent.total = effort.nanos;
    (done, bytes)
}
