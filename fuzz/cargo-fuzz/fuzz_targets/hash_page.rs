//! The target `hash_page` under libFuzzer; what it checks is in `fuzz/src/targets/hash_page.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (aquifer_fuzz::targets::hash_page::TARGET.run)(input));
