//! Which call is next. A decision and no more: no clock, no workers.
//!
//! Each tenant has a line. Of those whose first call can be run, the tenant that owes least is next (see
//! [`crate::job::Fair`]). There are so many *places* as workers may be busy; a tenant may have all of them but those that are
//! kept for tenants who have none.

use std::collections::{BTreeMap, VecDeque};

use crate::tenant::TenantId;

/// The lines of all tenants.
#[derive(Debug)]
pub(super) struct Lines<T> {
    places: usize,
    kept: usize,
    taken: usize,
    lines: BTreeMap<TenantId, Line<T>>,
    waiting: usize,
}

#[derive(Debug)]
struct Line<T> {
    waiting: VecDeque<T>,
    taken: usize,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), taken: 0 }
    }
}

impl<T> Lines<T> {
    /// With so many places, of which some are kept for tenants who have none.
    pub(super) fn new(places: usize, kept: usize) -> Self {
        let places = places.max(1);
        Self { places, kept: kept.min(places - 1), taken: 0, lines: BTreeMap::new(), waiting: 0 }
    }

    /// A call waits.
    pub(super) fn push(&mut self, tenant: TenantId, call: T) {
        self.lines.entry(tenant).or_default().waiting.push_back(call);
        self.waiting += 1;
    }

    /// Calls that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether a call of a tenant that has none need not wait.
    pub(super) fn has_place(&self, tenant: TenantId) -> bool {
        let has_none = |line: &Line<T>| line.taken == 0 && line.waiting.is_empty();
        self.taken < self.places && self.lines.get(&tenant).is_none_or(has_none)
    }

    /// Whether a call like this waits in the line of a tenant.
    pub(super) fn has(&self, tenant: TenantId, is_it: impl Fn(&T) -> bool) -> bool {
        self.lines.get(&tenant).is_some_and(|line| line.waiting.iter().any(is_it))
    }

    /// Places that are taken.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Whether there is a place for each call that waits.
    pub(super) fn has_room(&self) -> bool {
        self.taken + self.waiting <= self.places
    }

    /// Takes a place for the next call, and the call out of its line. `debt` is what a tenant owes, `may` whether it may have
    /// another place, having so many, and `is_ready` whether a call can be run.
    pub(super) fn next(
        &mut self,
        debt: impl Fn(TenantId) -> f64,
        may: impl Fn(TenantId, usize) -> bool,
        is_ready: impl Fn(&T) -> bool,
    ) -> Option<(TenantId, T)> {
        if self.taken >= self.places {
            return None;
        }
        let left_for_all = self.places - self.kept;
        let open = self.lines.iter().filter_map(|(tenant, line)| {
            let has_place = line.taken == 0 || (self.taken < left_for_all && may(*tenant, line.taken));
            let at = if has_place { line.waiting.iter().position(&is_ready) } else { None };
            Some((*tenant, at?))
        });
        let (tenant, at) = open.min_by(|(one, _), (other, _)| debt(*one).total_cmp(&debt(*other)))?;
        let line = self.lines.get_mut(&tenant)?;
        let call = line.waiting.remove(at)?;
        line.taken += 1;
        self.taken += 1;
        self.waiting -= 1;
        Some((tenant, call))
    }

    /// Takes more calls of the tenant out of its line that can be run together with one: at most so many.
    pub(super) fn more(&mut self, tenant: TenantId, most: usize, is_alike: impl Fn(&T) -> bool) -> Vec<T> {
        let Some(line) = self.lines.get_mut(&tenant) else { return Vec::new() };
        let mut taken = Vec::new();
        let mut at = 0;
        while taken.len() < most && at < line.waiting.len() {
            if is_alike(&line.waiting[at]) {
                taken.extend(line.waiting.remove(at));
            } else {
                at += 1;
            }
        }
        self.waiting -= taken.len();
        taken
    }

    /// Calls that do not wait any more leave the line of a tenant.
    pub(super) fn remove(&mut self, tenant: TenantId, is_gone: impl Fn(&T) -> bool) -> Vec<T> {
        self.more(tenant, usize::MAX, is_gone)
    }

    /// A place of the tenant is free again.
    pub(super) fn free(&mut self, tenant: TenantId) {
        let Some(line) = self.lines.get_mut(&tenant) else { return };
        line.taken -= 1;
        self.taken -= 1;
        if line.taken == 0 && line.waiting.is_empty() {
            self.lines.remove(&tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: TenantId = TenantId(1);
    const BERT: TenantId = TenantId(2);

    fn next(lines: &mut Lines<&'static str>, debts: [f64; 2]) -> Option<&'static str> {
        let debt = |tenant| if tenant == ANNA { debts[0] } else { debts[1] };
        lines.next(debt, |_, _| true, |_| true).map(|(_, call)| call)
    }

    #[test]
    fn who_owes_least_is_next_and_a_line_is_a_line() {
        let mut lines = Lines::new(8, 0);
        ["a1", "a2"].into_iter().for_each(|call| lines.push(ANNA, call));
        ["b1", "b2"].into_iter().for_each(|call| lines.push(BERT, call));
        assert_eq!(next(&mut lines, [2.0, 1.0]), Some("b1"));
        assert_eq!(next(&mut lines, [1.0, 2.0]), Some("a1"));
        assert_eq!(next(&mut lines, [1.0, 2.0]), Some("a2"));
        assert_eq!(next(&mut lines, [1.0, 2.0]), Some("b2"));
        assert_eq!((next(&mut lines, [0.0, 0.0]), lines.waiting(), lines.taken()), (None, 0, 4));
    }

    #[test]
    fn a_kept_place_is_for_who_has_none() {
        let mut lines = Lines::new(2, 1);
        ["a1", "a2", "a3"].into_iter().for_each(|call| lines.push(ANNA, call));
        assert_eq!(next(&mut lines, [0.0, 0.0]), Some("a1"));
        assert_eq!(next(&mut lines, [0.0, 0.0]), None, "the other is kept");
        assert!(lines.has_place(BERT) && !lines.has_place(ANNA));
        lines.push(BERT, "b1");
        assert!(!lines.has_place(BERT));
        assert_eq!(next(&mut lines, [0.0, 9.0]), Some("b1"));
        lines.free(BERT);
        assert_eq!(next(&mut lines, [0.0, 0.0]), None);
        lines.free(ANNA);
        assert_eq!(next(&mut lines, [0.0, 0.0]), Some("a2"));
        assert_eq!(lines.taken(), 1);
    }

    #[test]
    fn one_that_is_held_keeps_one_place_and_what_is_not_ready_waits() {
        let mut lines = Lines::new(4, 0);
        ["a1", "a2", "a3"].into_iter().for_each(|call| lines.push(ANNA, call));
        let hold = |_: TenantId, taken: usize| taken == 0;
        assert_eq!(lines.next(|_| 0.0, hold, |call| *call != "a1"), Some((ANNA, "a2")));
        assert_eq!(lines.next(|_| 0.0, hold, |_| true), None);
        assert_eq!(lines.more(ANNA, 5, |call| *call == "a3"), ["a3"]);
        assert_eq!(lines.remove(ANNA, |_| true), ["a1"]);
        assert_eq!(lines.waiting(), 0);
        lines.free(ANNA);
        assert!(lines.has_room() && lines.lines.is_empty());
    }
}
