//! The target `log_record` under libFuzzer; what it checks is in `fuzz/src/targets/log_record.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (aquifer_fuzz::targets::log_record::TARGET.run)(input));
