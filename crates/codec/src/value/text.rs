//! Values of any length: strings and byte strings.
//!
//! 1. As a whole value they are their bytes; inner, a varint of their length comes first, and the default
//!    inner form of [`Value`] is not needed to copy them twice.

use super::{Value, take_with_length};
use crate::key::utf8;
use crate::{DecodeError, EncodeError, varint};

impl Value for str {
    type Owned = String;

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(self.as_bytes());
        Ok(())
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<String, DecodeError> {
        utf8(bytes).map(str::to_owned)
    }

    fn type_name() -> String {
        "str".into()
    }

    #[inline]
    fn encode_inner(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        Value::encode_inner(self.as_bytes(), out)
    }

    #[inline]
    fn decode_inner(bytes: &mut &[u8]) -> Result<String, DecodeError> {
        <str as Value>::decode(take_with_length(bytes, <str as Value>::type_name)?)
    }
}

impl Value for [u8] {
    type Owned = Vec<u8>;

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(self);
        Ok(())
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
        Ok(bytes.to_vec())
    }

    fn type_name() -> String {
        "bytes".into()
    }

    #[inline]
    fn encode_inner(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        varint::put(out, self.len() as u64);
        out.extend_from_slice(self);
        Ok(())
    }

    #[inline]
    fn decode_inner(bytes: &mut &[u8]) -> Result<Vec<u8>, DecodeError> {
        Ok(take_with_length(bytes, <[u8] as Value>::type_name)?.to_vec())
    }
}

/// Owned types that are written as what they dereference to.
macro_rules! owned {
    ($($owned:ty as $borrowed:ty;)*) => {$(
        impl Value for $owned {
            type Owned = $owned;

            #[inline]
            fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                <$borrowed as Value>::encode(self, out)
            }

            #[inline]
            fn decode(bytes: &[u8]) -> Result<$owned, DecodeError> {
                <$borrowed as Value>::decode(bytes)
            }

            fn type_name() -> String {
                <$borrowed as Value>::type_name()
            }

            #[inline]
            fn encode_inner(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                <$borrowed as Value>::encode_inner(self, out)
            }

            #[inline]
            fn decode_inner(bytes: &mut &[u8]) -> Result<$owned, DecodeError> {
                <$borrowed as Value>::decode_inner(bytes)
            }
        }
    )*};
}

owned! {
    String as str;
    Vec<u8> as [u8];
}
