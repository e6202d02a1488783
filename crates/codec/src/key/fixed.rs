//! Keys of fixed width: numbers, `bool`, `char`, `()`.
//!
//! 1. Every encoding of a type has the same length, so the inner form is the plain form.

use super::{Key, decode_whole};
use crate::DecodeError;
use crate::input::{take, take_array};

/// Numbers: `$type`, kept as the unsigned `$bits`, through a pair of order-preserving maps.
macro_rules! number {
    ($($type:ident as $bits:ident: $to:expr, $from:expr;)*) => {$(
        impl Key for $type {
            type Owned = $type;

            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                let to: fn($type) -> $bits = $to;
                out.extend_from_slice(&to(*self).to_be_bytes());
            }

            #[inline]
            fn decode(bytes: &[u8]) -> Result<$type, DecodeError> {
                decode_whole::<$type>(bytes)
            }

            fn type_name() -> String {
                stringify!($type).into()
            }

            #[inline]
            fn encode_inner(&self, out: &mut Vec<u8>) {
                self.encode(out)
            }

            #[inline]
            fn decode_inner(bytes: &mut &[u8]) -> Result<$type, DecodeError> {
                let from: fn($bits) -> $type = $from;
                Ok(from($bits::from_be_bytes(take_array(bytes, <$type as Key>::type_name)?)))
            }
        }
    )*};
}

number! {
    u16 as u16: |n| n, |bits| bits;
    u32 as u32: |n| n, |bits| bits;
    u64 as u64: |n| n, |bits| bits;
    u128 as u128: |n| n, |bits| bits;
    i8 as u8: |n| n as u8 ^ 1 << 7, |bits| (bits ^ 1 << 7) as i8;
    i16 as u16: |n| n as u16 ^ 1 << 15, |bits| (bits ^ 1 << 15) as i16;
    i32 as u32: |n| n as u32 ^ 1 << 31, |bits| (bits ^ 1 << 31) as i32;
    i64 as u64: |n| n as u64 ^ 1 << 63, |bits| (bits ^ 1 << 63) as i64;
    i128 as u128: |n| n as u128 ^ 1 << 127, |bits| (bits ^ 1 << 127) as i128;
    f32 as u32: |n| f32_to_ordered(n), |bits| f32_from_ordered(bits);
    f64 as u64: |n| f64_to_ordered(n), |bits| f64_from_ordered(bits);
}

// The order of IEEE 754 bits read as sign and magnitude: positive numbers rise with their bits and must come
// after the negative ones, which fall with theirs.

#[inline]
fn f32_to_ordered(number: f32) -> u32 {
    let bits = number.to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

#[inline]
fn f32_from_ordered(ordered: u32) -> f32 {
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

#[inline]
fn f64_to_ordered(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

#[inline]
fn f64_from_ordered(ordered: u64) -> f64 {
    f64::from_bits(if ordered >> 63 == 1 { ordered & !(1 << 63) } else { !ordered })
}

/// Apart from the other numbers: arrays of bytes go as one piece.
impl Key for u8 {
    type Owned = u8;

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<u8, DecodeError> {
        decode_whole::<u8>(bytes)
    }

    fn type_name() -> String {
        "u8".into()
    }

    #[inline]
    fn encode_inner(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    #[inline]
    fn decode_inner(bytes: &mut &[u8]) -> Result<u8, DecodeError> {
        Ok(take(bytes, 1, u8::type_name)?[0])
    }

    #[inline]
    fn encode_items(items: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(items);
    }

    #[inline]
    fn decode_items<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], DecodeError> {
        take_array(bytes, <[u8; N]>::type_name)
    }
}

impl Key for bool {
    type Owned = bool;

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<bool, DecodeError> {
        decode_whole::<bool>(bytes)
    }

    fn type_name() -> String {
        "bool".into()
    }

    #[inline]
    fn encode_inner(&self, out: &mut Vec<u8>) {
        self.encode(out)
    }

    #[inline]
    fn decode_inner(bytes: &mut &[u8]) -> Result<bool, DecodeError> {
        match take(bytes, 1, bool::type_name)?[0] {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::invalid("bool", format!("byte {other:#04x} is neither 0 nor 1"))),
        }
    }
}

impl Key for char {
    type Owned = char;

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        u32::from(*self).encode(out)
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<char, DecodeError> {
        decode_whole::<char>(bytes)
    }

    fn type_name() -> String {
        "char".into()
    }

    #[inline]
    fn encode_inner(&self, out: &mut Vec<u8>) {
        self.encode(out)
    }

    #[inline]
    fn decode_inner(bytes: &mut &[u8]) -> Result<char, DecodeError> {
        let number = u32::from_be_bytes(take_array(bytes, char::type_name)?);
        char::from_u32(number)
            .ok_or_else(|| DecodeError::invalid("char", format!("{number:#x} is no Unicode scalar value")))
    }
}

impl Key for () {
    type Owned = ();

    #[inline]
    fn encode(&self, _out: &mut Vec<u8>) {}

    #[inline]
    fn decode(bytes: &[u8]) -> Result<(), DecodeError> {
        decode_whole::<()>(bytes)
    }

    fn type_name() -> String {
        "()".into()
    }

    #[inline]
    fn encode_inner(&self, _out: &mut Vec<u8>) {}

    #[inline]
    fn decode_inner(_bytes: &mut &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}
