//! Showing how far a long run is: a bar on a terminal, now and then a line elsewhere.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use taskhost_data::duration::human_duration;
use taskhost_data::size::human_size;
use taskhost_pool::runner::Progress;

use crate::args::ProgressMode;

/// Runs shorter than this show no bar: it would only flicker.
const BAR_AFTER: Duration = Duration::from_millis(500);

/// Off a terminal, a line after so long, and then as often.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Shows progress.
pub(crate) enum Meter {
    Bar { bar: ProgressBar, shown: bool },
    Lines { next: Duration },
    Nothing,
}

impl Meter {
    /// `bytes` is the size of all input, when known.
    pub(crate) fn new(mode: ProgressMode, quiet: bool, bytes: Option<u64>) -> Self {
        let terminal = io::stderr().is_terminal();
        match mode {
            ProgressMode::Never => Self::Nothing,
            ProgressMode::Auto if quiet => Self::Nothing,
            ProgressMode::Bar => Self::bar(bytes),
            ProgressMode::Auto if terminal => Self::bar(bytes),
            ProgressMode::Auto | ProgressMode::Plain => Self::Lines { next: LINE_EVERY },
        }
    }

    fn bar(bytes: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::hidden());
        let template = match bytes {
            Some(_) => "{bar:30} {percent:>3}%  {msg}  {binary_bytes_per_sec}  {eta} left",
            None => "{spinner} {msg}  {binary_bytes_per_sec}  {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self::Bar { bar, shown: false }
    }

    /// Shows how far it is.
    pub(crate) fn show(&mut self, progress: &Progress, left_out: u64) {
        match self {
            Self::Nothing => {}
            Self::Bar { bar, shown } => {
                if progress.elapsed < BAR_AFTER {
                    return;
                }
                if !*shown {
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                    *shown = true;
                }
                bar.set_message(counts(progress, left_out));
                bar.set_position(progress.input);
                bar.tick();
            }
            Self::Lines { next } => {
                if progress.elapsed >= *next {
                    *next = progress.elapsed + LINE_EVERY;
                    let time = human_duration(Duration::from_secs(progress.elapsed.as_secs()));
                    let read = human_size(progress.input);
                    super::note(&format!("taskhost: {} in {time}, {read} read", counts(progress, left_out)));
                }
            }
        }
    }

    /// Prints something else without tearing the bar.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match self {
            Self::Bar { bar, shown: true } => bar.suspend(print),
            Self::Bar { .. } | Self::Lines { .. } | Self::Nothing => print(),
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        if let Self::Bar { bar, .. } = self {
            bar.finish_and_clear();
        }
    }
}

fn counts(progress: &Progress, left_out: u64) -> String {
    let mut text = super::count(progress.items, "item");
    if progress.failed > 0 {
        text.push_str(&format!(", {} failed", progress.failed));
    }
    if left_out > 0 {
        text.push_str(&format!(", {left_out} left out"));
    }
    text
}
