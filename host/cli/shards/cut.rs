//! Where a run is cut into shards.

use serde::{Deserialize, Serialize};
use taskhost_data::cut::next_end;
use taskhost_pool::event::Portion;
use taskhost_protocol::work::Split;

/// What a file costs besides its bytes, as so many of them: it has to be found and opened.
const FILE_WEIGHT: u64 = 64 << 10;

/// A stretch of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shard {
    pub(crate) work: Stretch,
    /// About so many bytes of input.
    pub(crate) bytes: u64,
}

/// What a shard is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stretch {
    /// All of it: a picture that is decoded or encoded as a whole.
    All,
    /// Rows of pictures, counted over all of them.
    Rows { first: u64, end: u64 },
    /// Items of the inputs from this one on.
    Items { first: u32, portion: Portion },
    /// Inputs, each with a result of its own.
    Files { first: u32, end: u32 },
}

/// A place between items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    source: usize,
    offset: u64,
}

/// Cuts inputs of these sizes into at most `count` shards of items.
pub(super) fn items(split: Split, sizes: &[u64], count: u32) -> Vec<Shard> {
    let weigh = |size: u64| if split == Split::Whole { size + FILE_WEIGHT } else { size };
    let total: u128 = sizes.iter().map(|size| u128::from(weigh(*size))).sum();
    // What a cut is aligned to follows from what lies between two, however far from the beginning it is.
    let share = u64::try_from(total / u128::from(count.max(1))).unwrap_or(u64::MAX).max(1);
    let mut places = vec![Place::default()];
    let (mut source, mut before, mut base) = (0, 0_u128, 0_u64);
    for number in 1..u128::from(count) {
        let target = total * number / u128::from(count);
        // An input ends where the next begins.
        while source < sizes.len() && before + u128::from(weigh(sizes[source])) <= target {
            before += u128::from(weigh(sizes[source]));
            base += positions(split, sizes[source]);
            source += 1;
        }
        let Some(size) = sizes.get(source).copied() else { break };
        let within = u64::try_from(target - before).unwrap_or(u64::MAX);
        let place = match split {
            // The nearer end.
            Split::Whole if within > weigh(size) / 2 => Place { source: source + 1, offset: 0 },
            _ if within == 0 || split == Split::Whole => Place { source, offset: 0 },
            _ => match next_end(split, base, within - share.min(within), size, share.min(within)) {
                end if end == size => Place { source: source + 1, offset: 0 },
                end => Place { source, offset: end },
            },
        };
        places.push(place);
    }
    places.push(Place { source: sizes.len(), offset: 0 });
    places.sort_unstable();
    places.dedup();
    if places.len() == 1 {
        // No input at all still has a result.
        places.push(places[0]);
    }
    places.windows(2).map(|pair| shard(split, sizes, pair[0], pair[1])).collect()
}

/// The shard between two places.
fn shard(split: Split, sizes: &[u64], from: Place, to: Place) -> Shard {
    let base = sizes.iter().take(from.source).map(|size| positions(split, *size)).sum();
    let last = if to.offset == 0 { to.source.saturating_sub(1) } else { to.source };
    let end = if to.offset == 0 { sizes.get(last).copied().unwrap_or(0) } else { to.offset };
    let between: u64 = sizes.get(from.source..last).unwrap_or_default().iter().sum();
    let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
    Shard {
        bytes: (between + end).saturating_sub(from.offset),
        work: Stretch::Items {
            first: number(from.source),
            portion: Portion { base, start: from.offset, last: number(last.saturating_sub(from.source)), end },
        },
    }
}

/// Positions that an input takes, see [`taskhost_protocol::work::Piece::position`].
pub(super) fn positions(split: Split, size: u64) -> u64 {
    match split {
        Split::Whole => 1,
        Split::Lines | Split::Blocks(_) | Split::Table => size,
        Split::Records(bytes) | Split::Chunks(bytes) => size.div_ceil(bytes),
    }
}

/// Cuts rows of so many bytes into at most `count` shards.
pub(super) fn rows(rows: u64, row_bytes: u64, count: u32) -> Vec<Shard> {
    let at = |number: u32| u64::try_from(u128::from(rows) * u128::from(number) / u128::from(count)).unwrap_or(rows);
    let shard = |number| {
        let (first, end) = (at(number), at(number + 1));
        Shard { work: Stretch::Rows { first, end }, bytes: (end - first).saturating_mul(row_bytes) }
    };
    (0..count).map(shard).filter(|shard| !matches!(shard.work, Stretch::Rows { first, end } if first == end)).collect()
}

/// Cuts inputs of which each has a result of its own into at most `count` shards.
pub(super) fn files(sizes: &[u64], count: u32) -> Vec<Shard> {
    let of_items = |shard: Shard| match shard.work {
        Stretch::Items { first, portion } => {
            Shard { work: Stretch::Files { first, end: first + portion.last + 1 }, bytes: shard.bytes }
        }
        _ => shard,
    };
    items(Split::Whole, sizes, count).into_iter().map(of_items).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stretches(shards: &[Shard]) -> Vec<(u32, u64, u32, u64)> {
        let stretch = |shard: &Shard| match shard.work {
            Stretch::Items { first, portion } => (first, portion.start, first + portion.last, portion.end),
            _ => (0, 0, 0, 0),
        };
        shards.iter().map(stretch).collect()
    }

    #[test]
    fn a_shard_may_hold_several_files_and_a_file_several_shards() {
        let shards = items(Split::Records(10), &[100, 20, 0, 300], 3);
        assert_eq!(stretches(&shards), [(0, 0, 3, 20), (3, 20, 3, 160), (3, 160, 3, 300)]);
        let Stretch::Items { portion, .. } = shards[2].work else { panic!("items") };
        assert_eq!(portion.base, 12, "the position of the file's first item");
        assert_eq!(shards.iter().map(|shard| shard.bytes).sum::<u64>(), 420);
    }

    #[test]
    fn there_are_as_many_as_were_asked_for_and_none_is_much_larger() {
        for (split, size) in [
            (Split::Lines, 108_894),
            (Split::Blocks(4096), 1 << 40),
            (Split::Chunks(8 << 20), 1 << 44),
            (Split::Records(100), 1_000_000),
        ] {
            let shards = items(split, &[size], 1000);
            assert_eq!(shards.len(), 1000, "{split:?}");
            let most = shards.iter().map(|shard| shard.bytes).max();
            assert!(most.is_some_and(|most| most <= size / 1000 * 13 / 10), "{split:?}: {most:?}");
        }
    }

    #[test]
    fn files_are_not_divided() {
        let shards = files(&[1 << 30, 10, 10, 1 << 30], 2);
        let of = |shard: &Shard| shard.work.clone();
        assert_eq!(
            shards.iter().map(of).collect::<Vec<_>>(),
            [Stretch::Files { first: 0, end: 2 }, Stretch::Files { first: 2, end: 4 }]
        );
    }

    #[test]
    fn nothing_is_one_shard() {
        assert_eq!(items(Split::Lines, &[], 4).len(), 1);
        assert_eq!(stretches(&items(Split::Lines, &[0], 4)), [(0, 0, 0, 0)]);
        assert_eq!(rows(3, 10, 8).len(), 3);
    }

    proptest! {
        #[test]
        fn shards_lie_end_to_end_and_hold_everything(
            kind in 0u8..4, unit in 1u64..300, sizes in prop::collection::vec(0u64..5000, 1..12), count in 1u32..9,
        ) {
            let split = [Split::Lines, Split::Whole, Split::Records(unit), Split::Blocks(unit)][usize::from(kind)];
            let shards = items(split, &sizes, count);
            prop_assert!(shards.len() <= count as usize);
            let mut next = (0, 0);
            for (first, start, last, end) in stretches(&shards) {
                prop_assert_eq!(next, (first, start));
                let size = sizes[last as usize];
                prop_assert!(end <= size && (last, end) >= (first, start));
                prop_assert!(kind == 0 || end == size || (kind > 1 && end.is_multiple_of(unit)));
                next = if end == size { (last + 1, 0) } else { (last, end) };
            }
            prop_assert_eq!(next, (u32::try_from(sizes.len()).expect("few"), 0));
        }
    }
}
