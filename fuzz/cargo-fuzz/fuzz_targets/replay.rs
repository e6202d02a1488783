//! The target `replay` under libFuzzer; what it checks is in `fuzz/src/targets/replay.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (aquifer_fuzz::targets::replay::TARGET.run)(input));
