//! Calls a plug-in of extism for each record of a file: compare-extism INPUT OUTPUT SIZE
//!
//! The plug-in gives a record back, as the kernel `echo` does. SIZE is a multiple of eight.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};

use extism::{Manifest, Plugin, Wasm};

/// The input is the host's, and is asked for eight bytes at a time.
const ECHO: &str = r#"(module
    (import "extism:host/env" "input_length" (func $length (result i64)))
    (import "extism:host/env" "input_load_u64" (func $load (param i64) (result i64)))
    (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
    (import "extism:host/env" "store_u64" (func $store (param i64 i64)))
    (import "extism:host/env" "output_set" (func $output (param i64 i64)))
    (memory (export "memory") 1)
    (func (export "echo") (result i32)
        (local $at i64) (local $length i64) (local $made i64)
        (local.set $length (call $length))
        (local.set $made (call $alloc (local.get $length)))
        (loop $next
            (call $store (i64.add (local.get $made) (local.get $at)) (call $load (local.get $at)))
            (local.set $at (i64.add (local.get $at) (i64.const 8)))
            (br_if $next (i64.lt_u (local.get $at) (local.get $length))))
        (call $output (local.get $made) (local.get $length))
        (i32.const 0)))"#;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, size] = arguments.as_slice() else { return Err("INPUT OUTPUT SIZE is missing".into()) };
    let mut plugin = Plugin::new(Manifest::new([Wasm::data(ECHO)]), [], false)?;
    let mut output = BufWriter::new(File::create(output)?);
    for item in fs::read(input)?.chunks(size.parse()?) {
        output.write_all(plugin.call::<&[u8], &[u8]>("echo", item)?)?;
    }
    Ok(output.flush()?)
}
