//! Filtering rows of a picture, and finding the rows that cannot be filtered.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Instant;

use taskhost_data::strips;
use taskhost_engine::{Input, ItemContext, Tile};
use taskhost_protocol::fault::{Fault, ItemPlace};
use taskhost_protocol::ids::{BatchId, JobId};
use taskhost_protocol::picture::Cut;
use taskhost_protocol::progress::Progress;
use taskhost_protocol::work::{Assignment, Care, Rest, Rows};

use crate::execute::{Executor, nanos_since};
use crate::results::Results;
use crate::startup::Fatal;
use crate::tally::{Failed, Tally};

/// What is the same for all rows of a batch.
struct Picture {
    job: JobId,
    batch: BatchId,
    care: Care,
    rows: Rows,
    file: Arc<File>,
    name: Arc<str>,
}

impl Picture {
    fn is_whole(&self) -> bool {
        self.rows.plan.cut == Cut::Whole
    }

    fn place(&self, row: u32) -> ItemPlace {
        ItemPlace { source: self.rows.source, offset: u64::from(row) }
    }

    /// Bytes of so many rows of input.
    fn bytes(&self, rows: u32) -> u64 {
        u64::from(rows) * self.rows.format.row_bytes().unwrap_or(0)
    }

    fn end(&self) -> u32 {
        self.rows.first + self.rows.count
    }

    /// What the progress cell says while a tile is filtered.
    fn progress(&self, tile: strips::Tile) -> u64 {
        let offset = u64::from(tile.first_row.saturating_sub(self.rows.first));
        Progress { batch: self.batch, piece: 0, offset, packed: tile.rows > 1 && !self.is_whole() }.encode()
    }
}

impl Executor<'_> {
    /// Filters rows, tile by tile.
    pub(crate) fn run_rows(
        &mut self,
        assignment: &Assignment,
        rows: &Rows,
        results: &mut Results<'_>,
        tally: &mut Tally,
    ) -> Result<(), Fatal> {
        let began = Instant::now();
        let picture = self.picture(assignment, rows)?;
        let most = if picture.care.one_by_one { 1 } else { u32::MAX };
        let end = picture.end();
        let mut next = rows.first;
        if picture.care.leave_out_first {
            for tile in strips::tiles_up_to(&Rows { count: rows.count.min(1), ..*rows }, 1) {
                next = if picture.is_whole() { end } else { next + 1 };
                count(&picture, tile, tally);
                fail(&picture, tile, Why { attempts: 0, fault: Fault::LeftOut }, results, tally);
            }
        }
        for tile in strips::tiles_up_to(&Rows { first: next, count: end - next, ..*rows }, most) {
            next = self.tile(&picture, tile, results, tally)?;
            let is_over = tally.stopped
                || nanos_since(began) / 1_000 >= assignment.budget.micros
                || results.len() >= assignment.budget.output
                || tally.items >= assignment.budget.items;
            if is_over {
                break;
            }
        }
        if next < end && !picture.is_whole() {
            tally.rest = Some(Rest { piece: 0, start: u64::from(next) });
        }
        Ok(())
    }

    fn picture(&self, assignment: &Assignment, rows: &Rows) -> Result<Picture, Fatal> {
        let input = self.files.input(rows.slot)?;
        if input.job != assignment.job {
            return Err(Fatal::Protocol("the slot holds the picture of another job".into()));
        }
        Ok(Picture {
            job: assignment.job,
            batch: assignment.batch,
            care: assignment.care,
            rows: *rows,
            file: Arc::clone(&input.file),
            name: Arc::clone(&input.name),
        })
    }

    /// Filters a tile, and when that fails, finds out which of its rows it is. Returns the row behind the last that is
    /// done with.
    fn tile(
        &mut self,
        picture: &Picture,
        tile: strips::Tile,
        results: &mut Results<'_>,
        tally: &mut Tally,
    ) -> Result<u32, Fatal> {
        let end = tile.first_row + tile.rows;
        if tile.rows == 1 || picture.is_whole() {
            self.single(picture, tile, results, tally)?;
            return Ok(end);
        }
        let mark = results.mark();
        match self.filter(picture, tile, results, tally) {
            Ok(()) => {
                self.pass_logs(picture.job, Some(picture.place(tile.first_row)))?;
                count(picture, tile, tally);
                Ok(end)
            }
            Err(fault) => {
                // What it logged will be logged again, row by row.
                drop(self.kernel.take_logs());
                results.roll_back(mark);
                let (items, input) = (tally.items, tally.input);
                let rows = Rows { first: tile.first_row, count: tile.rows, ..picture.rows };
                for row in strips::tiles_up_to(&rows, 1) {
                    self.single(picture, row, results, tally)?;
                    if tally.stopped {
                        return Ok(row.first_row + 1);
                    }
                }
                if picture.care.skip_failed {
                    return Ok(end);
                }
                // No row fails alone. The first is named, so that the run has somebody to blame.
                results.roll_back(mark);
                (tally.items, tally.input) = (items, input);
                for row in strips::tiles_up_to(&Rows { count: 1, ..rows }, 1) {
                    count(picture, row, tally);
                    fail(picture, row, Why { attempts: 1, fault: fault.clone() }, results, tally);
                }
                Ok(tile.first_row + 1)
            }
        }
    }

    /// Filters one row, or a picture that is not cut; again when the kernel asks for it and may.
    fn single(
        &mut self,
        picture: &Picture,
        tile: strips::Tile,
        results: &mut Results<'_>,
        tally: &mut Tally,
    ) -> Result<(), Fatal> {
        let mark = results.mark();
        let mut attempts = 1;
        let outcome = loop {
            let outcome = self.filter(picture, tile, results, tally);
            self.pass_logs(picture.job, Some(picture.place(tile.first_row)))?;
            match outcome {
                Err(Fault::Temporary(_)) if attempts <= picture.care.retries => {
                    results.roll_back(mark);
                    self.kernel.retire();
                    attempts += 1;
                }
                outcome => break outcome,
            }
        };
        count(picture, tile, tally);
        if let Err(fault) = outcome {
            results.roll_back(mark);
            fail(picture, tile, Why { attempts, fault }, results, tally);
        }
        Ok(())
    }

    /// One call of `filter`.
    fn filter(
        &mut self,
        picture: &Picture,
        tile: strips::Tile,
        results: &mut Results<'_>,
        tally: &mut Tally,
    ) -> Result<(), Fault> {
        self.progress.store(picture.progress(tile));
        self.kernel.for_call()?;
        if self.prepare(picture.job, picture.rows.format)? != picture.rows.plan {
            return Err(Fault::Contract("`prepare` gave different plans for the same format".into()));
        }
        let at = picture.rows.at + tile.read_at;
        let mut read_nanos = 0;
        let mut read = |bytes: &mut [u8]| {
            let began = Instant::now();
            let result = picture.file.read_exact_at(bytes, at);
            read_nanos += nanos_since(began);
            // The text is what becomes the tile's fault.
            result.map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => io::Error::other("the picture became shorter during the run"),
                _ => io::Error::other(format!("reading failed: {error}")),
            })
        };
        let samples = Input::Read { len: usize::try_from(tile.read_bytes).unwrap_or(usize::MAX), read: &mut read };
        let call = Tile {
            image: picture.rows.format,
            first_row: tile.first_row,
            rows: tile.rows,
            above: tile.above,
            below: tile.below,
        };
        let instance = self.kernel.instance()?;
        instance.set_item(Some(ItemContext {
            source: Arc::clone(&picture.name),
            position: 0,
            offset: u64::from(tile.first_row),
            header: None,
        }));
        let began = Instant::now();
        let had_written = results.nanos;
        let outcome = instance.filter(call, samples, tile.write_bytes, &mut |result| results.write(result));
        let copied = read_nanos + (results.nanos - had_written);
        tally.read_nanos += read_nanos;
        tally.call_nanos += nanos_since(began).saturating_sub(copied);
        if outcome.is_ok() {
            instance.commit_counters();
        } else {
            instance.drop_counters();
        }
        outcome
    }
}

/// What became of a row that failed.
struct Why {
    attempts: u32,
    fault: Fault,
}

/// Counts a tile.
fn count(picture: &Picture, tile: strips::Tile, tally: &mut Tally) {
    tally.items += 1;
    tally.input += picture.bytes(tile.rows);
}

/// Notes that the tile just counted failed. The rows behind it stand where they would if it had not.
fn fail(picture: &Picture, tile: strips::Tile, why: Why, results: &mut Results<'_>, tally: &mut Tally) {
    let at = results.len();
    let goes_on = picture.care.skip_failed || why.fault == Fault::LeftOut;
    let filled = if goes_on && !picture.is_whole() { results.write_zeros(tile.write_bytes) } else { Ok(()) };
    tally.fail(Failed {
        place: picture.place(tile.first_row),
        len: picture.bytes(tile.rows),
        at,
        attempts: why.attempts,
        fault: filled.err().unwrap_or(why.fault),
    });
}
