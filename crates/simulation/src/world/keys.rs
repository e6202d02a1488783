//! Names of tables, and what their keys and values look like.

/// The table that is hashed; the others are sorted. It is often drawn, so it has traffic.
pub(crate) const HASHED_TABLE: u8 = 1;
/// The table whose keys are whole numbers in a row, and whose values have mostly one length: its leaves become dense.
const NUMBERS_TABLE: u8 = 2;
const NUMBERS_VALUE_LEN: u16 = 24;
/// The table whose keys are alike but for a few bytes here and there: its leaves get fingerprints.
const PATHS_TABLE: u8 = 3;

pub(super) fn name(table: u8) -> String {
    format!("table{table}")
}

/// In the order of their numbers. Some keys are longer, and of these some are such as no page of 4 KiB takes, in groups of up to
/// three that share as many bytes as a group does, fewer or more.
pub(super) fn key(table: u8, number: u32) -> Vec<u8> {
    if table == NUMBERS_TABLE {
        return u64::from(number).to_be_bytes().to_vec();
    }
    if table == PATHS_TABLE {
        return format!("a/path/{:04}/that/some/share/{number:06}", number / 20).into_bytes();
    }
    let mut key = format!("{number:06}").into_bytes();
    match number % 20 {
        9 => key.resize(6 + number as usize % 90, b'x'),
        17..=19 => {
            key[5] = b'7';
            let shared = [510, 511, 512, 560][(number / 20) as usize % 4];
            key.resize(shared, b'y');
            key.push(b'0' + (number % 10) as u8);
        }
        _ => {}
    }
    key
}

/// The length of a value for which one of `len` bytes was drawn.
pub(super) fn value_len(table: u8, len: u16) -> u16 {
    if table == NUMBERS_TABLE && len <= 1024 && !len.is_multiple_of(32) { NUMBERS_VALUE_LEN } else { len }
}
