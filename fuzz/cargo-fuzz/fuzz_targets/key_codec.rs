//! The target `key_codec` under libFuzzer; what it checks is in `fuzz/src/targets/key_codec.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (aquifer_fuzz::targets::key_codec::TARGET.run)(input));
