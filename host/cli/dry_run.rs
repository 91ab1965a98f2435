//! `--dry-run`: what a run would do.

use std::fmt::Write as _;

use taskhost_data::duration::duration_name;
use taskhost_data::merge::merge_name;
use taskhost_data::size::{human_size, size_name};
use taskhost_data::split::split_name;
use taskhost_pool::runner::Pool;

use crate::exit_code::Exit;
use crate::feed::{Foreign, foreign, name_of};
use crate::output::{self, Place};
use crate::plan::Shape;
use crate::report;
use crate::run::{Given, Request};

/// Inputs that are listed by name.
const LISTED: usize = 10;

/// Prints the plan. The kernel was asked what it says of itself; nothing else of it was run.
pub(crate) fn print(request: &Request<'_>, pool: &Pool, kernel: &str, shape: Shape) -> Exit {
    let mut text = String::new();
    let info = pool.kernel();
    match &request.arguments.items.call.invoke {
        Some(invoke) => {
            let _ = writeln!(
                text,
                "kernel   {kernel} (a component, of which {} is called)",
                report::escape(&invoke.function)
            );
        }
        None => {
            let _ = writeln!(text, "kernel   {kernel} ({})", info.why);
        }
    }
    match shape {
        Shape::Picture => {
            let _ = writeln!(text, "split    rows of each picture, as the kernel's `prepare` says");
        }
        Shape::Items { split, merge, .. } => {
            let _ = writeln!(text, "split    {} ({})", split_name(split.0), split.1.name());
            let _ = writeln!(text, "merge    {} ({})", merge_name(merge.0), merge.1.name());
        }
    }
    match &request.inputs {
        Given::List(_) => {
            let _ = writeln!(text, "inputs   as listed, read when they are needed");
        }
        Given::Known(known) => {
            let size = request.bytes.map_or_else(|| "size unknown".to_owned(), human_size);
            let _ = writeln!(text, "inputs   {}, {size}", report::count(known.len() as u64, "input"));
            for found in known.iter().take(LISTED) {
                let how = match foreign(found).filter(|_| !request.arguments.input.no_compression) {
                    Some(Foreign::Packed(packing)) => format!(" ({}, decompressed by a worker)", packing.name()),
                    Some(Foreign::Parquet) => " (Parquet, read by a worker)".to_owned(),
                    None => String::new(),
                };
                let _ = writeln!(text, "           {}{how}", report::escape(&name_of(found)));
            }
            if known.len() > LISTED {
                let _ = writeln!(text, "           … and {} more", known.len() - LISTED);
            }
        }
    }
    let workers = &request.cores.plan;
    let pinned = workers.iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let pins = if pinned.is_empty() { "not pinned".to_owned() } else { format!("pinned to cpu {pinned}") };
    let _ = writeln!(text, "workers  {}, {pins}", request.cores.topology.describe(workers.len()));
    let limits = &request.arguments.limits;
    let mut limited = vec![
        format!("{} of memory a worker", size_name(limits.memory)),
        format!("{} a result", size_name(limits.max_output)),
    ];
    limited.extend(limits.timeout.map(|limit| format!("{} an item", duration_name(limit))));
    limited.extend(limits.fuel.map(|fuel| format!("{fuel} units of fuel an item")));
    limited.extend(limits.deadline.map(|limit| format!("{} the run", duration_name(limit))));
    let _ = writeln!(text, "limits   {}", limited.join(", "));
    let output = match &request.place {
        Place::Stdout { .. } => "standard output".to_owned(),
        Place::File(path) => match output::work(path, request.arguments) {
            Some(work) => format!("{} ({}, by a worker)", path.display(), output::kind(&work)),
            None => path.display().to_string(),
        },
        Place::PerInput(_) => {
            let given = request.arguments.output.output.as_ref().map(|path| path.display().to_string());
            format!("a file for each input: {}", given.unwrap_or_default())
        }
    };
    let _ = writeln!(text, "output   {output}");
    report::text(&text)
}
