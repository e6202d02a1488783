//! Keys: encodings whose byte order is the order of the values.
//!
//! A sorted table knows bytes alone. [`Key`] turns a typed key into bytes such that comparing the bytes as
//! unsigned numbers, first difference decides, shorter first, gives the same answer as comparing the values.
//!
//! 1. `a.cmp(&b) == a.encode().cmp(&b.encode())`, and equal values have equal bytes.
//! 2. An inner encoding ([`Key::encode_inner`]) is never a proper prefix of another of the same type, so
//!    whatever follows it cannot disturb the order, and a reader finds its end.
//! 3. Decoding accepts exactly the bytes that encoding writes; all else is an error.
//!
//! The encodings are FROZEN:
//!
//! | type | bytes |
//! |---|---|
//! | `u8`…`u128` | fixed width, big-endian |
//! | `i8`…`i128` | the same, with the sign bit flipped |
//! | `f32`, `f64` | the IEEE 754 bits, big-endian; sign bit flipped if positive, all bits flipped if negative (`total_cmp`: −NaN < −∞ < … < −0 < +0 < … < +∞ < NaN) |
//! | `bool` | 0, 1 |
//! | `char` | as its `u32` |
//! | `()` | nothing |
//! | `str`, `[u8]` as the key, or last in a tuple that is the key | the bytes |
//! | `str`, `[u8]` anywhere else (inner) | the bytes with `00` as `00 FF`, then `00 00` |
//! | tuples | the elements, inner; the last as if it were the key where the tuple is the key |
//! | `[K; N]` | the elements, inner |
//! | `Option<K>` | `00` for `None`; `01`, then the value, inner |
//!
//! The inner encoding of leading elements is a prefix of every tuple that begins with them: that is how a
//! prefix scan over a tuple key is written.

use crate::DecodeError;
use crate::input::{collect_array, end};

mod compound;
mod fixed;
mod text;

pub(crate) use text::utf8;

/// A type that can be the key of a sorted table.
///
/// Implemented for the integers but `usize` and `isize` (whose width is the machine's), floats, `bool`,
/// `char`, `()`, strings, byte strings, fixed arrays, options, tuples of up to eight, and references to these.
///
/// ```
/// use aquifer_codec::Key;
///
/// let mut bytes = Vec::new();
/// (-1i16, "ab").encode(&mut bytes);
/// assert_eq!(bytes, [0x7F, 0xFF, b'a', b'b']);
/// assert_eq!(<(i16, &str)>::decode(&bytes), Ok((-1, "ab".to_string())));
/// ```
///
/// A program's own type needs `encode`, `decode` and `type_name`; the inner forms follow by escaping.
///
/// ```
/// use aquifer_codec::{DecodeError, Key};
///
/// #[derive(Debug, PartialEq)]
/// struct Celsius(i16);
///
/// impl Key for Celsius {
///     type Owned = Celsius;
///     fn encode(&self, out: &mut Vec<u8>) {
///         self.0.encode(out)
///     }
///     fn decode(bytes: &[u8]) -> Result<Celsius, DecodeError> {
///         i16::decode(bytes).map(Celsius)
///     }
///     fn type_name() -> String {
///         "celsius".into()
///     }
/// }
///
/// let mut bytes = Vec::new();
/// (Celsius(-4), 7u8).encode(&mut bytes);
/// assert_eq!(<(Celsius, u8)>::decode(&bytes), Ok((Celsius(-4), 7)));
/// ```
pub trait Key {
    /// What decoding gives: `String` for `str`, and so on.
    type Owned;

    /// Appends the encoding of a whole key to `out`. Byte order is value order (rule 1).
    fn encode(&self, out: &mut Vec<u8>);

    /// The value whose encoding is exactly `bytes`.
    ///
    /// # Errors
    /// A [`DecodeError`] when the bytes are not the encoding of any value.
    fn decode(bytes: &[u8]) -> Result<Self::Owned, DecodeError>;

    /// The name of the encoding, such as `(u32, str)`: what the catalog keeps to check a table's type. Types
    /// with the same name must have the same encoding; the names of the types here are FROZEN.
    fn type_name() -> String;

    /// Appends the encoding of a key that something follows: an element of a tuple that is not the last.
    ///
    /// Unless overridden, the bytes of [`encode`](Key::encode), escaped and terminated. A type whose encodings
    /// all have one length need not be escaped and may override this and
    /// [`decode_inner`](Key::decode_inner) together (rule 2).
    fn encode_inner(&self, out: &mut Vec<u8>) {
        let mut whole = Vec::new();
        self.encode(&mut whole);
        text::escape(&whole, out);
    }

    /// Takes an inner encoding off the front of `bytes`.
    ///
    /// # Errors
    /// A [`DecodeError`] when `bytes` does not begin with one; then `bytes` is at no particular place.
    fn decode_inner(bytes: &mut &[u8]) -> Result<Self::Owned, DecodeError> {
        Self::decode(&text::unescape(bytes, Self::type_name)?)
    }

    /// Appends the inner encodings of `items`. Only a faster way for arrays of bytes; no need to override.
    fn encode_items(items: &[Self], out: &mut Vec<u8>)
    where
        Self: Sized,
    {
        for item in items {
            item.encode_inner(out);
        }
    }

    /// Takes `N` inner encodings off the front of `bytes`. Only a faster way for arrays of bytes; no need to
    /// override.
    ///
    /// # Errors
    /// As [`decode_inner`](Key::decode_inner).
    fn decode_items<const N: usize>(bytes: &mut &[u8]) -> Result<[Self::Owned; N], DecodeError>
    where
        Self: Sized,
    {
        collect_array(|| Self::decode_inner(bytes))
    }
}

impl<K: Key + ?Sized> Key for &K {
    type Owned = K::Owned;

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out)
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<K::Owned, DecodeError> {
        K::decode(bytes)
    }

    fn type_name() -> String {
        K::type_name()
    }

    #[inline]
    fn encode_inner(&self, out: &mut Vec<u8>) {
        (**self).encode_inner(out)
    }

    #[inline]
    fn decode_inner(bytes: &mut &[u8]) -> Result<K::Owned, DecodeError> {
        K::decode_inner(bytes)
    }
}

/// Decodes a whole key of a type whose inner form is its only form.
#[inline]
fn decode_whole<K: Key + ?Sized>(mut bytes: &[u8]) -> Result<K::Owned, DecodeError> {
    let value = K::decode_inner(&mut bytes)?;
    end(bytes, K::type_name)?;
    Ok(value)
}

#[cfg(test)]
mod tests;
