//! Whoever takes marked results item by item.

use taskhost_protocol::mark::{MARK_BYTES, Mark};
use taskhost_protocol::stream::Misfit;

use super::*;
use crate::event::Checked;

impl FakeJob {
    pub(super) fn is_checked(&self) -> bool {
        matches!(&self.kind, Kind::Items(spec) if spec.plan.placement == Placement::Checked)
    }

    /// Takes the results of a batch but for those that do not fit.
    pub(super) fn take(&mut self, mut results: &[u8]) -> Checked {
        let Kind::Items(spec) = &self.kind else { panic!("pictures are not taken by item") };
        let mut checked = Checked { misfits: Vec::new(), bytes: 0 };
        while let Some((mark, rest)) = results.split_first_chunk::<MARK_BYTES>() {
            let Mark { place, ordinal, len, result } = Mark::decode(mark);
            let (result, rest) = rest.split_at(result as usize);
            results = rest;
            let item = &spec.inputs[place.source.0 as usize].bytes()[place.offset as usize..][..len as usize];
            if spec.is_misfit(item) {
                checked.misfits.push(Misfit { place, ordinal, len, what: "there is an M in it".into() });
            } else {
                self.output.extend(result);
                checked.bytes += result.len() as u64;
            }
        }
        assert!(results.is_empty(), "every result is marked");
        checked
    }
}
