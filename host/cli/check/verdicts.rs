//! What failed items say of a kernel.

use taskhost_pool::event::JobFailure;
use taskhost_pool::verdict::{Blame, Verdict};

use crate::report;

use super::Check;
use super::rule::Rule;
use super::trial::Seen;

impl Check<'_> {
    /// Each sort of failure once, with its first item.
    pub(super) fn judge(&mut self, seen: &Seen) {
        let mut rules: Vec<(Rule, String, u64)> = Vec::new();
        for item in &seen.failed {
            let rule = rule_of(&item.verdict);
            if let Some((.., count)) = rules.iter_mut().find(|(known, ..)| *known == rule) {
                *count += 1;
            } else {
                rules.push((rule, format!("the item at byte {}: {}", item.offset, item.verdict), 1));
            }
        }
        for (rule, first, count) in rules {
            let more =
                if count > 1 { format!(" (and {} more)", report::count(count - 1, "item")) } else { String::new() };
            self.found(rule, format!("{first}{more}"));
        }
        match &seen.failure {
            // That is told of already.
            None => {}
            Some(JobFailure::Item(item)) if !seen.failed.is_empty() && item.verdict.blame() != Blame::Host => {}
            Some(JobFailure::Item(item)) => self.found(rule_of(&item.verdict), item.verdict.to_string()),
            Some(failure @ JobFailure::Violation(_)) => self.found(Rule::EndsWorker, failure.to_string()),
            Some(failure @ (JobFailure::Kernel(_) | JobFailure::Lost(_))) => {
                self.found(Rule::BreaksContract, failure.to_string());
            }
            Some(failure) => self.found(Rule::NothingWorked, failure.to_string()),
        }
    }
}

fn rule_of(verdict: &Verdict) -> Rule {
    match verdict {
        Verdict::Trap { .. } => Rule::Traps,
        Verdict::Contract(text) if text.contains("describes results") => Rule::WrongLength,
        Verdict::Contract(_) | Verdict::Unfit(_) => Rule::BreaksContract,
        Verdict::KernelError(..) | Verdict::Input(_) | Verdict::Output(_) | Verdict::Retired(_) => Rule::RefusesItems,
        Verdict::Deadline(_)
        | Verdict::MemoryLimit { .. }
        | Verdict::WorkerMemory
        | Verdict::CpuLimit
        | Verdict::OutputLimit { .. }
        | Verdict::OutOfFuel(_)
        | Verdict::ItemTooLarge { .. } => Rule::OverLimit,
        Verdict::SandboxViolation
        | Verdict::Crash(_)
        | Verdict::Killed(_)
        | Verdict::OutOfMemory
        | Verdict::StartUp(_)
        | Verdict::ProtocolViolation(_) => Rule::EndsWorker,
    }
}
