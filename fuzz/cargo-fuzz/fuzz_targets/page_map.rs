//! The target `page_map` under libFuzzer; what it checks is in `fuzz/src/targets/page_map.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (aquifer_fuzz::targets::page_map::TARGET.run)(input));
