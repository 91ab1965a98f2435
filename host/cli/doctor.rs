//! `taskhost doctor`: what this machine has, what stands around workers here, and whether it holds.
//!
//! * [`health`] is what is found out, as `--json` prints it; [`start_up`] measures workers, [`folders`] looks at the cache
//!   and the claims, [`advice`] says what can be done, [`page`] is the table for people.
//! * [`attack`] tries to break out (`--attack`), [`attack_page`] is that table.

mod advice;
mod attack;
mod attack_page;
mod folders;
mod health;
mod page;
mod start_up;

use anyhow::Result;
use serde::Serialize;

use crate::args::DoctorArguments;
use crate::exit_code::{Exit, Failure};
use crate::report;

pub(crate) fn run(arguments: &DoctorArguments) -> Result<Exit> {
    if arguments.attack {
        return attacks(arguments);
    }
    let health = health::Health::examine();
    let printed = print(arguments, &health, || page::render(&health))?;
    if printed != Exit::Done || health.sandbox.auto.works {
        return Ok(printed);
    }
    // The table has said why.
    Ok(if health.sandbox.lacks_what_auto_needs() { Exit::Sandbox } else { Exit::Host })
}

fn attacks(arguments: &DoctorArguments) -> Result<Exit> {
    let siege = attack::Siege::run(arguments.each_layer)?;
    let printed = print(arguments, &siege, || attack_page::render(&siege))?;
    if printed != Exit::Done || siege.came_through.is_empty() {
        return Ok(printed);
    }
    let names = siege.came_through.join(", ");
    Err(Failure::new(Exit::Sandbox, format!("the walls do not hold: nothing stopped {names}")).into())
}

fn print(arguments: &DoctorArguments, found: &impl Serialize, page: impl FnOnce() -> String) -> Result<Exit> {
    let text = if arguments.json { serde_json::to_string_pretty(found)? + "\n" } else { page() };
    Ok(report::text(&text))
}
