//! The target `cli_import` under libFuzzer; what it checks is in `fuzz/src/targets/cli_import.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (aquifer_fuzz::targets::cli_import::TARGET.run)(input));
