//! Fuel: a budget of instructions for each item (`--fuel`), the same on every machine. Only code of the profile that
//! counts uses any.

use taskhost_protocol::fault::Fault;
use wasmtime::{Store, Trap};

use crate::host::HostState;

/// For what belongs to no item: instantiation, `describe`, `start`, `prepare`, `combine` and `finish`. Many minutes of
/// work, so that what ends a kernel there is the coordinator's deadline; but not so much that it could overflow.
pub(crate) const PLENTY: u64 = 1_000_000_000_000;

/// What a call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Budget {
    /// What the user gives each item.
    Item,
    /// [`PLENTY`].
    Plenty,
}

/// Gives the next call exactly this much, whatever was left.
pub(crate) fn fill(store: &mut Store<HostState>, amount: u64) {
    store.set_fuel(amount).expect("the engine of a kernel with fuel was made to count it");
}

/// The fault, when it is that an item used up what it had.
pub(crate) fn used_up(error: &wasmtime::Error, budget: Budget, limit: Option<u64>) -> Option<Fault> {
    let limit = limit.filter(|_| budget == Budget::Item)?;
    (error.downcast_ref::<Trap>() == Some(&Trap::OutOfFuel)).then_some(Fault::OutOfFuel { limit })
}
