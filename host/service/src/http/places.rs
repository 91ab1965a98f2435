//! Where the results of items begin in a result that is complete: `GET /v1/jobs/{job}/result?from=N`.
//!
//! Only a result that is lines says that by itself: one line for each item that did not fail. Whether it is that is seen by counting.

use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::Value;

use super::dry_run::merge_of;
use super::looks::{Look, PART};
use super::{App, Problem, blocking};
use crate::blobs::Digest;
use crate::store::jobs::JobRow;
use crate::store::kernels;
use crate::tenant::Caller;

/// Ends of lines that are counted, and where one of them is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lines {
    /// Bytes that were looked at.
    bytes: u64,
    /// Lines that have ended in them.
    ended: u64,
    /// Where the line begins that is looked for.
    begins: Option<u64>,
}

impl Lines {
    /// Looks at more bytes for the beginning of line `wanted`, counted from 0.
    fn count(&mut self, part: &[u8], wanted: u64) {
        if wanted == 0 {
            self.begins = Some(0);
        }
        let mut ends = part.iter().zip(self.bytes + 1..).filter(|(byte, _)| **byte == b'\n');
        for (_, behind) in &mut ends {
            self.ended += 1;
            if self.ended == wanted {
                self.begins = Some(behind);
            }
        }
        self.bytes += part.len() as u64;
    }
}

fn no_places(why: &str) -> Problem {
    Problem::unprocessable(
        "no-places",
        format!("the results of items have no places of their own there: {why}; ask for bytes, by Range"),
    )
}

/// The byte of the result at which that of item `from` begins, or the first one behind it that did not fail.
pub(super) async fn place(
    app: &App,
    caller: &Caller,
    job: &JobRow,
    result: &Digest,
    from: u64,
) -> Result<u64, Problem> {
    let (tenant, kernel, parameters) = (caller.tenant.id, job.spec.kernel, job.spec.parameters.clone());
    let known = app.read(move |rows| kernels::find(rows, tenant, &kernel)).await?;
    if merge_of(&parameters, known.as_ref().map(|kernel| &kernel.info)).as_deref() != Some("lines") {
        return Err(no_places("it is not made of lines"));
    }
    let (Some(items), failed) = (job.conclusion.items, job.conclusion.failed.unwrap_or(0)) else {
        return Err(no_places("how many there are is not known"));
    };
    let look = app.looks.begin(tenant).await;
    let before = if failed == 0 { 0 } else { failed_before(app, caller, &look, job, from).await? };
    let header = u64::from(job.spec.parameters.keep_header);
    let lines = count(app, caller, &look, result, from.saturating_sub(before) + header).await?;
    if lines.ended != items.saturating_sub(failed) + header {
        return Err(no_places("there are more or fewer lines than items"));
    }
    if from >= items {
        let text = format!("there are {items} items");
        return Err(Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "bad-range", text));
    }
    lines.begins.ok_or_else(|| no_places("it has no such line"))
}

/// How many items before this one failed.
async fn failed_before(app: &App, caller: &Caller, look: &Look, job: &JobRow, from: u64) -> Result<u64, Problem> {
    let Some(failures) = job.conclusion.failures else {
        return Err(no_places("which items failed is not known any more"));
    };
    let file = open(app, caller, &failures).await?;
    let counted = look.lines(file, (from, Some(0)), |(from, before), line| {
        let told: Value = serde_json::from_slice(line).unwrap_or_default();
        let is_before = told["item"].as_u64().map(|item| u64::from(item < *from));
        *before = before.zip(is_before).map(|(before, is_before)| before + is_before);
        if before.is_some() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    counted.await?.1.ok_or_else(|| no_places("which items failed is not known"))
}

/// Looks at all of a result for the beginning of a line.
async fn count(app: &App, caller: &Caller, look: &Look, result: &Digest, wanted: u64) -> Result<Lines, Problem> {
    let file = Arc::new(open(app, caller, result).await?);
    let mut lines = Lines::default();
    loop {
        let (file, mut more) = (Arc::clone(&file), lines);
        let part = look.part(move || {
            let mut part = vec![0; PART];
            let read = file.read_at(&mut part, more.bytes)?;
            more.count(&part[..read], wanted);
            Ok((more, read == 0))
        });
        let (counted, is_all) = part.await?;
        if is_all {
            return Ok(counted);
        }
        lines = counted;
    }
}

/// Something that came of the job.
async fn open(app: &App, caller: &Caller, digest: &Digest) -> Result<File, Problem> {
    let (blobs, tenant, digest) = (Arc::clone(&app.shared.blobs), caller.tenant.id, *digest);
    let opened = blocking(move || blobs.open(tenant, &digest)).await?;
    let opened = opened.map_err(|error| Problem::internal(&error.to_string()))?;
    opened.ok_or_else(|| Problem::not_found("result"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_behind_the_end_of_the_one_before_wherever_bytes_are_cut() {
        let text = b"ab\n\ncd\n";
        let found = |wanted: u64, cut: usize| {
            let mut lines = Lines::default();
            text.chunks(cut).for_each(|part| lines.count(part, wanted));
            lines.count(b"", wanted);
            (lines.bytes, lines.ended, lines.begins)
        };
        for cut in 1..=text.len() {
            let begins = [0, 1, 2, 3, 4].map(|wanted| found(wanted, cut).2);
            assert_eq!(begins, [Some(0), Some(3), Some(4), Some(7), None], "{cut}");
            assert_eq!(found(1, cut), (7, 3, Some(3)));
        }
    }
}
