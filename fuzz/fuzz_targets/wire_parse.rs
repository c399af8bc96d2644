#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gureum_engine::testing::fuzz::wire_parse(data));
