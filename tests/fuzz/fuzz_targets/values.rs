//! Values of functions as JSON, for the fuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(taskhost_engine::json_there_and_back(data)));
