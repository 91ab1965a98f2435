//! How often the host asks for memory when a kernel is called: counted, since that is the same on every machine. What is
//! paid for each item is paid ten million times in a run of tiny items.

#![expect(unsafe_code, reason = "an allocator that counts is one that allocates")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write as _;

use taskhost_engine::{HostContext, Input, Instance, LoadOptions, LoadedKernel, compile};
use taskhost_protocol::kernel::CompileOptions;
use taskhost_protocol::limits::WorkerLimits;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // A thread that ends has no cell any more, and nobody asks it.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: everything is passed on to `System` as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller upholds the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above; `place` came from `System`.
        unsafe { System.dealloc(place, layout) };
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as in `dealloc`.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// Gives an item back.
const RAW: &[u8] = br#"(module
    (memory (export "memory") 2)
    (func (export "taskhost_alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "taskhost_process") (param $at i32) (param $len i32) (result i64)
        (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))"#;

/// A component that gives items back, one by one and packed.
const COMPONENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/dist/echo.wasm");

fn instance(wasm: &[u8]) -> Instance {
    let compiled = compile(wasm, CompileOptions::default()).expect("it compiles");
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&compiled.code).expect("room for the code");
    let loaded = LoadedKernel::load(LoadOptions {
        kind: compiled.info.kind,
        exports: compiled.info.exports,
        invoke: None,
        needs: compiled.info.needs,
        sampled: false,
        folders: &[],
        limits: WorkerLimits::default(),
        code_path: file.path(),
    });
    loaded.expect("it loads").instantiate(HostContext::default()).expect("it starts")
}

/// Allocations of a call, after some that do not count: buffers are there then.
fn of_a_call(mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 100;
    (0..10).for_each(|_| call());
    let before = COUNT.get();
    (0..CALLS).for_each(|_| call());
    (COUNT.get() - before) as f64 / f64::from(CALLS)
}

fn of_an_item(instance: &mut Instance, bytes: usize) -> f64 {
    let item = vec![7; bytes];
    let mut length = 0;
    of_a_call(|| {
        let mut sink = |result: &[u8]| {
            length = result.len();
            Ok(())
        };
        instance.process(Input::Bytes(&item), &mut sink).expect("it gives it back");
        assert_eq!(length, bytes);
        instance.commit_counters();
    })
}

/// The result is handed on where it lies, in the kernel's memory.
#[test]
fn an_item_of_a_raw_module_needs_no_memory() {
    let mut instance = instance(RAW);
    assert_eq!(of_an_item(&mut instance, 8), 0.0);
    assert_eq!(of_an_item(&mut instance, 4096), 0.0);
}

/// The result, which is copied out of the kernel's memory before the kernel may use that again.
#[test]
fn an_item_of_a_component_needs_memory_once() {
    let mut instance = instance(&std::fs::read(COMPONENT).expect("it comes with the source"));
    assert_eq!(of_an_item(&mut instance, 8), 1.0);
    assert_eq!(of_an_item(&mut instance, 256 << 10), 1.0);
}

/// The results and where each ends: two vectors, however many items there are.
#[test]
fn packed_items_need_no_memory_of_their_own() {
    let mut instance = instance(&std::fs::read(COMPONENT).expect("it comes with the source"));
    for items in [1, 64, 4096] {
        let bytes = vec![7; 8 * items];
        let ends: Vec<u32> = (1..=items as u32).map(|number| 8 * number).collect();
        let count = of_a_call(|| {
            instance.process_packed(&bytes, &ends).expect("it gives them back");
        });
        assert!(count <= 2.0, "{count} allocations for {items} items");
    }
}
