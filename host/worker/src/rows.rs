//! Filtering rows of a picture.

use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use taskhost_data::strips;
use taskhost_engine::{Input, ItemContext, Tile};
use taskhost_protocol::fault::{Fault, ItemPlace};
use taskhost_protocol::ids::{JobId, SourceId};
use taskhost_protocol::picture::{Cut, Format, PicturePlan};
use taskhost_protocol::work::{Assignment, Rest, Rows};

use crate::execute::{Executor, Tally, nanos_since};
use crate::results::Results;
use crate::startup::Fatal;

impl Executor<'_> {
    /// Asks the kernel what it makes of a format.
    pub(crate) fn run_prepare(&mut self, job: JobId, format: Format, tally: &mut Tally) -> Result<(), Fatal> {
        match self.prepare(job, format)? {
            Ok(plan) => tally.plan = Some(plan),
            Err(fault) => tally.fail(ItemPlace { source: SourceId(0), offset: 0 }, fault),
        }
        Ok(())
    }

    fn prepare(&mut self, job: JobId, format: Format) -> Result<Result<PicturePlan, Fault>, Fatal> {
        if let Some((known_job, known, plan)) = self.prepared
            && (known_job, known) == (job, format)
        {
            return Ok(Ok(plan));
        }
        let instance = self.kernel.instance()?;
        instance.set_item(None);
        let answer = instance.prepare(format);
        self.pass_logs(job, None)?;
        if let Ok(plan) = answer {
            self.prepared = Some((job, format, plan));
        }
        Ok(answer)
    }

    /// Filters rows, tile by tile.
    pub(crate) fn run_rows(
        &mut self,
        assignment: &Assignment,
        rows: &Rows,
        results: &mut Results<'_>,
        tally: &mut Tally,
    ) -> Result<(), Fatal> {
        let began = Instant::now();
        let end = rows.first + rows.count;
        let place = |row: u32| ItemPlace { source: rows.source, offset: u64::from(row) };
        match self.prepare(assignment.job, rows.format)? {
            Ok(plan) if plan == rows.plan => {}
            Ok(_) => {
                let text = "`prepare` gave different plans for the same format".to_owned();
                tally.fail(place(rows.first), Fault::Contract(text));
                return Ok(());
            }
            Err(fault) => {
                tally.fail(place(rows.first), fault);
                return Ok(());
            }
        }
        for tile in strips::tiles(rows) {
            self.at_item(assignment.batch, tally.items);
            let outcome = self.filter(assignment, rows, tile, results, tally)?;
            self.pass_logs(assignment.job, Some(place(tile.first_row)))?;
            tally.items += 1;
            if let Err(fault) = outcome {
                tally.fail(place(tile.first_row), fault);
                return Ok(());
            }
            tally.input += u64::from(tile.rows) * rows.format.row_bytes().unwrap_or(0);
            let next = tile.first_row + tile.rows;
            let over = nanos_since(began) / 1_000 >= assignment.budget.micros
                || results.len() >= assignment.budget.output
                || tally.items >= assignment.budget.items;
            if over && next < end && rows.plan.cut != Cut::Whole {
                tally.rest = Some(Rest { piece: 0, start: u64::from(next) });
                return Ok(());
            }
        }
        Ok(())
    }

    fn filter(
        &mut self,
        assignment: &Assignment,
        rows: &Rows,
        tile: strips::Tile,
        results: &mut Results<'_>,
        tally: &mut Tally,
    ) -> Result<Result<(), Fault>, Fatal> {
        let input = self.files.input(rows.slot)?;
        if input.job != assignment.job {
            return Err(Fatal::Protocol("the slot holds the picture of another job".into()));
        }
        let context = ItemContext {
            source: std::sync::Arc::clone(&input.name),
            position: 0,
            offset: u64::from(tile.first_row),
            header: None,
        };
        let file = input.file.try_clone().map_err(|error| Fatal::failed("duplicating a descriptor")(&error))?;
        let at = rows.at + tile.read_at;
        let mut nanos = 0;
        let mut failed = None;
        let mut read = |bytes: &mut [u8]| {
            let began = Instant::now();
            let result = file.read_exact_at(bytes, at);
            nanos += nanos_since(began);
            if let Err(error) = &result {
                failed = Some(if error.kind() == std::io::ErrorKind::UnexpectedEof {
                    Fault::Input("the picture became shorter during the run".into())
                } else {
                    Fault::Input(format!("reading failed: {error}"))
                });
            }
            result
        };
        let instance = self.kernel.instance()?;
        instance.set_item(Some(context));
        let samples = Input::Read { len: usize::try_from(tile.read_bytes).unwrap_or(usize::MAX), read: &mut read };
        let call = Tile {
            image: rows.format,
            first_row: tile.first_row,
            rows: tile.rows,
            above: tile.above,
            below: tile.below,
        };
        let outcome = instance.filter(call, samples, tile.write_bytes, &mut |result| results.write(result));
        if outcome.is_ok() {
            instance.commit_counters();
        } else {
            instance.drop_counters();
        }
        tally.read_nanos += nanos;
        Ok(match (outcome, failed) {
            (Err(_), Some(fault)) => Err(fault),
            (outcome, _) => outcome,
        })
    }
}
