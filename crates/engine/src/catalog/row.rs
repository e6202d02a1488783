//! The rows of the catalog, FROZEN at version 1.
//!
//! ```text
//! key 00                 value: next table id u32 (little-endian)
//! key 01, id u32 (big-endian)
//!   value: version u8 = 1 | state u8: 0 live, 1 dropping | root page u32 (little-endian)
//!        | varint length, name | options
//! key 02 …                 a tree beside the tables': see `detached`
//! options: flags u8: bit 0 logged, bit 1 hashed, bit 2 expiring | seed u64 of the hash function (little-endian), if hashed
//!        | varint milliseconds after which records expire unless told otherwise, 0 never, if expiring
//!        | varint length, name of the key type | name of the value type, to the end
//! ```
//!
//! Options are also what a CREATE of the log has beside the name.

use super::{CATALOG_ID, detached};
use crate::error::{Error, Result};
use crate::expiry::Lifetime;
use crate::index::IndexKind;
use aquifer_buffer::PageId;
use aquifer_codec::varint;

/// Longest name of a table, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Longest name of a key or value type, in bytes.
const TYPE_BYTES_MAX: usize = 256;

pub(super) const NEXT_ID_KEY: &[u8] = &[0];
const ROW_KIND: u8 = 1;
const ROW_VERSION: u8 = 1;
pub(super) const LIVE: u8 = 0;
pub(super) const DROPPING: u8 = 1;
const LOGGED_FLAG: u8 = 1;
const HASHED_FLAG: u8 = 2;
const EXPIRING_FLAG: u8 = 4;

/// What is fixed when a table is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) name: String,
    pub(crate) kind: IndexKind,
    pub(crate) logged: bool,
    pub(crate) key_type: String,
    pub(crate) value_type: String,
    /// What records get that are put without an expiry, if they may have one at all.
    pub(crate) lifetime: Option<Lifetime>,
}

impl Description {
    /// Are its names as they may be?
    ///
    /// # Errors
    ///
    /// `Usage`, with what is wrong.
    pub(super) fn check(&self) -> Result<()> {
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX {
            return Err(Error::usage(format!(
                "a table's name has 1 to {NAME_BYTES_MAX} bytes, not {}",
                self.name.len()
            )));
        }
        let long = [&self.key_type, &self.value_type].into_iter().find(|name| name.len() > TYPE_BYTES_MAX);
        match long {
            Some(name) => {
                Err(Error::usage(format!("the type name {name:.40}… is longer than {TYPE_BYTES_MAX} bytes")))
            }
            None => Ok(()),
        }
    }
}

/// A row of the catalog, read by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Row {
    NextId(u32),
    Table { id: u32, live: bool, root: PageId, description: Description },
    Detached { root: PageId, table: u32 },
}

impl Row {
    /// Takes a record of the catalog's tree for a row.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn read(key: &[u8], value: &[u8]) -> std::result::Result<Row, &'static str> {
        if key == NEXT_ID_KEY {
            let id = value.try_into().map_err(|_| "the next table id is not four bytes")?;
            return Ok(Row::NextId(u32::from_le_bytes(id)));
        }
        if let Some((&detached::DETACHED_KIND, root)) = key.split_first() {
            let (root, table) = detached::read(root, value)?;
            return Ok(Row::Detached { root, table });
        }
        let Some((&ROW_KIND, id)) = key.split_first() else { return Err("a row's key is of no known kind") };
        let id = u32::from_be_bytes(id.try_into().map_err(|_| "a table id is not four bytes")?);
        if id == CATALOG_ID {
            return Err("a table id was never given out");
        }
        let (state, root, description) = decode_row(value)?;
        match state {
            LIVE | DROPPING => Ok(Row::Table { id, live: state == LIVE, root, description }),
            _ => Err("a table's state is unknown"),
        }
    }
}

impl Description {
    /// What a CREATE of the log says.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn of_log(name: &[u8], options: &[u8]) -> std::result::Result<Description, &'static str> {
        let name = std::str::from_utf8(name).map_err(|_| "its name is not text")?;
        decode_options(name, options)
    }
}

/// The key of a table's row.
pub(super) fn row_key(id: u32) -> [u8; 5] {
    let mut key = [ROW_KIND; 5];
    key[1..].copy_from_slice(&id.to_be_bytes());
    key
}

const ROOT_AT: usize = 2;
const NAME_AT: usize = 6;

pub(crate) fn encode_row(state: u8, root: PageId, description: &Description) -> Vec<u8> {
    let mut row = vec![ROW_VERSION, state];
    row.extend_from_slice(&root.0.to_le_bytes());
    debug_assert_eq!(row.len(), NAME_AT);
    varint::put(&mut row, description.name.len() as u64);
    row.extend_from_slice(description.name.as_bytes());
    row.extend_from_slice(&encode_options(description));
    row
}

/// Sets the root in a row that was encoded without.
pub(super) fn set_row_root(row: &mut [u8], root: PageId) {
    row[ROOT_AT..NAME_AT].copy_from_slice(&root.0.to_le_bytes());
}

pub(crate) fn decode_row(row: &[u8]) -> std::result::Result<(u8, PageId, Description), &'static str> {
    let (fixed, rest) = row.split_at_checked(NAME_AT).ok_or("a row is cut short")?;
    if fixed[0] != ROW_VERSION {
        return Err("a row is of a newer version");
    }
    let root = PageId(u32::from_le_bytes(fixed[ROOT_AT..].try_into().expect("four bytes")));
    let (name, options) = split_text(rest)?;
    Ok((fixed[1], root, decode_options(name, options)?))
}

pub(crate) fn encode_options(description: &Description) -> Vec<u8> {
    let mut out = vec![if description.logged { LOGGED_FLAG } else { 0 }];
    if let IndexKind::Hashed { seed } = description.kind {
        out[0] |= HASHED_FLAG;
        out.extend_from_slice(&seed.to_le_bytes());
    }
    if let Some(lifetime) = description.lifetime {
        out[0] |= EXPIRING_FLAG;
        varint::put(&mut out, lifetime.ms);
    }
    varint::put(&mut out, description.key_type.len() as u64);
    out.extend_from_slice(description.key_type.as_bytes());
    out.extend_from_slice(description.value_type.as_bytes());
    out
}

fn decode_options(name: &str, options: &[u8]) -> std::result::Result<Description, &'static str> {
    let (&flags, mut rest) = options.split_first().ok_or("its options are cut short")?;
    if flags & !(LOGGED_FLAG | HASHED_FLAG | EXPIRING_FLAG) != 0 {
        return Err("its options are of a newer version");
    }
    let mut kind = IndexKind::Sorted;
    if flags & HASHED_FLAG != 0 {
        let (seed, behind) = rest.split_first_chunk::<8>().ok_or("its options are cut short")?;
        kind = IndexKind::Hashed { seed: u64::from_le_bytes(*seed) };
        rest = behind;
    }
    let mut lifetime = None;
    if flags & EXPIRING_FLAG != 0 {
        let (ms, ms_bytes) = varint::get(rest).ok_or("its lifetime is malformed")?;
        lifetime = Some(Lifetime { ms });
        rest = &rest[ms_bytes..];
    }
    let (key_type, value_type) = split_text(rest)?;
    let value_type = std::str::from_utf8(value_type).map_err(|_| "a type's name is not text")?;
    Ok(Description {
        name: name.into(),
        kind,
        logged: flags & LOGGED_FLAG != 0,
        key_type: key_type.into(),
        value_type: value_type.into(),
        lifetime,
    })
}

/// Takes a length and that much text off the front.
fn split_text(bytes: &[u8]) -> std::result::Result<(&str, &[u8]), &'static str> {
    let (len, len_bytes) = varint::get(bytes).ok_or("a length is malformed")?;
    let len = usize::try_from(len).map_err(|_| "a length is beyond the row")?;
    let (text, rest) = bytes[len_bytes..].split_at_checked(len).ok_or("a length is beyond the row")?;
    Ok((std::str::from_utf8(text).map_err(|_| "a name is not text")?, rest))
}

#[cfg(all(test, not(loom)))]
mod tests;
