//! Calls into a component: each export is resolved once for an instance.

use taskhost_protocol::fault::Fault;
use taskhost_protocol::kernel::{Description, Exports, ResultLength, Setting};
use taskhost_protocol::picture::{Cut, Format, PicturePlan, Sample};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::exports::taskhost::kernel::{
    describe, flat_mapper, image_filter, lifecycle, mapper, packed_mapper, reducer,
};
use crate::exchange::{Input, Results, Sink, within};
use crate::fault::CallError;
use crate::host::HostState;
use crate::instance::{Tile, not_exported};
use crate::packed::PackedResults;

/// The input buffer is given back when an item was larger than this: the next are likely small.
const KEPT_BUFFER: usize = 16 << 20;

macro_rules! exports {
    ($($name:ident),*) => {
        /// Where the exports are in the component.
        pub(crate) struct Indices { $($name: Option<$name::GuestIndices>),* }

        impl Indices {
            pub(crate) fn new(pre: &InstancePre<HostState>, exports: Exports) -> wasmtime::Result<Self> {
                Ok(Self {
                    $($name: if exports.$name { Some($name::GuestIndices::new(pre)?) } else { None }),*
                })
            }

            pub(crate) fn load(
                &self,
                store: &mut Store<HostState>,
                instance: &Instance,
            ) -> wasmtime::Result<ComponentCalls> {
                Ok(ComponentCalls {
                    $($name: match &self.$name {
                        Some(indices) => Some(indices.load(&mut *store, instance)?),
                        None => None,
                    },)*
                    buffer: Vec::new(),
                })
            }
        }

        /// The exports of an instance.
        pub(crate) struct ComponentCalls {
            $($name: Option<$name::Guest>,)*
            /// Holds an item between reading it and its copy into the kernel's memory.
            buffer: Vec<u8>,
        }
    };
}

exports!(mapper, flat_mapper, packed_mapper, reducer, image_filter, describe, lifecycle);

impl ComponentCalls {
    pub(crate) fn describe(&mut self, store: &mut Store<HostState>) -> Result<Option<Description>, CallError> {
        let Some(guest) = &self.describe else { return Ok(None) };
        let said = guest.call_describe(store)?;
        let setting =
            |setting: describe::Setting| Setting { name: setting.name, default: setting.default, help: setting.help };
        Ok(Some(Description {
            summary: said.summary,
            split: said.split,
            merge: said.merge,
            result_length: match said.result_length {
                describe::ResultLength::Unknown => ResultLength::Unknown,
                describe::ResultLength::Same => ResultLength::Same,
                describe::ResultLength::Exactly(bytes) => ResultLength::Exactly(bytes),
            },
            settings: said.settings.into_iter().map(setting).collect(),
        }))
    }

    pub(crate) fn start(&mut self, store: &mut Store<HostState>) -> Result<(), CallError> {
        match &self.lifecycle {
            Some(guest) => Ok(guest.call_start(store)?.map_err(Fault::from)?),
            None => Ok(()),
        }
    }

    pub(crate) fn process(
        &mut self,
        store: &mut Store<HostState>,
        input: Input<'_>,
        mut results: Results<'_>,
    ) -> Result<(), CallError> {
        let item = bytes(store, input, &mut self.buffer)?;
        if let Some(guest) = &self.mapper {
            results.give(&guest.call_process(store, item)?.map_err(Fault::from)?)?;
        } else if let Some(guest) = &self.flat_mapper {
            results.give_all(&guest.call_process(store, item)?.map_err(Fault::from)?)?;
        } else {
            return Err(not_exported("mapper"));
        }
        trim(&mut self.buffer);
        Ok(())
    }

    pub(crate) fn process_packed(
        &mut self,
        store: &mut Store<HostState>,
        bytes: &[u8],
        ends: &[u32],
        output: u64,
    ) -> Result<PackedResults, CallError> {
        let Some(guest) = &self.packed_mapper else { return Err(not_exported("packed-mapper")) };
        let answer = guest.call_process(store, packed_mapper::PackedParam { bytes, ends })?;
        let failures = answer.failures.into_iter().map(|(item, error)| (item, Fault::from(error))).collect();
        let results =
            PackedResults { bytes: answer.results.bytes, ends: answer.results.ends, counts: answer.counts, failures };
        within(results.bytes.len() as u64, output)?;
        results.validate(ends.len(), self.flat_mapper.is_some() && self.mapper.is_none())?;
        Ok(results)
    }

    pub(crate) fn prepare(&mut self, store: &mut Store<HostState>, format: Format) -> Result<PicturePlan, CallError> {
        let Some(guest) = &self.image_filter else { return Err(not_exported("image-filter")) };
        let plan = guest.call_prepare(store, to_guest(format))?.map_err(Fault::from)?;
        Ok(PicturePlan {
            cut: match plan.cut {
                image_filter::Cut::Strips(halo) => Cut::Strips { halo },
                image_filter::Cut::Whole => Cut::Whole,
            },
            output: from_guest(plan.output),
        })
    }

    pub(crate) fn filter(
        &mut self,
        store: &mut Store<HostState>,
        tile: Tile,
        samples: Input<'_>,
        expect: u64,
        sink: &mut Sink<'_>,
    ) -> Result<(), CallError> {
        let Some(guest) = &self.image_filter else { return Err(not_exported("image-filter")) };
        let samples = bytes(store, samples, &mut self.buffer)?;
        let tile = image_filter::Tile {
            image: to_guest(tile.image),
            first_row: tile.first_row,
            rows: tile.rows,
            above: tile.above,
            below: tile.below,
            samples,
        };
        let result = guest.call_filter(store, tile)?.map_err(Fault::from)?;
        if result.len() as u64 != expect {
            let text = format!("`filter` returned {} bytes where its plan promises {expect}", result.len());
            return Err(Fault::Contract(text).into());
        }
        sink(&result)?;
        trim(&mut self.buffer);
        Ok(())
    }

    pub(crate) fn combine(
        &mut self,
        store: &mut Store<HostState>,
        parts: &[&[u8]],
        output: u64,
    ) -> Result<Vec<u8>, CallError> {
        let Some(guest) = &self.reducer else { return Err(not_exported("reducer")) };
        let result = guest.call_combine(store, parts)?.map_err(Fault::from)?;
        within(result.len() as u64, output)?;
        Ok(result)
    }

    pub(crate) fn finish(
        &mut self,
        store: &mut Store<HostState>,
        total: &[u8],
        output: u64,
    ) -> Result<Vec<u8>, CallError> {
        let Some(guest) = &self.reducer else { return Err(not_exported("reducer")) };
        let result = guest.call_finish(store, total)?.map_err(Fault::from)?;
        within(result.len() as u64, output)?;
        Ok(result)
    }
}

/// The bytes of the input, read into `buffer` when they are not there yet. An item that the kernel can have no room for
/// is refused before the host makes room for it.
pub(crate) fn bytes<'buffer, 'input: 'buffer>(
    store: &Store<HostState>,
    input: Input<'input>,
    buffer: &'buffer mut Vec<u8>,
) -> Result<&'buffer [u8], Fault> {
    let len = input.checked_len()?;
    store.data().allowance.cannot_hold(u64::from(len))?;
    match input {
        Input::Bytes(bytes) => Ok(bytes),
        Input::Read { len, .. } => {
            if buffer.len() < len {
                // Emptied first, so that it is not copied, and no larger than needed: `most_memory` counts on it.
                buffer.clear();
                buffer.reserve_exact(len);
                buffer.resize(len, 0);
            }
            let bytes = &mut buffer[..len];
            input.put(bytes)?;
            Ok(bytes)
        }
    }
}

pub(crate) fn trim(buffer: &mut Vec<u8>) {
    if buffer.len() > KEPT_BUFFER {
        *buffer = Vec::new();
    }
}

fn to_guest(format: Format) -> image_filter::Format {
    image_filter::Format {
        width: format.width,
        height: format.height,
        channels: format.channels,
        sample: match format.sample {
            Sample::U8 => image_filter::Sample::Unsigned8,
            Sample::U16 => image_filter::Sample::Unsigned16,
            Sample::I16 => image_filter::Sample::Signed16,
            Sample::U32 => image_filter::Sample::Unsigned32,
            Sample::I32 => image_filter::Sample::Signed32,
            Sample::F32 => image_filter::Sample::Float32,
            Sample::F64 => image_filter::Sample::Float64,
        },
    }
}

fn from_guest(format: image_filter::Format) -> Format {
    Format {
        width: format.width,
        height: format.height,
        channels: format.channels,
        sample: match format.sample {
            image_filter::Sample::Unsigned8 => Sample::U8,
            image_filter::Sample::Unsigned16 => Sample::U16,
            image_filter::Sample::Signed16 => Sample::I16,
            image_filter::Sample::Unsigned32 => Sample::U32,
            image_filter::Sample::Signed32 => Sample::I32,
            image_filter::Sample::Float32 => Sample::F32,
            image_filter::Sample::Float64 => Sample::F64,
        },
    }
}
