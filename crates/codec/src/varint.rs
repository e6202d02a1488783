//! LEB128: unsigned integers in one to ten bytes, small ones in few.
//!
//! Seven bits a byte, lowest first; the top bit says that another byte follows.
//!
//! 1. Every number has exactly one encoding: the shortest. [`get`] refuses all others, so equal
//!    numbers are equal bytes and a checksum over bytes is a checksum over numbers.
//! 2. [`get`] reads at most [`LEN_MAX`] bytes and never beyond the slice.
//!
//! The encoding is FROZEN.

/// The most bytes that a number takes.
pub const LEN_MAX: usize = 10;

/// Appends the encoding of `value` to `out`.
///
/// ```
/// let mut out = Vec::new();
/// aquifer_codec::varint::put(&mut out, 300);
/// assert_eq!(out, [0xAC, 0x02]);
/// ```
#[inline]
pub fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads the number at the start of `bytes`, and says how many bytes it took.
///
/// `None` when the bytes end inside the number, when it does not fit in 64 bits, or when it is
/// written longer than need be (rule 1).
///
/// ```
/// use aquifer_codec::varint;
/// assert_eq!(varint::get(&[0xAC, 0x02, 0x55]), Some((300, 2)));
/// assert_eq!(varint::get(&[0xAC]), None); // cut short
/// assert_eq!(varint::get(&[0x80, 0x00]), None); // zero, but not the shortest way
/// ```
#[inline]
pub fn get(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(LEN_MAX).enumerate() {
        let bits = u64::from(byte & 0x7F);
        // The tenth byte holds bit 63 alone.
        if index == LEN_MAX - 1 && byte > 1 {
            return None;
        }
        value |= bits << (7 * index);
        if byte < 0x80 {
            let overlong = byte == 0 && index > 0;
            return (!overlong).then_some((value, index + 1));
        }
    }
    None
}

/// How many bytes [`put`] takes for `value`: 1 to [`LEN_MAX`].
///
/// ```
/// assert_eq!(aquifer_codec::varint::len(127), 1);
/// assert_eq!(aquifer_codec::varint::len(128), 2);
/// ```
#[inline]
pub fn len(value: u64) -> usize {
    // Zero has one significant bit here, as it takes one byte.
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests;
