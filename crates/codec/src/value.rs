//! Values: compact encodings, without order.
//!
//! 1. Decoding gives back what was encoded; bytes that encoding never writes are an error.
//! 2. An inner encoding ([`Value::encode_inner`]) says where it ends.
//! 3. An encoding that fails leaves the output as it was.
//!
//! The encodings are FROZEN:
//!
//! | type | bytes |
//! |---|---|
//! | `u8`…`u128`, `i8`…`i128` | fixed width, little-endian, two's complement |
//! | `f32`, `f64` | the IEEE 754 bits, little-endian |
//! | `bool` | 0, 1 |
//! | `char` | as its `u32` |
//! | `()` | nothing |
//! | `str`, `[u8]` as the value, or last in a tuple that is the value | the bytes |
//! | `str`, `[u8]` anywhere else (inner) | length as a [varint], then the bytes |
//! | tuples | the elements, inner; the last as if it were the value where the tuple is the value |
//! | `[V; N]` | the elements, inner |
//! | `Option<V>` | 0 for `None`; 1, then the value, inner |
//! | `Serde<T>` (feature `postcard`) | the Postcard 1 wire format; inner with its length as a varint before it |

use crate::input::{collect_array, end, take, truncated};
use crate::{DecodeError, EncodeError, varint};

mod compound;
mod fixed;
#[cfg(feature = "postcard")]
mod serde;
mod text;

#[cfg(feature = "postcard")]
pub use serde::Serde;

/// A type that can be the value of a table.
///
/// Implemented for the types that [`Key`](crate::Key) is, with other bytes, and for anything that serde can
/// write through `Serde` (feature `postcard`).
///
/// ```
/// use aquifer_codec::Value;
///
/// let mut bytes = Vec::new();
/// ("ab", 258u16).encode(&mut bytes)?;
/// assert_eq!(bytes, [2, b'a', b'b', 0x02, 0x01]);
/// assert_eq!(<(&str, u16)>::decode(&bytes)?, ("ab".to_string(), 258));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Value {
    /// What decoding gives: `String` for `str`, and so on.
    type Owned;

    /// Appends the encoding of a whole value to `out`.
    ///
    /// # Errors
    /// An [`EncodeError`] when the value refuses to be written; `out` is then as it was (rule 3). The basic
    /// types never refuse.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// The value whose encoding is exactly `bytes`.
    ///
    /// # Errors
    /// A [`DecodeError`] when the bytes are not the encoding of any value.
    fn decode(bytes: &[u8]) -> Result<Self::Owned, DecodeError>;

    /// The name of the encoding, such as `(str, u16)`: what the catalog keeps to check a table's type. Types
    /// with the same name must have the same encoding; the names of the basic types are FROZEN, and the same
    /// as in [`Key`](crate::Key).
    fn type_name() -> String;

    /// Appends the encoding of a value that something follows.
    ///
    /// Unless overridden, the bytes of [`encode`](Value::encode) with their length before them. A type that
    /// knows its own end may override this and [`decode_inner`](Value::decode_inner) together.
    ///
    /// # Errors
    /// As [`encode`](Value::encode).
    fn encode_inner(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        self.encode(out)?;
        let mut length = Vec::with_capacity(varint::LEN_MAX);
        varint::put(&mut length, (out.len() - start) as u64);
        out.splice(start..start, length);
        Ok(())
    }

    /// Takes an inner encoding off the front of `bytes`.
    ///
    /// # Errors
    /// A [`DecodeError`] when `bytes` does not begin with one; then `bytes` is at no particular place.
    fn decode_inner(bytes: &mut &[u8]) -> Result<Self::Owned, DecodeError> {
        Self::decode(take_with_length(bytes, Self::type_name)?)
    }

    /// Appends the inner encodings of `items`. Only a faster way for arrays of bytes; no need to override.
    ///
    /// # Errors
    /// As [`encode`](Value::encode), except that `out` may hold the items before the one that failed.
    fn encode_items(items: &[Self], out: &mut Vec<u8>) -> Result<(), EncodeError>
    where
        Self: Sized,
    {
        items.iter().try_for_each(|item| item.encode_inner(out))
    }

    /// Takes `N` inner encodings off the front of `bytes`. Only a faster way for arrays of bytes; no need to
    /// override.
    ///
    /// # Errors
    /// As [`decode_inner`](Value::decode_inner).
    fn decode_items<const N: usize>(bytes: &mut &[u8]) -> Result<[Self::Owned; N], DecodeError>
    where
        Self: Sized,
    {
        collect_array(|| Self::decode_inner(bytes))
    }
}

impl<V: Value + ?Sized> Value for &V {
    type Owned = V::Owned;

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        (**self).encode(out)
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<V::Owned, DecodeError> {
        V::decode(bytes)
    }

    fn type_name() -> String {
        V::type_name()
    }

    #[inline]
    fn encode_inner(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        (**self).encode_inner(out)
    }

    #[inline]
    fn decode_inner(bytes: &mut &[u8]) -> Result<V::Owned, DecodeError> {
        V::decode_inner(bytes)
    }
}

/// Takes a length and that many bytes off the front of `bytes`.
#[inline]
fn take_with_length<'a>(
    bytes: &mut &'a [u8],
    type_name: impl Fn() -> String,
) -> Result<&'a [u8], DecodeError> {
    let (len, len_bytes) = match varint::get(bytes) {
        Some(read) => read,
        None if bytes.len() < varint::LEN_MAX && bytes.iter().all(|&byte| byte >= 0x80) => {
            return Err(truncated(bytes.len() + 1, bytes.len(), type_name()));
        }
        None => return Err(DecodeError::invalid(type_name(), "its length is not a valid varint")),
    };
    *bytes = &bytes[len_bytes..];
    take(bytes, usize::try_from(len).unwrap_or(usize::MAX), type_name)
}

/// Decodes a whole value of a type whose inner form is its only form.
#[inline]
fn decode_whole<V: Value + ?Sized>(mut bytes: &[u8]) -> Result<V::Owned, DecodeError> {
    let value = V::decode_inner(&mut bytes)?;
    end(bytes, V::type_name)?;
    Ok(value)
}

#[cfg(test)]
mod tests;
