//! Journals, whole and damaged, for the fuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| taskhost_fuzz::journal(data));
