//! The target `dump` under libFuzzer; what it checks is in `fuzz/src/targets/dump.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (aquifer_fuzz::targets::dump::TARGET.run)(input));
