//! The engine that runs kernels: no compiler, and room for the one kernel of a worker.

use taskhost_protocol::fault::Refusal;
use taskhost_protocol::kernel::{Kind, Needs, Profile};
use wasmtime::{Enabled, Engine, PoolingAllocationConfig};

use crate::config::{self, MEMORY_RESERVATION};

/// Linear memories at a time. One instance lives; a component made of several modules has a memory for each. Each
/// costs 4 GiB of address space and no memory until it is used.
const MEMORIES: u32 = 16;

/// Core instances at a time. The largest seen, Python in a component, has about twenty.
const CORE_INSTANCES: u32 = 128;

/// Tables at a time.
const TABLES: u32 = 64;

/// Entries of a table: one for each function whose address is taken. CPython has some ten thousand.
const TABLE_ELEMENTS: usize = 100_000;

/// Bytes of bookkeeping of one instance, which grow with its imports and functions.
const INSTANCE_BYTES: usize = 16 << 20;

/// The first bytes of a memory are cleared rather than given back when an instance is replaced: for a small kernel
/// that is all it has touched, and the next instance has no page faults.
const KEEP_RESIDENT: usize = 1 << 20;

/// The same for a program, of which an instance lives for one item: most have a stack of a megabyte and touch two pages of it.
const KEEP_RESIDENT_OF_PROGRAM: usize = 256 << 10;

/// Makes the engine for artifacts of this profile, and sets up this thread for it: nothing is left to be set up behind the walls.
pub(crate) fn engine(profile: Profile, needs: Needs, kind: Kind) -> Result<Engine, Refusal> {
    let keep_resident = if kind == Kind::Command { KEEP_RESIDENT_OF_PROGRAM } else { KEEP_RESIDENT };
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(CORE_INSTANCES)
        .total_core_instances(CORE_INSTANCES)
        .total_memories(MEMORIES)
        .total_tables(TABLES)
        // Only asynchronous calls have stacks of their own, and there are none.
        .total_stacks(1)
        .max_component_instance_size(INSTANCE_BYTES)
        .max_core_instance_size(INSTANCE_BYTES)
        .max_memories_per_module(MEMORIES)
        .max_tables_per_module(TABLES)
        .table_elements(TABLE_ELEMENTS)
        // The user's limit is on all memories together, see `allowance`.
        .max_memory_size(usize::try_from(MEMORY_RESERVATION).expect("only 64-bit targets are supported"))
        .max_unused_warm_slots(MEMORIES)
        .linear_memory_keep_resident(keep_resident)
        .table_keep_resident(keep_resident)
        .decommit_batch_size(1)
        // It may show pages of an earlier instance that were swapped out.
        .pagemap_scan(Enabled::No);
    let mut config = config::runner(profile, needs);
    config.allocation_strategy(pool);
    let engine = Engine::new(&config).map_err(|error| {
        Refusal::Start(format!(
            "the WebAssembly engine could not be set up: {error:#}. It reserves 64 GiB of address space: is that \
             limited (ulimit -v)?"
        ))
    })?;
    Engine::tls_eager_initialize();
    Ok(engine)
}
