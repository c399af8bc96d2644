#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gureum_engine::testing::fuzz::engine_process(data));
