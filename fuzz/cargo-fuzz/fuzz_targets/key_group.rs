//! The target `key_group` under libFuzzer; what it checks is in `fuzz/src/targets/key_group.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (aquifer_fuzz::targets::key_group::TARGET.run)(input));
