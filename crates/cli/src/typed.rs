//! Typed tables on the command line: the catalog's type names as a structure that can be walked.
//!
//! A table remembers the names of its key's and value's types, such as `(u32, str)`. From a name this module
//! builds a [`Type`] and with it turns stored bytes into JSON and text into stored bytes.
//!
//! # Rules
//!
//! - **TY1** The encodings themselves are those of `aquifer_codec`, called for every element; none is written
//!   down here a second time.
//! - **TY2** A name that this module does not know, such as a program's own type, is [`Type::Opaque`]: its bytes
//!   are shown as bytes, and only bytes are written.
//! - **TY3** Text that begins with `0x` names stored bytes in every type; they are refused unless they decode.
//! - **TY4** A type has at most [`ELEMENTS_MAX`] elements and [`DEPTH_MAX`] levels, whatever the catalog says, so
//!   walking it ends.

mod decode;
mod encode;
mod number;

pub use number::Number;

/// The most elements of a type, all arrays unrolled.
const ELEMENTS_MAX: u64 = 1 << 16;
/// The most levels of a type.
const DEPTH_MAX: u32 = 16;

/// Whether bytes are a table's key or its value: the two have different encodings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A key.
    Key,
    /// A value.
    Value,
}

/// The type of a key or value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// `bytes`.
    Bytes,
    /// `str`.
    Str,
    /// An integer or float.
    Number(Number),
    /// `bool`.
    Bool,
    /// `char`.
    Char,
    /// `()`.
    Unit,
    /// `(a, b)`.
    Tuple(Vec<Type>),
    /// `[u8; n]`, shown as bytes.
    ByteArray(usize),
    /// `[a; n]`.
    Array(Box<Type>, usize),
    /// `option<a>`.
    Optional(Box<Type>),
    /// Anything else, by its name.
    Opaque(String),
}

/// Text that is no value of a type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {role} of type {type_name}: {reason}")]
pub struct Misfit {
    /// What was given, shortened if it is long.
    pub text: String,
    /// `key` or `value`.
    pub role: &'static str,
    /// The table's type.
    pub type_name: String,
    /// What does not fit.
    pub reason: String,
}

impl Type {
    /// The type of that name (TY2, TY4).
    pub fn named(name: &str) -> Type {
        let mut rest = name;
        match parse(&mut rest, 0) {
            // A length of `+4` or `04` is nobody's but a program's own.
            Some(found)
                if rest.is_empty() && found.elements() <= ELEMENTS_MAX && found.to_string() == name =>
            {
                found
            }
            _ => Type::Opaque(name.to_owned()),
        }
    }

    /// How many elements decoding one value may visit.
    fn elements(&self) -> u64 {
        match self {
            Type::Tuple(items) => items.iter().map(Type::elements).fold(1, u64::saturating_add),
            Type::Array(item, len) => item.elements().saturating_mul(*len as u64).saturating_add(1),
            Type::Optional(item) => item.elements().saturating_add(1),
            _ => 1,
        }
    }

    /// True for the types whose stored bytes are what the command line shows.
    pub fn is_plain(&self) -> bool {
        matches!(self, Type::Bytes | Type::Str | Type::ByteArray(_) | Type::Opaque(_))
    }

    /// True for the types of which a value is null in JSON.
    fn may_be_null(&self) -> bool {
        matches!(self, Type::Optional(_) | Type::Unit)
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Type::Bytes => f.write_str("bytes"),
            Type::Str => f.write_str("str"),
            Type::Number(number) => f.write_str(number.name()),
            Type::Bool => f.write_str("bool"),
            Type::Char => f.write_str("char"),
            Type::Unit => f.write_str("()"),
            Type::Tuple(items) => {
                let names = items.iter().map(Type::to_string).collect::<Vec<_>>();
                write!(f, "({}{})", names.join(", "), if items.len() == 1 { "," } else { "" })
            }
            Type::ByteArray(len) => write!(f, "[u8; {len}]"),
            Type::Array(item, len) => write!(f, "[{item}; {len}]"),
            Type::Optional(item) => write!(f, "option<{item}>"),
            Type::Opaque(name) => f.write_str(name),
        }
    }
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Key => "key",
            Role::Value => "value",
        }
    }
}

/// Takes a type's name off the front of `rest`.
fn parse(rest: &mut &str, depth: u32) -> Option<Type> {
    if depth >= DEPTH_MAX {
        return None;
    }
    if take(rest, "()") {
        return Some(Type::Unit);
    }
    if take(rest, "(") {
        return parse_tuple(rest, depth);
    }
    if take(rest, "[") {
        let item = parse(rest, depth + 1)?;
        let len = take(rest, "; ").then(|| rest.split_once(']')).flatten()?;
        *rest = len.1;
        let len: u32 = len.0.parse().ok()?;
        let len = len as usize;
        return Some(match item {
            Type::Number(Number::U8) => Type::ByteArray(len),
            item => Type::Array(Box::new(item), len),
        });
    }
    if take(rest, "option<") {
        let item = parse(rest, depth + 1)?;
        return take(rest, ">").then(|| Type::Optional(Box::new(item)));
    }
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    *rest = after;
    Some(match name {
        "bytes" => Type::Bytes,
        "str" => Type::Str,
        "bool" => Type::Bool,
        "char" => Type::Char,
        _ => Type::Number(Number::named(name)?),
    })
}

/// Takes the rest of a tuple's name, behind its opening bracket.
fn parse_tuple(rest: &mut &str, depth: u32) -> Option<Type> {
    let mut items = vec![parse(rest, depth + 1)?];
    if take(rest, ",)") {
        return Some(Type::Tuple(items));
    }
    while take(rest, ", ") {
        items.push(parse(rest, depth + 1)?);
    }
    (items.len() > 1 && take(rest, ")")).then_some(Type::Tuple(items))
}

fn take(rest: &mut &str, token: &str) -> bool {
    match rest.strip_prefix(token) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests;
