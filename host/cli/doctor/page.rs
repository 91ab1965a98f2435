//! The table for people.

use std::fmt::Write as _;

use taskhost_data::size::human_size;

use super::health::{Health, LimitState};
use crate::report::{count, escape};

/// Wide enough for the longest label, and for the longest name of a layer.
const LABEL: usize = 12;
const LAYER: usize = 18;

struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, label: &str, what: &str) {
        let _ = writeln!(self.text, "{label:LABEL$}  {}", escape(what));
    }
}

pub(super) fn render(health: &Health) -> String {
    let mut page = Page { text: String::new() };
    page.line("taskhost", &format!("{}, build {}", health.taskhost, health.build));
    page.line("Linux", &health.kernel);
    machine(&mut page, health);
    walls(&mut page, health);
    start_up(&mut page, health);
    folders(&mut page, health);
    let _ = writeln!(page.text);
    match health.advice.as_slice() {
        [] => page.line("Advice", "nothing is missing"),
        advice => {
            for (number, line) in advice.iter().enumerate() {
                page.line(if number == 0 { "Advice" } else { "" }, line);
            }
        }
    }
    page.text
}

fn machine(page: &mut Page, health: &Health) {
    let cores = &health.cores;
    let number = |number: usize, word: &str| count(number as u64, word);
    let have = format!("{}, {}", number(cores.physical, "physical core"), number(cores.workers, "worker"));
    page.line("Cores", &format!("{have}: {}", cores.why.join(", ")));
    let memory = &health.memory;
    let size = |bytes: Option<u64>| bytes.map_or_else(|| "unknown".to_owned(), human_size);
    let group = memory.group_bytes.map_or_else(
        || "no limit by a control group".to_owned(),
        |bytes| format!("{} by the limit of a control group", human_size(bytes)),
    );
    page.line("Memory", &format!("{}, {} available, {group}", size(memory.total_bytes), size(memory.available_bytes)));
    let limits: Vec<String> = health.limits.iter().filter_map(limit).collect();
    page.line("Limits", &if limits.is_empty() { "none".to_owned() } else { limits.join(", ") });
}

fn limit(limit: &LimitState) -> Option<String> {
    let value = limit.value?;
    Some(format!("{} {}", limit.name, if limit.is_bytes { human_size(value) } else { value.to_string() }))
}

fn walls(page: &mut Page, health: &Health) {
    let sandbox = &health.sandbox;
    for (number, layer) in sandbox.layers.iter().enumerate() {
        let state = if layer.live { "live" } else { "MISSING" };
        let note = if layer.note.is_empty() { String::new() } else { format!(" ({})", layer.note) };
        let label = if number == 0 { "Walls" } else { "" };
        page.line(label, &format!("{:LAYER$}  {state}{note}", layer.name));
    }
    let users = if sandbox.own_users { "one for each worker" } else { "workers are the user who started them" };
    page.line("", &format!("{:LAYER$}  {users}", "users"));
    let groups = if sandbox.own_groups { "one for each worker" } else { "none were handed over to this process" };
    page.line("", &format!("{:LAYER$}  {groups}", "control groups"));
    page.line("", &format!("{:LAYER$}  {}", "--sandbox auto", sandbox.auto.what));
    page.line("", &format!("{:LAYER$}  {}", "--sandbox full", sandbox.full.what));
}

fn start_up(page: &mut Page, health: &Health) {
    let start_up = &health.start_up;
    let (Some(locked), Some(ready)) = (start_up.locked_milliseconds, start_up.ready_milliseconds) else {
        page.line("Start-up", "no worker could be started");
        return;
    };
    let kernel = start_up.kernel;
    let workers = count(start_up.workers as u64, "worker");
    page.line(
        "Start-up",
        &format!("{locked} ms until locked in, {ready} ms until ready (`{kernel}`, median of {workers})"),
    );
    if let (Some(private), Some(proportional)) = (start_up.private_bytes, start_up.proportional_bytes) {
        let (private, proportional) = (human_size(private), human_size(proportional));
        page.line("", &format!("{private} of private memory, {proportional} with its part of shared memory (PSS)"));
    }
}

fn folders(page: &mut Page, health: &Health) {
    let cache = &health.cache;
    let state = match &cache.problem {
        Some(problem) => format!("cannot be used: {problem}"),
        None => format!("{}, {}", count(cache.entries as u64, "compiled kernel"), human_size(cache.bytes)),
    };
    page.line("Cache", &format!("{}: {state}", cache.folder.as_deref().unwrap_or("none")));
    let runtime = &health.runtime_folder;
    let state =
        runtime.problem.as_ref().map_or_else(|| "can be used".to_owned(), |why| format!("cannot be used: {why}"));
    page.line("Claims", &format!("{}: {state}", runtime.folder));
}
