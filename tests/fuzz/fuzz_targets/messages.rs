//! Messages between coordinator and worker, for the fuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| taskhost_fuzz::messages(data));
