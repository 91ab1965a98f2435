//! What coordinator and fork server say to each other: one order, one reply, of a few numbers. Both are the same executable.

use crate::process_id::ProcessId;
use crate::spawn::steps::Apart;
use crate::spawn::{Step, WorkerUser};

/// Bytes of an order, and of a reply.
pub(super) const BYTES: usize = 12;

/// Stands for no core: no machine has one of that number.
const NO_CORE: u32 = u32::MAX;

/// Stands for no user: the number that means nobody's to the system, too.
const NO_USER: u32 = u32::MAX;

/// Stands in the place of a step for a worker that tells of itself: no step has that number.
const ANNOUNCED: u32 = u32::MAX;

/// The worker that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order(pub(super) Apart);

/// Which order it is, of those to one server: both ends count them from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OrderNumber(pub(super) u32);

impl OrderNumber {
    /// This one; and from now on the one that follows.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Self(self.0.wrapping_add(1)))
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// There will be a worker, or what is left of one: it says so itself, with its descriptor, before the server can say what came
    /// of it. All others come in the order of their orders.
    Announced(OrderNumber),
    /// There is a worker; its descriptor comes with this.
    Made { id: ProcessId, pinned: bool },
    /// There is none. When a descriptor comes with this, it is that of a process which has ended and is to be waited for.
    Failed { step: Step, errno: i32 },
}

impl Order {
    pub(super) fn encode(self) -> [u8; BYTES] {
        let Self(Apart { unshared, user, core }) = self;
        bytes_of([u32::from(unshared), user.map_or(NO_USER, WorkerUser::number), core.unwrap_or(NO_CORE)])
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let [unshared, user, core] = numbers_of(bytes)?;
        let user = if user == NO_USER { None } else { Some(WorkerUser::numbered(user)?) };
        Some(Self(Apart { unshared: unshared != 0, user, core: (core != NO_CORE).then_some(core) }))
    }
}

impl Reply {
    pub(super) fn encode(self) -> [u8; BYTES] {
        match self {
            Self::Announced(OrderNumber(number)) => bytes_of([ANNOUNCED, number, 0]),
            Self::Made { id, pinned } => bytes_of([0, id.get().cast_unsigned(), u32::from(pinned)]),
            Self::Failed { step, errno } => bytes_of([step as u32, errno.cast_unsigned(), 0]),
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let [step, number, pinned] = numbers_of(bytes)?;
        Some(match step {
            ANNOUNCED => Self::Announced(OrderNumber(number)),
            0 => Self::Made { id: ProcessId::new(number.cast_signed())?, pinned: pinned != 0 },
            step => Self::Failed { step: Step::numbered(step)?, errno: number.cast_signed() },
        })
    }
}

/// The numbers as this machine writes them: they never leave it.
fn bytes_of(numbers: [u32; 3]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (place, number) in bytes.chunks_exact_mut(4).zip(numbers) {
        place.copy_from_slice(&number.to_ne_bytes());
    }
    bytes
}

fn numbers_of(bytes: &[u8]) -> Option<[u32; 3]> {
    let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
    let mut numbers = [0; 3];
    for (number, place) in numbers.iter_mut().zip(bytes.chunks_exact(4)) {
        *number = u32::from_ne_bytes(place.try_into().ok()?);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ordered_is_understood() {
        let user = WorkerUser::for_slot(7);
        let all = Apart { unshared: true, user, core: Some(3) };
        let none = Apart { unshared: false, user: None, core: None };
        for order in [Order(all), Order(none)] {
            assert_eq!(Order::decode(&order.encode()), Some(order));
        }
        assert_eq!(Order::decode(&[0; BYTES - 1]), None);
        assert_eq!(Order::decode(&bytes_of([1, 0, 0])), None, "root is no worker's user");
    }

    #[test]
    fn what_is_replied_is_understood() {
        let id = ProcessId::new(42).expect("a number");
        for reply in [
            Reply::Announced(OrderNumber(7)),
            Reply::Made { id, pinned: true },
            Reply::Made { id, pinned: false },
            Reply::Failed { step: Step::Namespaces, errno: libc::EPERM },
        ] {
            assert_eq!(Reply::decode(&reply.encode()), Some(reply));
        }
        assert_eq!(Reply::decode(&bytes_of([0, 0, 0])), None, "no process");
        assert_eq!(Reply::decode(&bytes_of([99, 0, 0])), None, "no step");
    }
}
