//! Values made of values: options, fixed arrays, tuples.
//!
//! 1. Elements are inner, so each says where it ends; only the last element of a tuple that is the whole value
//!    ends with it.
//! 2. When an element refuses, what its neighbours wrote is taken back (rule 3 of [`super`]).

use super::{Value, decode_whole};
use crate::input::take;
use crate::{DecodeError, EncodeError};

impl<V: Value> Value for Option<V> {
    type Owned = Option<V::Owned>;

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let Some(value) = self else {
            out.push(0);
            return Ok(());
        };
        let start = out.len();
        out.push(1);
        value.encode_inner(out).inspect_err(|_| out.truncate(start))
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self::Owned, DecodeError> {
        decode_whole::<Self>(bytes)
    }

    fn type_name() -> String {
        format!("option<{}>", V::type_name())
    }

    #[inline]
    fn encode_inner(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.encode(out)
    }

    #[inline]
    fn decode_inner(bytes: &mut &[u8]) -> Result<Self::Owned, DecodeError> {
        match take(bytes, 1, Self::type_name)?[0] {
            0 => Ok(None),
            1 => V::decode_inner(bytes).map(Some),
            other => {
                let reason = format!("its first byte is {other:#04x}, neither 0 nor 1");
                Err(DecodeError::invalid(Self::type_name(), reason))
            }
        }
    }
}

impl<V: Value, const N: usize> Value for [V; N] {
    type Owned = [V::Owned; N];

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        V::encode_items(self, out).inspect_err(|_| out.truncate(start))
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self::Owned, DecodeError> {
        decode_whole::<Self>(bytes)
    }

    fn type_name() -> String {
        format!("[{}; {N}]", V::type_name())
    }

    #[inline]
    fn encode_inner(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.encode(out)
    }

    #[inline]
    fn decode_inner(bytes: &mut &[u8]) -> Result<Self::Owned, DecodeError> {
        V::decode_items(bytes)
    }
}

/// Tuples: all elements but the last inner, the last as the tuple itself is.
macro_rules! tuple {
    ($($element:ident $index:tt,)* => $last:ident $last_index:tt) => {
        impl<$($element: Value,)* $last: Value> Value for ($($element,)* $last,) {
            type Owned = ($($element::Owned,)* $last::Owned,);

            #[inline]
            fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                let start = out.len();
                let elements = |out: &mut Vec<u8>| {
                    $(self.$index.encode_inner(out)?;)*
                    self.$last_index.encode(out)
                };
                elements(out).inspect_err(|_| out.truncate(start))
            }

            #[inline]
            #[allow(unused_mut, reason = "a tuple of one has no element before the last")]
            fn decode(mut bytes: &[u8]) -> Result<Self::Owned, DecodeError> {
                Ok(($($element::decode_inner(&mut bytes)?,)* $last::decode(bytes)?,))
            }

            fn type_name() -> String {
                let names = [$($element::type_name(),)* $last::type_name()];
                match names.as_slice() {
                    [one] => format!("({one},)"),
                    several => format!("({})", several.join(", ")),
                }
            }

            #[inline]
            fn encode_inner(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                let start = out.len();
                let elements = |out: &mut Vec<u8>| {
                    $(self.$index.encode_inner(out)?;)*
                    self.$last_index.encode_inner(out)
                };
                elements(out).inspect_err(|_| out.truncate(start))
            }

            #[inline]
            fn decode_inner(bytes: &mut &[u8]) -> Result<Self::Owned, DecodeError> {
                Ok(($($element::decode_inner(bytes)?,)* $last::decode_inner(bytes)?,))
            }
        }
    };
}

tuple!(=> A 0);
tuple!(A 0, => B 1);
tuple!(A 0, B 1, => C 2);
tuple!(A 0, B 1, C 2, => D 3);
tuple!(A 0, B 1, C 2, D 3, => E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, => F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, => G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, => H 7);
