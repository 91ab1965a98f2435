//! Joining partial results as items are made. What goes wrong here is no item's fault.

use std::time::Instant;

use taskhost_os::progress::ProgressWriter;
use taskhost_protocol::fault::Fault;
use taskhost_protocol::work::{Partial, Split};

use crate::execute::{Executor, nanos_since};
use crate::items::PieceContext;
use crate::kernel::Kernel;
use crate::outlet::Outlet;
use crate::startup::Fatal;

/// Calls `combine`, outside of items.
pub(crate) fn combine(kernel: &mut Kernel, parts: &[&[u8]]) -> Result<Vec<u8>, Fault> {
    let instance = kernel.for_call()?;
    instance.set_item(None);
    let joined = instance.combine(parts);
    if joined.is_ok() {
        instance.commit_counters();
    } else {
        instance.drop_counters();
    }
    joined
}

/// `combine` as the tree of a batch calls it.
struct Joiner<'a> {
    kernel: &'a mut Kernel,
    progress: &'a ProgressWriter,
    /// What the progress cell says meanwhile.
    mark: u64,
    /// Whether it was called.
    was_called: bool,
}

impl Joiner<'_> {
    fn combine(&mut self, parts: &[&[u8]]) -> Result<Vec<u8>, Fault> {
        self.progress.store(self.mark);
        self.was_called = true;
        combine(self.kernel, parts).map_err(in_combine)
    }
}

/// Says that it was not the item at which `combine` happened to be called.
fn in_combine(fault: Fault) -> Fault {
    match fault {
        same @ (Fault::Input(_) | Fault::Output(_)) => same,
        trap @ (Fault::Trap { .. } | Fault::MemoryLimit { .. }) => {
            trap.map_text(|reason| format!("{reason} (in its `combine`)"))
        }
        said => said.map_text(|text| format!("in the kernel's `combine`: {text}")),
    }
}

impl Executor<'_> {
    /// Puts the partial results of one item into the tree.
    pub(crate) fn reduce(
        &mut self,
        context: &PieceContext,
        offset: u64,
        outlet: &mut Outlet<'_, '_>,
    ) -> Result<(), Fatal> {
        let Some(tree) = &mut outlet.tree else { return Ok(()) };
        let position = context.piece.position(context.split, offset);
        let mark = context.progress(offset, true);
        let mut joiner = Joiner { kernel: &mut self.kernel, progress: &self.progress, mark, was_called: false };
        let pushed = match outlet.ends.as_slice() {
            [] => Ok(()),
            [_] => tree.push(position, &outlet.scratch, &mut |parts: &[&[u8]]| joiner.combine(parts)),
            ends => {
                // Several results of one item are joined before the item is joined with others.
                let mut begin = 0;
                let parts: Vec<&[u8]> =
                    ends.iter().map(|end| &outlet.scratch[std::mem::replace(&mut begin, *end)..*end]).collect();
                joiner
                    .combine(&parts)
                    .and_then(|joined| tree.push(position, &joined, &mut |parts: &[&[u8]]| joiner.combine(parts)))
            }
        };
        let was_called = joiner.was_called;
        outlet.scratch.clear();
        outlet.ends.clear();
        if let Err(fault) = pushed {
            outlet.tally.fail_joining(fault);
        }
        if was_called { self.pass_logs(context.job, None) } else { Ok(()) }
    }

    /// Ends the tree of a piece, of which the items up to `end` were run, and writes what it holds.
    pub(crate) fn close_tree(
        &mut self,
        context: &PieceContext,
        end: u64,
        complete: bool,
        outlet: &mut Outlet<'_, '_>,
    ) -> Result<(), Fatal> {
        let Some(tree) = outlet.tree.take() else { return Ok(()) };
        let piece = &context.piece;
        let position = match context.split {
            Split::Whole => piece.base + u64::from(complete || end >= piece.end),
            Split::Lines | Split::Blocks(_) | Split::Table => piece.base + end,
            Split::Records(size) | Split::Chunks(size) => piece.base + end.div_ceil(size),
        };
        let mark = context.progress(end, true);
        let mut joiner = Joiner { kernel: &mut self.kernel, progress: &self.progress, mark, was_called: false };
        let began = Instant::now();
        let finished = tree.finish(position, &mut |parts: &[&[u8]]| joiner.combine(parts));
        outlet.tally.join_nanos += nanos_since(began);
        match finished {
            Err(fault) => outlet.tally.fail_joining(fault),
            Ok(partials) => {
                for partial in partials {
                    if let Err(fault) = outlet.results.write(&partial.bytes) {
                        outlet.tally.fail_whole(fault);
                        break;
                    }
                    let (level, index) = (partial.node.level, partial.node.index);
                    outlet.tally.partials.push(Partial { level, index, len: partial.bytes.len() as u64 });
                }
            }
        }
        self.pass_logs(context.job, None)
    }
}
