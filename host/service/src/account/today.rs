//! What a tenant has used today, as far as that is known: each amount is on the disk, or on its way there, and counts once.
//!
//! What is on the disk is known from whatever was done there last. That is told in the order in which it was done, as
//! [`Store`](crate::store::Store) does: so an amount whose end was not told yet is not in what was told of the disk.

/// What a tenant has used of a day, in milliseconds of CPU time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Today {
    on_disk: Option<OnDisk>,
    /// Amounts that are being written.
    on_their_way_ms: u64,
}

/// What was found on the disk by whatever was done there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OnDisk {
    pub(super) day: i64,
    pub(super) used_ms: u64,
}

impl Today {
    /// What was used on this day. `None` when that is to be read first.
    pub(super) fn used_ms(&self, day: i64) -> Option<u64> {
        let on_disk = self.on_disk.filter(|on_disk| on_disk.day == day)?;
        Some(on_disk.used_ms.saturating_add(self.on_their_way_ms))
    }

    /// So much is being written.
    pub(super) fn send(&mut self, amount_ms: u64) {
        self.on_their_way_ms = self.on_their_way_ms.saturating_add(amount_ms);
    }

    /// It was written, or read when it was nothing; then the disk has this. `None` when it could not be: it is whoever sent it who
    /// has it again.
    pub(super) fn arrive(&mut self, amount_ms: u64, on_disk: Option<OnDisk>) {
        self.on_their_way_ms = self.on_their_way_ms.saturating_sub(amount_ms);
        self.on_disk = on_disk.or(self.on_disk);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const DAY: i64 = 20_000;

    /// What is asked of the disk.
    #[derive(Clone, Copy, Debug)]
    enum Write {
        /// An amount of those that are sent.
        Sent(u64),
        /// One that somebody else writes, of whom nothing is known before it is on the disk.
        Others(u64),
        Read,
    }

    /// What may happen next.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Use,
        Send,
        OthersWrite,
        Read,
        DiskDoes,
        DiskFails,
        Tell,
    }

    const STEPS: [Step; 7] =
        [Step::Use, Step::Send, Step::OthersWrite, Step::Read, Step::DiskDoes, Step::DiskFails, Step::Tell];

    /// Who uses, who writes, and the disk between them.
    #[derive(Clone, Debug, Default)]
    struct World {
        today: Today,
        /// Used, and not sent.
        unsent: u64,
        waiting: VecDeque<Write>,
        /// Done, and not told yet: what the disk had then, or that it failed.
        done: VecDeque<(Write, Option<u64>)>,
        disk: u64,
        /// No two amounts are the same, nor is any the sum of others.
        next: u64,
        /// What is to be counted.
        counted: u64,
    }

    impl World {
        fn new() -> Self {
            Self { next: 1, ..Self::default() }
        }

        fn amount(&mut self) -> u64 {
            self.next *= 2;
            self.next
        }

        fn step(&mut self, step: Step) {
            match step {
                Step::Use => {
                    let amount = self.amount();
                    self.unsent += amount;
                    self.counted += amount;
                }
                Step::Send => {
                    let amount = std::mem::take(&mut self.unsent);
                    self.today.send(amount);
                    self.waiting.push_back(Write::Sent(amount));
                }
                Step::OthersWrite => {
                    let amount = self.amount();
                    self.waiting.push_back(Write::Others(amount));
                }
                Step::Read => self.waiting.push_back(Write::Read),
                Step::DiskDoes => {
                    let Some(write) = self.waiting.pop_front() else { return };
                    self.disk += match write {
                        Write::Sent(amount) | Write::Others(amount) => amount,
                        Write::Read => 0,
                    };
                    self.done.push_back((write, Some(self.disk)));
                }
                Step::DiskFails => {
                    let Some(write) = self.waiting.pop_front() else { return };
                    self.done.push_back((write, None));
                }
                Step::Tell => self.tell(),
            }
        }

        fn tell(&mut self) {
            let Some((write, disk)) = self.done.pop_front() else { return };
            let on_disk = disk.map(|used_ms| OnDisk { day: DAY, used_ms });
            match write {
                Write::Sent(amount) => {
                    self.today.arrive(amount, on_disk);
                    if on_disk.is_none() {
                        self.unsent += amount;
                    }
                }
                Write::Others(amount) => {
                    self.today.arrive(0, on_disk);
                    // Known from here on.
                    self.counted += if on_disk.is_some() { amount } else { 0 };
                }
                Write::Read => self.today.arrive(0, on_disk),
            }
        }

        fn check(&self, way: &[Step]) {
            if let Some(used) = self.today.used_ms(DAY) {
                assert_eq!(used + self.unsent, self.counted, "{way:?}: {self:?}");
            }
        }
    }

    /// All that can happen in so many steps, from here on.
    fn go_on(world: &World, way: &mut Vec<Step>, steps: usize) {
        world.check(way);
        if steps == 0 {
            return;
        }
        for step in STEPS {
            let mut next = world.clone();
            next.step(step);
            way.push(step);
            go_on(&next, way, steps - 1);
            way.pop();
        }
    }

    #[test]
    fn each_amount_counts_once_whatever_is_on_its_way() {
        go_on(&World::new(), &mut Vec::new(), 6);
        // It is known, and two are on their way.
        let mut world = World::new();
        let begun = [Step::Read, Step::DiskDoes, Step::Tell, Step::Use, Step::Send, Step::Use, Step::Send];
        begun.into_iter().for_each(|step| world.step(step));
        assert_eq!(world.today.used_ms(DAY), Some(2 + 4));
        go_on(&world, &mut begun.to_vec(), 6);
    }

    #[test]
    fn a_day_ends_with_what_was_used_of_it() {
        let mut today = Today::default();
        assert_eq!(today.used_ms(DAY), None);
        today.arrive(0, Some(OnDisk { day: DAY, used_ms: 7 }));
        today.send(2);
        assert_eq!((today.used_ms(DAY), today.used_ms(DAY + 1)), (Some(9), None));
        today.arrive(2, Some(OnDisk { day: DAY + 1, used_ms: 2 }));
        assert_eq!((today.used_ms(DAY), today.used_ms(DAY + 1)), (None, Some(2)));
    }
}
