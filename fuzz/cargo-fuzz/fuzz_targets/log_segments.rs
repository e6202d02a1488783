//! The target `log_segments` under libFuzzer; what it checks is in `fuzz/src/targets/log_segments.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (aquifer_fuzz::targets::log_segments::TARGET.run)(input));
