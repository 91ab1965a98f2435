//! Between the generated bindings and the traits: one adapter for each exported interface.

use std::marker::PhantomData;
use std::sync::Once;

use crate::bindings::host::taskhost::kernel::types;
use crate::bindings::{
    describe::exports::taskhost::kernel::describe, flat_mapper::exports::taskhost::kernel::flat_mapper,
    image_filter::exports::taskhost::kernel::image_filter, lifecycle::exports::taskhost::kernel::lifecycle,
    mapper::exports::taskhost::kernel::mapper, packed_mapper::exports::taskhost::kernel::packed_mapper,
    reducer::exports::taskhost::kernel::reducer,
};
use crate::kernel::{Filter, ImageFilter, Kernel, Map, Reduce};
use crate::packed::{self, Answer};
use crate::{Cut, Error, Format, Plan, ResultLength, Sample, Tile};

/// Exports a [`Kernel`]'s description and start, and a [`Map`], [`Reduce`] or [`ImageFilter`].
pub struct Exported<K>(PhantomData<K>);

/// Exports a [`Filter`], whose packed calls differ from those of a [`Map`].
pub struct ExportedFilter<K>(PhantomData<K>);

/// Has what a panic says, and where, logged as an error: the trap that follows only says "unreachable", and the host makes
/// the last such line part of the item's error.
fn forward_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| crate::log::log(crate::log::Level::Error, &panic.to_string())));
    });
}

impl From<Error> for types::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidInput(text) => Self::InvalidInput(text),
            Error::Failed(text) => Self::Failed(text),
            Error::Temporary(text) => Self::Temporary(text),
        }
    }
}

impl<K: Kernel> describe::Guest for Exported<K> {
    fn describe() -> describe::Description {
        let description = K::describe();
        let setting = |setting: crate::Setting| describe::Setting {
            name: setting.name,
            default: setting.default,
            help: setting.help,
        };
        describe::Description {
            summary: description.summary,
            split: description.split,
            merge: description.merge,
            result_length: match description.result_length {
                ResultLength::Unknown => describe::ResultLength::Unknown,
                ResultLength::Same => describe::ResultLength::Same,
                ResultLength::Exactly(bytes) => describe::ResultLength::Exactly(bytes),
            },
            settings: description.settings.into_iter().map(setting).collect(),
        }
    }
}

impl<K: Kernel> lifecycle::Guest for Exported<K> {
    fn start() -> Result<(), types::Error> {
        forward_panics();
        K::start().map_err(Into::into)
    }
}

impl<K: Map> mapper::Guest for Exported<K> {
    fn process(item: Vec<u8>) -> Result<Vec<u8>, types::Error> {
        // A minimal kernel has no `start`.
        forward_panics();
        K::consume(item).map_err(Into::into)
    }
}

impl<K: Map> packed_mapper::Guest for Exported<K> {
    fn process(items: packed_mapper::Packed) -> packed_mapper::PackedResults {
        packed::map::<K>(&items.bytes, &items.ends).into()
    }
}

impl<K: Reduce> reducer::Guest for Exported<K> {
    fn combine(parts: Vec<Vec<u8>>) -> Result<Vec<u8>, types::Error> {
        K::combine(&parts).map_err(Into::into)
    }

    fn finish(total: Vec<u8>) -> Result<Vec<u8>, types::Error> {
        K::finish(total).map_err(Into::into)
    }
}

impl<K: Filter> flat_mapper::Guest for ExportedFilter<K> {
    fn process(item: Vec<u8>) -> Result<Vec<Vec<u8>>, types::Error> {
        packed::filter_one::<K>(&item).map_err(Into::into)
    }
}

impl<K: Filter> packed_mapper::Guest for ExportedFilter<K> {
    fn process(items: packed_mapper::Packed) -> packed_mapper::PackedResults {
        packed::filter::<K>(&items.bytes, &items.ends).into()
    }
}

impl From<Answer> for packed_mapper::PackedResults {
    fn from(answer: Answer) -> Self {
        Self {
            results: packed_mapper::Packed { bytes: answer.results.bytes, ends: answer.results.ends },
            counts: answer.counts,
            failures: answer.failures.into_iter().map(|(position, error)| (position, error.into())).collect(),
        }
    }
}

impl<K: ImageFilter> image_filter::Guest for Exported<K> {
    fn prepare(input: image_filter::Format) -> Result<image_filter::Plan, types::Error> {
        Ok(K::prepare(input.into())?.into())
    }

    fn filter(tile: image_filter::Tile) -> Result<Vec<u8>, types::Error> {
        let tile = Tile {
            image: tile.image.into(),
            first_row: tile.first_row,
            rows: tile.rows,
            above: tile.above,
            below: tile.below,
            samples: tile.samples,
        };
        tile.check()?;
        K::filter(&tile).map_err(Into::into)
    }
}

impl From<image_filter::Format> for Format {
    fn from(format: image_filter::Format) -> Self {
        let sample = match format.sample {
            image_filter::Sample::Unsigned8 => Sample::U8,
            image_filter::Sample::Unsigned16 => Sample::U16,
            image_filter::Sample::Signed16 => Sample::I16,
            image_filter::Sample::Unsigned32 => Sample::U32,
            image_filter::Sample::Signed32 => Sample::I32,
            image_filter::Sample::Float32 => Sample::F32,
            image_filter::Sample::Float64 => Sample::F64,
        };
        Self { width: format.width, height: format.height, channels: format.channels, sample }
    }
}

impl From<Plan> for image_filter::Plan {
    fn from(plan: Plan) -> Self {
        let Format { width, height, channels, sample } = plan.output;
        let sample = match sample {
            Sample::U8 => image_filter::Sample::Unsigned8,
            Sample::U16 => image_filter::Sample::Unsigned16,
            Sample::I16 => image_filter::Sample::Signed16,
            Sample::U32 => image_filter::Sample::Unsigned32,
            Sample::I32 => image_filter::Sample::Signed32,
            Sample::F32 => image_filter::Sample::Float32,
            Sample::F64 => image_filter::Sample::Float64,
        };
        let cut = match plan.cut {
            Cut::Strips(halo) => image_filter::Cut::Strips(halo),
            Cut::Whole => image_filter::Cut::Whole,
        };
        Self { cut, output: image_filter::Format { width, height, channels, sample } }
    }
}
