//! The target `cli_text` under libFuzzer; what it checks is in `fuzz/src/targets/cli_text.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (aquifer_fuzz::targets::cli_text::TARGET.run)(input));
