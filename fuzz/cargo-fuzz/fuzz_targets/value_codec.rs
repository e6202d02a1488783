//! The target `value_codec` under libFuzzer; what it checks is in `fuzz/src/targets/value_codec.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (aquifer_fuzz::targets::value_codec::TARGET.run)(input));
