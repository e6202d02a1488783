//! Keys of any length: strings and byte strings, and the escape that lets something follow them.
//!
//! 1. Escaped bytes hold no `00 00` but at their end, so the end is found (rule 2 of [`super`]).
//! 2. A string that ends early meets `00 00` where a longer one has a byte from `01` up or `00 FF`: both are
//!    greater, so the shorter comes first whatever follows.

use std::borrow::Cow;

use super::Key;
use crate::DecodeError;
use crate::input::truncated;

/// What follows a zero byte that belongs to the string; greater than [`END`] (rule 2).
const ZERO: u8 = 0xFF;
/// What follows a zero byte that ends the string.
const END: u8 = 0x00;

/// Appends `bytes`, escaped and terminated.
#[inline]
pub(super) fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() + 2);
    let mut rest = bytes;
    while let Some(zero) = rest.iter().position(|&byte| byte == 0) {
        out.extend_from_slice(&rest[..=zero]);
        out.push(ZERO);
        rest = &rest[zero + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[0, END]);
}

/// Takes escaped bytes off the front of `bytes`, with their terminator, and undoes the escape. Borrows when
/// there is nothing to undo. `O(n)`, allocates at most what it reads.
#[inline]
pub(super) fn unescape<'a>(
    bytes: &mut &'a [u8],
    type_name: impl Fn() -> String,
) -> Result<Cow<'a, [u8]>, DecodeError> {
    let whole = *bytes;
    let mut plain = Vec::new();
    let mut start = 0;
    loop {
        let rest = &whole[start..];
        let Some(zero) = rest.iter().position(|&byte| byte == 0) else {
            return Err(truncated(whole.len() + 2, whole.len(), type_name()));
        };
        match rest.get(zero + 1) {
            Some(&END) => {
                *bytes = &rest[zero + 2..];
                if start == 0 {
                    return Ok(Cow::Borrowed(&rest[..zero]));
                }
                plain.extend_from_slice(&rest[..zero]);
                return Ok(Cow::Owned(plain));
            }
            Some(&ZERO) => plain.extend_from_slice(&rest[..=zero]),
            Some(other) => {
                let at = start + zero + 1;
                let reason = format!("byte {at} after a zero is {other:#04x}, neither 0x00 nor 0xff");
                return Err(DecodeError::invalid(type_name(), reason));
            }
            None => return Err(truncated(whole.len() + 1, whole.len(), type_name())),
        }
        start += zero + 2;
    }
}

/// `bytes` as text, or an error that says where they stop being UTF-8.
#[inline]
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|error| DecodeError::invalid("str", error.to_string()))
}

impl Key for str {
    type Owned = String;

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<String, DecodeError> {
        utf8(bytes).map(str::to_owned)
    }

    fn type_name() -> String {
        "str".into()
    }

    #[inline]
    fn encode_inner(&self, out: &mut Vec<u8>) {
        escape(self.as_bytes(), out)
    }

    #[inline]
    fn decode_inner(bytes: &mut &[u8]) -> Result<String, DecodeError> {
        <str as Key>::decode(&unescape(bytes, <str as Key>::type_name)?)
    }
}

impl Key for [u8] {
    type Owned = Vec<u8>;

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
        Ok(bytes.to_vec())
    }

    fn type_name() -> String {
        "bytes".into()
    }

    #[inline]
    fn encode_inner(&self, out: &mut Vec<u8>) {
        escape(self, out)
    }

    #[inline]
    fn decode_inner(bytes: &mut &[u8]) -> Result<Vec<u8>, DecodeError> {
        Ok(unescape(bytes, <[u8] as Key>::type_name)?.into_owned())
    }
}

/// Owned types that are written as what they dereference to.
macro_rules! owned {
    ($($owned:ty as $borrowed:ty;)*) => {$(
        impl Key for $owned {
            type Owned = $owned;

            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                <$borrowed as Key>::encode(self, out)
            }

            #[inline]
            fn decode(bytes: &[u8]) -> Result<$owned, DecodeError> {
                <$borrowed as Key>::decode(bytes)
            }

            fn type_name() -> String {
                <$borrowed as Key>::type_name()
            }

            #[inline]
            fn encode_inner(&self, out: &mut Vec<u8>) {
                <$borrowed as Key>::encode_inner(self, out)
            }

            #[inline]
            fn decode_inner(bytes: &mut &[u8]) -> Result<$owned, DecodeError> {
                <$borrowed as Key>::decode_inner(bytes)
            }
        }
    )*};
}

owned! {
    String as str;
    Vec<u8> as [u8];
}
