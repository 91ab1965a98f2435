//! What a worker of the tests makes of rows of a picture.

use taskhost_protocol::fault::{Fault, ItemFailure, ItemPlace};
use taskhost_protocol::ids::SourceId;
use taskhost_protocol::picture::{Cut, Format, PicturePlan};
use taskhost_protocol::progress::Progress;
use taskhost_protocol::work::{Rest, Rows};

use super::worker::{Effort, Fate, Ran, Runs, kernel_says};
use crate::event::{Order, PictureJobPlan};

/// A picture job, as a test describes it.
#[derive(Clone, Debug)]
pub(super) struct PictureSpec {
    pub(super) plan: PictureJobPlan,
    pub(super) format: Format,
    pub(super) kernel: PicturePlan,
    /// Rows that are not well, by plane and row, and what is wrong with them, see [`Fate::of`].
    pub(super) bad: Vec<(u32, u32, u8)>,
}

impl PictureSpec {
    /// The fate of a row that was run so many times before. A whole picture shares the fate of its row 0.
    pub(super) fn fate(&self, plane: u64, row: u32, runs: u32) -> Fate {
        let letter = self.bad.iter().find(|(p, r, _)| (u64::from(*p), *r) == (plane, row)).map(|(.., letter)| *letter);
        letter.map_or(Fate::Well, |letter| Fate::of(&[letter], runs))
    }

    /// What filtering makes of one row; zeros when that fails.
    pub(super) fn row(&self, plane: u64, row: u32) -> Vec<u8> {
        let bytes = self.kernel.output.row_bytes().unwrap() as usize;
        let is_well = self.kernel.cut == Cut::Whole || self.fate(plane, row, u32::MAX) == Fate::Well;
        vec![if is_well { ((plane * 100 + u64::from(row)) % 255 + 1) as u8 } else { 0 }; bytes]
    }
}

struct Filter<'a> {
    spec: &'a PictureSpec,
    order: &'a Order,
    rows: &'a Rows,
    plane: u64,
    runs: &'a Runs,
    ran: Ran,
}

/// Filters rows.
pub(super) fn run_rows(spec: &PictureSpec, order: &Order, rows: &Rows, effort: Effort, runs: &Runs) -> Ran {
    let plane = (rows.at - spec.plan.at) / rows.format.bytes().unwrap();
    let mut filter = Filter { spec, order, rows, plane, runs, ran: Ran::of(order) };
    if rows.plan.cut == Cut::Whole {
        filter.whole();
    } else {
        filter.strip(effort);
    }
    let mut ran = filter.ran;
    ran.done.output = ran.output.len() as u64;
    ran.done.spent.total = effort.nanos;
    ran
}

impl Filter<'_> {
    fn whole(&mut self) {
        self.ran.done.items = 1;
        match self.begin(0) {
            Fate::Well => {
                let rows = 0..self.rows.plan.output.height;
                self.ran.output = rows.flat_map(|row| self.spec.row(self.plane, row)).collect();
                self.ran.done.input = self.rows.format.bytes().unwrap();
            }
            Fate::Fails => self.fail(0, 1, kernel_says()),
            fate => self.die(fate, 0, false),
        }
    }

    fn strip(&mut self, effort: Effort) {
        let end = self.rows.first + self.rows.count;
        let mut next = self.rows.first;
        if self.order.care.leave_out_first {
            self.ran.done.items += 1;
            self.fail(next, 0, Fault::LeftOut);
            next += 1;
        }
        let pack = if self.order.care.one_by_one { 1 } else { effort.pack.max(1) };
        while next < end {
            let tile = next..end.min(next.saturating_add(u32::try_from(pack).unwrap_or(u32::MAX)));
            let fates: Vec<Fate> = tile.clone().map(|row| self.begin(row)).collect();
            let slow = (fates.len() > 1 && effort.slow_packs).then_some(Fate::Late);
            if let Some(fate) = fates.iter().copied().find(|fate| fate.is_deadly()).or(slow) {
                return self.die(fate, next, fates.len() > 1);
            }
            next = tile.end;
            if fates.iter().all(|fate| *fate == Fate::Well) {
                self.ran.done.items += 1;
                self.ran.output.extend(tile.flat_map(|row| self.spec.row(self.plane, row)));
            } else {
                for (row, fate) in tile.zip(fates) {
                    self.single(row, fate);
                    if self.ran.is_spoilt(self.order) {
                        next = row + 1;
                        break;
                    }
                }
            }
            let most = self.order.budget.items.min(effort.items);
            if self.ran.done.items >= most || self.ran.is_spoilt(self.order) {
                break;
            }
        }
        self.ran.done.input = u64::from(next - self.rows.first) * self.rows.format.row_bytes().unwrap();
        self.ran.done.rest = (next < end).then_some(Rest { piece: 0, start: next.into() });
    }

    /// A row of a tile that failed, by itself.
    fn single(&mut self, row: u32, fate: Fate) {
        self.ran.done.items += 1;
        match fate {
            Fate::Well => self.ran.output.extend(self.spec.row(self.plane, row)),
            _ => self.fail(row, 1, kernel_says()),
        }
    }

    fn begin(&mut self, row: u32) -> Fate {
        let key = (SourceId(u32::try_from(self.plane).unwrap()), row.into());
        let before = self.runs.get(&key).copied().unwrap_or(0);
        self.ran.begun.push(key);
        self.spec.fate(self.plane, row, before)
    }

    fn die(&mut self, fate: Fate, row: u32, packed: bool) {
        let offset = u64::from(row - self.rows.first);
        self.ran.death = Some((fate, Progress { batch: self.order.batch, piece: 0, offset, packed }));
    }

    /// Notes that the row just counted failed.
    fn fail(&mut self, row: u32, attempts: u32, fault: Fault) {
        let at = self.ran.output.len() as u64;
        let is_whole = self.rows.plan.cut == Cut::Whole;
        if !is_whole && (self.order.care.skip_failed || fault == Fault::LeftOut) {
            self.ran.output.extend(vec![0; self.rows.plan.output.row_bytes().unwrap() as usize]);
        }
        let rows = if is_whole { self.rows.count } else { 1 };
        self.ran.done.failures.push(ItemFailure {
            place: ItemPlace { source: self.rows.source, offset: row.into() },
            ordinal: self.ran.done.items - 1,
            len: u64::from(rows) * self.rows.format.row_bytes().unwrap(),
            at,
            attempts,
            fault,
        });
    }
}
