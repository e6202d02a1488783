//! Values of any type that serde can write, in the Postcard format.
//!
//! 1. Errors of the type's own `Serialize` and `Deserialize` are errors, not panics.
//! 2. The name in the catalog is the one that the type gives to serde: it does not depend on the compiler,
//!    nor on the module in which the type lives.

use std::fmt;

use ::serde::de::{DeserializeOwned, Deserializer, Visitor};
use ::serde::{Serialize, forward_to_deserialize_any};

use super::Value;
use crate::{DecodeError, EncodeError};

/// A value that serde writes, in the [Postcard](https://postcard.jamesmunns.com) wire format: compact, but
/// without field names, so fields may neither be reordered, nor added, nor removed once data is written.
///
/// Reading gives the bare `T`.
///
/// ```
/// use aquifer_codec::{Serde, Value};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, Debug, PartialEq)]
/// struct Person {
///     name: String,
///     age: u32,
/// }
///
/// let mut bytes = Vec::new();
/// Serde(Person { name: "Ada".into(), age: 36 }).encode(&mut bytes)?;
/// assert_eq!(bytes, [3, b'A', b'd', b'a', 36]);
/// assert_eq!(Serde::<Person>::decode(&bytes)?, Person { name: "Ada".into(), age: 36 });
/// assert_eq!(Serde::<Person>::type_name(), "postcard<Person>");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serde<T>(pub T);

impl<T: Serialize + DeserializeOwned> Value for Serde<T> {
    type Owned = T;

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        match postcard::to_io(&self.0, &mut *out) {
            Ok(_) => Ok(()),
            Err(error) => {
                out.truncate(start);
                Err(EncodeError { type_name: Self::type_name(), reason: error.to_string() })
            }
        }
    }

    fn decode(bytes: &[u8]) -> Result<T, DecodeError> {
        let (value, rest) = postcard::take_from_bytes(bytes)
            .map_err(|error| DecodeError::invalid(Self::type_name(), error.to_string()))?;
        crate::input::end(rest, Self::type_name)?;
        Ok(value)
    }

    fn type_name() -> String {
        // The probe always answers by failing.
        let name = T::deserialize(Probe).err().map_or("value", |answer| answer.0);
        format!("postcard<{name}>")
    }
}

/// A deserializer that learns what a type calls itself and stops there.
struct Probe;

/// What [`Probe`] learnt; an error, as that is how a deserializer stops.
#[derive(Debug)]
struct Name(&'static str);

macro_rules! named {
    ($($method:ident($($argument:ident: $type:ty),*) => $name:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* _: V) -> Result<V::Value, Name> {
            Err(Name($name))
        }
    )*};
}

impl<'de> Deserializer<'de> for Probe {
    type Error = Name;

    named! {
        deserialize_struct(name: &'static str, _fields: &'static [&'static str]) => name;
        deserialize_enum(name: &'static str, _variants: &'static [&'static str]) => name;
        deserialize_newtype_struct(name: &'static str) => name;
        deserialize_tuple_struct(name: &'static str, _len: usize) => name;
        deserialize_unit_struct(name: &'static str) => name;
        deserialize_seq() => "seq";
        deserialize_map() => "map";
        deserialize_tuple(_len: usize) => "tuple";
        deserialize_option() => "option";
        deserialize_any() => "value";
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit identifier
        ignored_any
    }

    fn is_human_readable(&self) -> bool {
        // As Postcard is, for types that write themselves differently for people.
        false
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Name {}

impl ::serde::de::Error for Name {
    fn custom<M: fmt::Display>(_: M) -> Name {
        Name("value")
    }
}

#[cfg(test)]
mod tests;
