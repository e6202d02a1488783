//! Values of fixed width: numbers, `bool`, `char`, `()`.
//!
//! 1. Every encoding of a type has the same length, so the inner form is the plain form.

use super::{Value, decode_whole};
use crate::input::{take, take_array};
use crate::{DecodeError, EncodeError};

/// The methods that are alike in all types of fixed width.
macro_rules! fixed {
    ($type:ty, $name:expr) => {
        type Owned = $type;

        #[inline]
        fn decode(bytes: &[u8]) -> Result<$type, DecodeError> {
            decode_whole::<$type>(bytes)
        }

        fn type_name() -> String {
            $name.into()
        }

        #[inline]
        fn encode_inner(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
            self.encode(out)
        }
    };
}

macro_rules! number {
    ($($type:ident)*) => {$(
        impl Value for $type {
            fixed!($type, stringify!($type));

            #[inline]
            fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                out.extend_from_slice(&self.to_le_bytes());
                Ok(())
            }

            #[inline]
            fn decode_inner(bytes: &mut &[u8]) -> Result<$type, DecodeError> {
                Ok($type::from_le_bytes(take_array(bytes, <$type as Value>::type_name)?))
            }
        }
    )*};
}

number! { u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64 }

/// Apart from the other numbers: arrays of bytes go as one piece.
impl Value for u8 {
    fixed!(u8, "u8");

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.push(*self);
        Ok(())
    }

    #[inline]
    fn decode_inner(bytes: &mut &[u8]) -> Result<u8, DecodeError> {
        Ok(take(bytes, 1, <u8 as Value>::type_name)?[0])
    }

    #[inline]
    fn encode_items(items: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(items);
        Ok(())
    }

    #[inline]
    fn decode_items<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], DecodeError> {
        take_array(bytes, <[u8; N] as Value>::type_name)
    }
}

impl Value for bool {
    fixed!(bool, "bool");

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.push(u8::from(*self));
        Ok(())
    }

    #[inline]
    fn decode_inner(bytes: &mut &[u8]) -> Result<bool, DecodeError> {
        match take(bytes, 1, <bool as Value>::type_name)?[0] {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::invalid("bool", format!("byte {other:#04x} is neither 0 nor 1"))),
        }
    }
}

impl Value for char {
    fixed!(char, "char");

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        Value::encode(&u32::from(*self), out)
    }

    #[inline]
    fn decode_inner(bytes: &mut &[u8]) -> Result<char, DecodeError> {
        let number = u32::from_le_bytes(take_array(bytes, <char as Value>::type_name)?);
        char::from_u32(number)
            .ok_or_else(|| DecodeError::invalid("char", format!("{number:#x} is no Unicode scalar value")))
    }
}

impl Value for () {
    fixed!((), "()");

    #[inline]
    fn encode(&self, _out: &mut Vec<u8>) -> Result<(), EncodeError> {
        Ok(())
    }

    #[inline]
    fn decode_inner(_bytes: &mut &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}
