//! One stage while items flow, and which items they are: those that failed before have left gaps in their numbers.

use std::collections::VecDeque;

use crate::library::error::{StageError, TaskError};
use crate::library::flow::{Flow, Seen};
use crate::library::kernel::Kernel;

use super::report::StageReport;
use super::stage::Share;

/// Of each item of a stage, by its number there, its number in the pipeline.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// `None`: its result was taken.
    numbers: VecDeque<Option<u64>>,
    /// The number of the first.
    first: u64,
}

impl Numbers {
    pub(super) fn add(&mut self, number: u64) {
        self.numbers.push_back(Some(number));
    }

    /// The number in the pipeline of an item, which is asked for once.
    pub(super) fn take(&mut self, here: u64) -> u64 {
        let index = here.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let number = index.and_then(|index| self.numbers.get_mut(index)).and_then(Option::take);
        while self.numbers.pop_front_if(|number| number.is_none()).is_some() {
            self.first += 1;
        }
        // A result that nobody asked for has no number; flows give none of these.
        number.unwrap_or(here)
    }
}

/// A stage while items flow.
pub(super) struct Lane {
    pub(super) flow: Flow,
    stage: usize,
    numbers: Numbers,
    /// Whether it has given everything.
    pub(super) is_over: bool,
    pub(super) report: StageReport,
}

impl Lane {
    pub(super) fn new(kernel: &Kernel, share: Share, stage: usize, ordered: bool) -> Self {
        let mut flow = kernel.flow(ordered);
        share.apply(&mut flow);
        let report = StageReport { kernel: kernel.name().to_owned(), ..StageReport::default() };
        Self { flow, stage, numbers: Numbers::default(), is_over: false, report }
    }

    /// Takes an item.
    pub(super) fn push(&mut self, number: u64, write: impl Fn(&mut Vec<u8>) -> Result<(), String>) {
        self.flow.push(write);
        self.pushed(number);
    }

    /// Its flow has taken an item.
    pub(super) fn pushed(&mut self, number: u64) {
        self.numbers.add(number);
        self.report.items += 1;
    }

    /// The next result, if it is there, and its number in the pipeline.
    pub(super) fn take<R>(
        &mut self,
        read: impl FnOnce(&[u8]) -> Result<R, String>,
    ) -> Option<(u64, Result<R, StageError>)> {
        let (here, result) = self.flow.take(read)?;
        let number = self.numbers.take(here);
        match &result {
            Ok(_) => self.report.results += 1,
            Err(_) => self.report.failed += 1,
        }
        Some((number, result.map_err(|error| self.error(error.renumbered(number)))))
    }

    /// Looks whether more has come. What is wrong, if the stage as a whole cannot go on.
    pub(super) fn look(&mut self) -> Result<bool, StageError> {
        match self.flow.look() {
            _ if self.is_over => Ok(false),
            Seen::Nothing => Ok(false),
            Seen::Something => Ok(true),
            Seen::End(None) => {
                self.is_over = true;
                Ok(true)
            }
            Seen::End(Some((here, error))) => {
                self.is_over = true;
                let number = self.numbers.take(here);
                Err(self.error(error.renumbered(number)))
            }
        }
    }

    fn error(&self, error: TaskError) -> StageError {
        StageError { stage: self.stage, kernel: self.report.kernel.clone(), error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_pipeline_in_whatever_order_they_are_asked_for() {
        let mut numbers = Numbers::default();
        for number in [10, 11, 15, 20] {
            numbers.add(number);
        }
        assert_eq!([2, 0, 1].map(|here| numbers.take(here)), [15, 10, 11]);
        numbers.add(21);
        assert_eq!((numbers.take(4), numbers.take(3)), (21, 20));
        assert!(numbers.numbers.is_empty());
    }
}
