//! Text to stored bytes (TY1, TY3): what [`super::decode`] prints is read back.

use super::number::with_number;
use super::{Misfit, Role, Type};
use crate::text;
use aquifer_codec::{EncodeError, Key, Value};
use serde_json::Value as Json;

/// Encodes `$value` in `$role`'s inner encoding.
macro_rules! inner {
    ($type:ty, $value:expr, $role:expr, $out:expr) => {
        match $role {
            Role::Key => {
                <$type as Key>::encode_inner($value, $out);
                Ok(())
            }
            Role::Value => {
                <$type as Value>::encode_inner($value, $out).map_err(|error: EncodeError| error.reason)
            }
        }
    };
}

impl Type {
    /// The stored bytes of `given`, a command line's or an input's text; taken literally with `literal`.
    ///
    /// # Errors
    ///
    /// [`Misfit`] if the text is no value of the type.
    pub fn encode(&self, role: Role, given: &[u8], literal: bool) -> Result<Vec<u8>, Misfit> {
        self.try_encode(role, given, literal).map_err(|reason| self.misfit(role, given, reason))
    }

    /// The first bytes of every key that begins with `given`: a string's first characters, or a tuple's first
    /// elements as a JSON array.
    ///
    /// # Errors
    ///
    /// [`Misfit`] if that cannot be said of the type.
    pub fn encode_prefix(&self, given: &[u8], literal: bool) -> Result<Vec<u8>, Misfit> {
        let bytes = match self {
            _ if !literal && given.starts_with(b"0x") => {
                text::parse(given).map_err(|error| error.to_string())
            }
            plain if plain.is_plain() => Ok(given.to_vec()),
            Type::Tuple(items) => leading(items, given),
            _ => Err("only strings, byte strings and tuples have prefixes; use --from and --to".into()),
        };
        bytes.map_err(|reason| self.misfit(Role::Key, given, reason))
    }

    fn try_encode(&self, role: Role, given: &[u8], literal: bool) -> Result<Vec<u8>, String> {
        if !literal && given.starts_with(b"0x") {
            let bytes = text::parse(given).map_err(|error| error.to_string())?;
            self.decode(role, &bytes).map_err(|error| error.to_string())?;
            return Ok(bytes);
        }
        let mut out = Vec::new();
        match self {
            Type::Bytes => out.extend_from_slice(given),
            Type::Opaque(_) => return Err("write it as bytes, 0x…".into()),
            _ => self.encode_whole(role, &self.read(given)?, &mut out)?,
        }
        Ok(out)
    }

    /// Text as the JSON that [`Type::decode`] would give.
    fn read(&self, given: &[u8]) -> Result<Json, String> {
        if let Type::ByteArray(_) = self {
            return Ok(text::Form::Whole.print(given).into());
        }
        let given = std::str::from_utf8(given).map_err(|error| error.to_string())?;
        match self {
            Type::Str | Type::Char | Type::Number(_) => Ok(given.into()),
            _ => serde_json::from_str(given).map_err(|error| error.to_string()),
        }
    }

    /// Appends a value that ends with the bytes.
    fn encode_whole(&self, role: Role, value: &Json, out: &mut Vec<u8>) -> Result<(), String> {
        match (self, value) {
            (Type::Bytes, Json::String(text)) => {
                out.extend_from_slice(&text::parse(text.as_bytes()).map_err(|error| error.to_string())?);
            }
            (Type::Str, Json::String(text)) => out.extend_from_slice(text.as_bytes()),
            (Type::Tuple(items), Json::Array(values)) if items.len() == values.len() => {
                for (place, (item, value)) in items.iter().zip(values).enumerate() {
                    if place + 1 == items.len() {
                        item.encode_whole(role, value, out)?;
                    } else {
                        item.encode_inner(role, value, out)?;
                    }
                }
            }
            _ => self.encode_inner(role, value, out)?,
        }
        Ok(())
    }

    /// Appends a value that something may follow.
    fn encode_inner(&self, role: Role, value: &Json, out: &mut Vec<u8>) -> Result<(), String> {
        match (self, value) {
            (Type::Bytes, Json::String(text)) => {
                let bytes = text::parse(text.as_bytes()).map_err(|error| error.to_string())?;
                inner!([u8], &bytes[..], role, out)
            }
            (Type::Str, Json::String(text)) => inner!(str, text.as_str(), role, out),
            (Type::Bool, Json::Bool(is)) => inner!(bool, is, role, out),
            (Type::Unit, Json::Null) => inner!((), &(), role, out),
            (Type::Char, Json::String(text)) => {
                let mut characters = text.chars();
                match (characters.next(), characters.next()) {
                    (Some(one), None) => inner!(char, &one, role, out),
                    _ => Err("it is one character".into()),
                }
            }
            (Type::Number(number), Json::Number(_) | Json::String(_)) => {
                let digits = match value {
                    Json::String(text) => text.clone(),
                    other => other.to_string(),
                };
                with_number!(*number, T => {
                    let parsed: T = digits.parse().map_err(|error| format!("{digits}: {error}"))?;
                    inner!(T, &parsed, role, out)
                })
            }
            (Type::ByteArray(len), Json::String(text)) => {
                let bytes = text::parse(text.as_bytes()).map_err(|error| error.to_string())?;
                if bytes.len() != *len {
                    return Err(format!("there are {} bytes", bytes.len()));
                }
                bytes.iter().try_for_each(|byte| inner!(u8, byte, role, out))
            }
            (Type::Tuple(items), Json::Array(values)) if items.len() == values.len() => {
                items.iter().zip(values).try_for_each(|(item, value)| item.encode_inner(role, value, out))
            }
            (Type::Array(item, len), Json::Array(values)) if *len == values.len() => {
                values.iter().try_for_each(|value| item.encode_inner(role, value, out))
            }
            (Type::Optional(_), Json::Null) => inner!(Option<()>, &None, role, out),
            (Type::Optional(item), Json::Array(values)) if item.may_be_null() && values.len() == 1 => {
                inner!(Option<()>, &Some(()), role, out)?;
                item.encode_inner(role, &values[0], out)
            }
            (Type::Optional(item), value) if !item.may_be_null() => {
                inner!(Option<()>, &Some(()), role, out)?;
                item.encode_inner(role, value, out)
            }
            _ => Err(format!("{value} is no {self}")),
        }
    }

    fn misfit(&self, role: Role, given: &[u8], reason: String) -> Misfit {
        const SHOWN: usize = 60;
        let mut text = String::from_utf8_lossy(&given[..given.len().min(SHOWN)]).into_owned();
        text.retain(|c| !c.is_control());
        if given.len() > SHOWN {
            text.push('…');
        }
        Misfit { text, role: role.name(), type_name: self.to_string(), reason }
    }
}

/// The encoding of a tuple's first elements, which is a prefix of every tuple that begins with them.
fn leading(items: &[Type], given: &[u8]) -> Result<Vec<u8>, String> {
    let values: Vec<Json> = serde_json::from_slice(given).map_err(|error| error.to_string())?;
    if values.len() >= items.len() {
        return Err(format!("a prefix has fewer elements than the {} of the key", items.len()));
    }
    let mut out = Vec::new();
    for (item, value) in items.iter().zip(&values) {
        item.encode_inner(Role::Key, value, &mut out)?;
    }
    Ok(out)
}
