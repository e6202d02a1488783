//! The target `tree_page` under libFuzzer; what it checks is in `fuzz/src/targets/tree_page.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (aquifer_fuzz::targets::tree_page::TARGET.run)(input));
