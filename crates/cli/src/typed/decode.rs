//! Stored bytes to JSON (TY1).
//!
//! Numbers become JSON numbers where JSON has them and strings otherwise; tuples and arrays become arrays, and
//! `None` and `()` become null, so `Some` of what may be null becomes an array of one. Byte strings become text in
//! the form of [`crate::text`]: text, or `0x` and digits. So does a string that is the whole key or value; inside a
//! tuple, where its type leaves no doubt, it stands as it is.

use super::number::with_number;
use super::{Number, Role, Type};
use crate::text::{Form, hex_into};
use aquifer_codec::{DecodeError, Key, Value};
use serde_json::Value as Json;

/// Decodes a `$type` in `$role`'s encoding, off the front of `$bytes`.
macro_rules! inner {
    ($type:ty, $role:expr, $bytes:expr) => {
        match $role {
            Role::Key => <$type as Key>::decode_inner($bytes),
            Role::Value => <$type as Value>::decode_inner($bytes),
        }
    };
}

impl Type {
    /// Appends what a whole key or value says, as text of a line: strings bare, everything else as JSON.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the bytes are no encoding of the type.
    pub fn print(&self, role: Role, bytes: &[u8], form: Form, out: &mut String) -> Result<(), DecodeError> {
        match self {
            Type::Opaque(_) => hex_into(bytes, out),
            plain if plain.is_plain() => form.print_into(bytes, out),
            _ => self.print_decoded(role, bytes, form, out)?,
        }
        Ok(())
    }

    fn print_decoded(
        &self,
        role: Role,
        bytes: &[u8],
        form: Form,
        out: &mut String,
    ) -> Result<(), DecodeError> {
        match self.decode(role, bytes)? {
            Json::String(text) => form.print_into(text.as_bytes(), out),
            other => out.push_str(&other.to_string()),
        }
        Ok(())
    }

    /// What a whole key or value says.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the bytes are no encoding of the type.
    pub fn decode(&self, role: Role, bytes: &[u8]) -> Result<Json, DecodeError> {
        match self {
            Type::Bytes => Ok(Form::Whole.print(bytes).into()),
            Type::Opaque(_) => {
                let mut digits = String::new();
                hex_into(bytes, &mut digits);
                Ok(digits.into())
            }
            Type::Str => {
                <str as Key>::decode(bytes)?; // both roles store the text itself
                Ok(Form::Whole.print(bytes).into())
            }
            Type::Tuple(items) => {
                let mut rest = bytes;
                let (last, leading) = items.split_last().expect("a tuple has an element");
                let mut values = leading
                    .iter()
                    .map(|item| item.decode_inner(role, &mut rest))
                    .collect::<Result<Vec<_>, _>>()?;
                // Inside a tuple a string needs no `0x` form, so the last one is not treated as the whole.
                values.push(match last {
                    Type::Str => <str as Key>::decode(rest)?.into(),
                    last => last.decode(role, rest)?,
                });
                Ok(Json::Array(values))
            }
            _ => {
                let mut rest = bytes;
                let value = self.decode_inner(role, &mut rest)?;
                if rest.is_empty() {
                    Ok(value)
                } else {
                    Err(DecodeError::Trailing { type_name: self.to_string(), extra: rest.len() })
                }
            }
        }
    }

    /// Takes a key or value that something may follow off the front of `bytes`.
    fn decode_inner(&self, role: Role, bytes: &mut &[u8]) -> Result<Json, DecodeError> {
        Ok(match self {
            Type::Bytes => Form::Whole.print(&inner!([u8], role, bytes)?).into(),
            Type::Str => inner!(str, role, bytes)?.into(),
            Type::Bool => inner!(bool, role, bytes)?.into(),
            Type::Char => inner!(char, role, bytes)?.to_string().into(),
            Type::Unit => {
                inner!((), role, bytes)?;
                Json::Null
            }
            Type::Number(number) => {
                let digits = with_number!(*number, T => inner!(T, role, bytes)?.to_string());
                number_json(*number, digits)
            }
            Type::Tuple(items) => {
                items.iter().map(|item| item.decode_inner(role, bytes)).collect::<Result<Vec<_>, _>>()?.into()
            }
            Type::ByteArray(len) => {
                let mut content = Vec::new();
                for _ in 0..*len {
                    content.push(inner!(u8, role, bytes)?);
                }
                Form::Whole.print(&content).into()
            }
            Type::Array(item, len) => {
                (0..*len).map(|_| item.decode_inner(role, bytes)).collect::<Result<Vec<_>, _>>()?.into()
            }
            Type::Optional(item) => {
                let some = bytes.split_first().map(|(first, rest)| (*first, rest));
                match some {
                    Some((1, rest)) => {
                        *bytes = rest;
                        let value = item.decode_inner(role, bytes)?;
                        if item.may_be_null() { Json::Array(vec![value]) } else { value }
                    }
                    // `None`, or what is neither: the codec says which.
                    _ => {
                        inner!(Option<()>, role, bytes)?;
                        Json::Null
                    }
                }
            }
            Type::Opaque(name) => {
                return Err(DecodeError::invalid(name.clone(), "its encoding is not known here"));
            }
        })
    }
}

/// Digits as a JSON number, or as a string if they are beyond what JSON readers take.
fn number_json(number: Number, digits: String) -> Json {
    let fits = if number.is_float() {
        digits.parse::<f64>().ok().and_then(serde_json::Number::from_f64)
    } else {
        let unsigned = digits.parse::<u64>().ok().map(serde_json::Number::from);
        unsigned.or_else(|| digits.parse::<i64>().ok().map(serde_json::Number::from))
    };
    fits.map_or(Json::String(digits), Json::Number)
}
