//! The records: which key and which value each number has, and how a wrong value is told.
//!
//! Records are numbered from 0. A key is 16 bytes:
//!
//! | bytes | scrambled | sequential |
//! |---|---|---|
//! | 0–7 | the number through a bijection, big-endian | the number, big-endian |
//! | 8–15 | the number through another, big-endian | the same |
//!
//! 1. Different numbers have different keys: the first half alone tells them apart.
//! 2. Scrambled keys in order of their numbers are in random order of their bytes, so counting is loading at
//!    random, and no order needs to be kept.
//! 3. Numbers from [`ABSENT`] up are never written: reading them must miss.
//! 4. The first [`CHECK_BYTES`] of a value follow from its key, whichever workload wrote it; a value under the wrong key
//!    is noticed for the price of one comparison.
//! 5. After them, a value is random up to its half and compressible from there. Transactions count in the first [`COUNT_BYTES`] of it.

use crate::random::{Random, scatter};

/// Bytes of every key.
pub const KEY_BYTES: usize = 16;
/// Bytes of a value that follow from its key.
pub const CHECK_BYTES: usize = 8;
/// Bytes after the check in which transactions count how often they have changed the record.
pub const COUNT_BYTES: usize = 8;
/// The number of the first record that no workload writes.
pub const ABSENT: u64 = 1 << 63;

/// A key.
pub type Key = [u8; KEY_BYTES];

/// What all values are filled up with: nothing that a compressor would not see at once.
const FILLER: u8 = b'.';

/// The key of a record, in random order of numbers.
///
/// ```
/// use aquifer_workload::records::key;
/// assert_ne!(key(1), key(2));
/// assert_eq!(key(1), key(1));
/// ```
#[inline]
pub fn key(number: u64) -> Key {
    join(scatter(number.wrapping_add(0x9E37_79B9_7F4A_7C15)), number)
}

/// The key of a record, in order of numbers.
#[inline]
pub fn sequential_key(number: u64) -> Key {
    join(number, number)
}

#[inline]
fn join(first: u64, number: u64) -> Key {
    let second = scatter(number ^ 0xD1B5_4A32_D192_ED03);
    let mut key = [0; KEY_BYTES];
    key[..8].copy_from_slice(&first.to_be_bytes());
    key[8..].copy_from_slice(&second.to_be_bytes());
    key
}

/// The first eight bytes of a key, as a number in key order.
#[inline]
pub(crate) fn leading(key: &[u8]) -> Option<u64> {
    key.first_chunk().map(|half| u64::from_be_bytes(*half))
}

/// Makes `value` a value of `key`: the check, then random, then compressible (rules 4 and 5).
///
/// # Panics
/// When `value` is shorter than [`CHECK_BYTES`].
#[inline]
pub fn fill_value(key: &Key, value: &mut [u8], random: &mut Random) {
    let half = (value.len() / 2).max(CHECK_BYTES);
    let (random_part, rest) = value.split_at_mut(half);
    random.fill(&mut random_part[CHECK_BYTES..]);
    random_part[..CHECK_BYTES].copy_from_slice(&check_of(key));
    rest.fill(FILLER);
}

/// Whether `value` has the length that every value has and belongs to `key`.
#[inline]
pub fn is_value_of(key: &[u8], value: &[u8], value_bytes: usize) -> bool {
    value.len() == value_bytes && value.first_chunk() == Some(&check_of(key))
}

/// How often transactions have changed a record, from wherever it began; 0 of a value that is too short to tell.
#[inline]
pub(crate) fn count(value: &[u8]) -> u64 {
    let bytes = value.get(CHECK_BYTES..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Counts up in a value that is long enough, and makes the rest of its random part anew: so all of it has changed, as in a put.
#[inline]
pub(crate) fn count_up(value: &mut [u8], random: &mut Random) {
    let counted = count(value).wrapping_add(1);
    let rest = CHECK_BYTES + COUNT_BYTES;
    let half = (value.len() / 2).max(rest);
    value[CHECK_BYTES..rest].copy_from_slice(&counted.to_le_bytes());
    random.fill(&mut value[rest..half]);
}

/// What the first bytes of a value of `key` are.
#[inline]
fn check_of(key: &[u8]) -> [u8; CHECK_BYTES] {
    // A key of another length cannot be one of ours; what it gives need not match anything.
    scatter(leading(key).unwrap_or_default() ^ 0x2545_F491_4F6C_DD1D).to_le_bytes()
}

#[cfg(test)]
mod tests;
