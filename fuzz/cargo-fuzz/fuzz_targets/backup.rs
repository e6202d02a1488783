//! The target `backup` under libFuzzer; what it checks is in `fuzz/src/targets/backup.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (aquifer_fuzz::targets::backup::TARGET.run)(input));
