//! Lines of fields with a tab between them.
//!
//! The key is one column, the first unless told; the value is the rest of the line: the other columns with
//! the tabs between them. Bytes are taken as they are: there is no quoting, no escape, no character set.

use super::lines::Lines;
use super::{Fault, InputError, Record, Records};

/// Reads tab-separated lines.
pub struct Tsv {
    lines: Lines,
    /// The key's column, from 1.
    key: usize,
    keys_only: bool,
}

impl Tsv {
    /// Records of `lines` whose key is column `key`, from 1; or the whole line, with `keys_only`.
    pub fn new(lines: Lines, key: usize, keys_only: bool) -> Self {
        assert!(key > 0, "columns count from 1");
        Self { lines, key, keys_only }
    }
}

impl Records for Tsv {
    fn next(&mut self, record: &mut Record) -> Result<bool, InputError> {
        let Some((line, text)) = self.lines.next()? else {
            return Ok(false);
        };
        record.line = line;
        record.key.clear();
        record.value.clear();
        if self.keys_only {
            record.key.extend_from_slice(text);
            return Ok(true);
        }
        split(text, self.key, record).map_err(|fault| InputError { line, fault })?;
        Ok(true)
    }
}

/// Takes column `key` out of `text`.
fn split(text: &[u8], key: usize, record: &mut Record) -> Result<(), Fault> {
    if !text.contains(&b'\t') {
        return Err(Fault::NoTab);
    }
    let mut start = 0;
    for column in 1..=key {
        let end = text[start..].iter().position(|&byte| byte == b'\t').map(|tab| start + tab);
        if column == key {
            record.key.extend_from_slice(&text[start..end.unwrap_or(text.len())]);
            // The tab that goes with the key is the one behind it, or before it where it is the last.
            let (before, after) = match end {
                Some(end) => (start, end + 1),
                None => (start.saturating_sub(1), text.len()),
            };
            record.value.extend_from_slice(&text[..before]);
            record.value.extend_from_slice(&text[after..]);
            return Ok(());
        }
        start = end.ok_or(Fault::TooFewColumns { found: column, key })? + 1;
    }
    unreachable!("columns count from 1, so the loop reaches the key");
}

#[cfg(test)]
mod tests;
