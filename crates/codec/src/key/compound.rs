//! Keys made of keys: options, fixed arrays, tuples.
//!
//! 1. Elements are written in order of significance, each in a form that is never a proper prefix of another
//!    (rule 2 of [`super`]); only the last element of a tuple that is the whole key may be.

use super::{Key, decode_whole};
use crate::DecodeError;
use crate::input::take;

/// The byte before a value that is there; [`NONE`] is less, so `None` comes first.
const SOME: u8 = 1;
/// The byte in place of a value that is not there.
const NONE: u8 = 0;

impl<K: Key> Key for Option<K> {
    type Owned = Option<K::Owned>;

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(NONE),
            Some(value) => {
                out.push(SOME);
                value.encode_inner(out);
            }
        }
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self::Owned, DecodeError> {
        decode_whole::<Self>(bytes)
    }

    fn type_name() -> String {
        format!("option<{}>", K::type_name())
    }

    #[inline]
    fn encode_inner(&self, out: &mut Vec<u8>) {
        self.encode(out)
    }

    #[inline]
    fn decode_inner(bytes: &mut &[u8]) -> Result<Self::Owned, DecodeError> {
        match take(bytes, 1, Self::type_name)?[0] {
            NONE => Ok(None),
            SOME => K::decode_inner(bytes).map(Some),
            other => {
                let reason = format!("its first byte is {other:#04x}, neither 0 nor 1");
                Err(DecodeError::invalid(Self::type_name(), reason))
            }
        }
    }
}

impl<K: Key, const N: usize> Key for [K; N] {
    type Owned = [K::Owned; N];

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        K::encode_items(self, out)
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self::Owned, DecodeError> {
        decode_whole::<Self>(bytes)
    }

    fn type_name() -> String {
        format!("[{}; {N}]", K::type_name())
    }

    #[inline]
    fn encode_inner(&self, out: &mut Vec<u8>) {
        K::encode_items(self, out)
    }

    #[inline]
    fn decode_inner(bytes: &mut &[u8]) -> Result<Self::Owned, DecodeError> {
        K::decode_items(bytes)
    }
}

/// Tuples: all elements but the last inner, the last as the tuple itself is.
macro_rules! tuple {
    ($($element:ident $index:tt,)* => $last:ident $last_index:tt) => {
        impl<$($element: Key,)* $last: Key> Key for ($($element,)* $last,) {
            type Owned = ($($element::Owned,)* $last::Owned,);

            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                $(self.$index.encode_inner(out);)*
                self.$last_index.encode(out);
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
            fn encode_inner(&self, out: &mut Vec<u8>) {
                $(self.$index.encode_inner(out);)*
                self.$last_index.encode_inner(out);
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
