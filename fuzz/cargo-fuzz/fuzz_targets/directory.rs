//! The target `directory` under libFuzzer; what it checks is in `fuzz/src/targets/directory.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (aquifer_fuzz::targets::directory::TARGET.run)(input));
