//! Pictures in the formats that are decoded, for the fuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| taskhost_fuzz::pictures(data));
