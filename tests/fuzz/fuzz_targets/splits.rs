//! Cutting inputs into items, for the fuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| taskhost_fuzz::splits(data));
