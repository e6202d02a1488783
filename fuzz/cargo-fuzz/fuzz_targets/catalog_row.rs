//! The target `catalog_row` under libFuzzer; what it checks is in `fuzz/src/targets/catalog_row.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (aquifer_fuzz::targets::catalog_row::TARGET.run)(input));
