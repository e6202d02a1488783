//! JSON objects, one a line.
//!
//! The key is a field: a string gives its characters, a number its digits as written. The value is the whole
//! object, the line's own bytes. Every line is checked to be one JSON object in full. Where a field occurs
//! twice, the last counts. A byte order mark before the first line is dropped.

use super::lines::Lines;
use super::{Fault, InputError, Record, Records};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads lines of JSON.
pub struct Jsonl {
    lines: Lines,
    /// The field that is the key.
    field: String,
}

impl Jsonl {
    /// Records of `lines` whose key is `field`.
    pub fn new(lines: Lines, field: String) -> Self {
        Self { lines, field }
    }
}

impl Records for Jsonl {
    fn next(&mut self, record: &mut Record) -> Result<bool, InputError> {
        loop {
            let Some((line, mut text)) = self.lines.next()? else {
                return Ok(false);
            };
            if line == 1 {
                text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
            }
            let text = text.trim_ascii();
            if text.is_empty() {
                continue;
            }
            record.line = line;
            record.key.clear();
            record.value.clear();
            record.value.extend_from_slice(text);
            key(text, &self.field, &mut record.key).map_err(|fault| InputError { line, fault })?;
            return Ok(true);
        }
    }
}

/// Appends the key that the object in `text` has in `field`.
fn key(text: &[u8], field: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    let not_an_object = |error: serde_json::Error| Fault::NotAnObject { reason: reason(&error) };
    // The parser does not look into the strings that it passes over, so their UTF-8 is checked here.
    let text = std::str::from_utf8(text).map_err(|error| Fault::NotAnObject { reason: error.to_string() })?;
    let mut parser = serde_json::Deserializer::from_str(text);
    let raw = parser.deserialize_map(FieldOf(field)).map_err(not_an_object)?;
    parser.end().map_err(not_an_object)?;
    let raw = raw.ok_or_else(|| Fault::NoField { field: field.into() })?.get();
    let kind = match raw.as_bytes()[0] {
        b'"' => {
            let text: String = serde_json::from_str(raw).map_err(not_an_object)?;
            out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        b'-' | b'0'..=b'9' => {
            out.extend_from_slice(raw.as_bytes());
            return Ok(());
        }
        b'n' => "null",
        b'[' => "an array",
        b'{' => "an object",
        _ => "true or false",
    };
    Err(Fault::FieldKind { field: field.into(), kind })
}

/// What the parser says, with the column; its line is that of the text it saw, always 1, and would mislead.
fn reason(error: &serde_json::Error) -> String {
    let whole = error.to_string();
    let said = whole.rfind(" at line ").map_or(whole.as_str(), |end| &whole[..end]);
    if error.column() > 0 { format!("{said}, at column {}", error.column()) } else { said.to_owned() }
}

/// Picks one field out of an object without building the rest.
struct FieldOf<'f>(&'f str);

impl<'de> Visitor<'de> for FieldOf<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            if name == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
