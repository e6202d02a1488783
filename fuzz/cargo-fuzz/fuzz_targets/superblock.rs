//! The target `superblock` under libFuzzer; what it checks is in `fuzz/src/targets/superblock.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (aquifer_fuzz::targets::superblock::TARGET.run)(input));
