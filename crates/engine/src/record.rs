//! What a log record holds: one commit, or a mark of the engine's own.
//!
//! The log frames a record (its length and place); this is what lies inside. FROZEN at version 1 of the log:
//!
//! ```text
//! record:     kind u8 | body
//! kind:       1 COMMIT | 2 CHECKPOINT | 3 ABORTED | 4 ATTACHING COMMIT
//! COMMIT:     varint entries | entry*                         4 if one of them is an ATTACH, else 1
//! entry:      varint (table - table of the previous entry) << 3 | op
//!             [varint bytes shared with the previous key]      absent while the previous key is empty
//!             varint length of the rest of the key | rest of the key
//!             body of the op
//! op:         0 PUT     [varint length] value                   the last entry's value runs to the end of the record
//!             1 PATCH   varint ranges | (varint gap since the end of the range before | varint length | bytes)*
//!             2 DELETE
//!             3 CREATE  the key is the table's name | table row as in the catalog, without its root, to the end
//!             4 DROP    the key is empty
//!             5 ATTACH  varint length, descriptor of a large value | varint length, manifest of its new pages
//!             6 RANGE DELETE  the key is the first to go | varint 0: no end, else 1 + length of the end | end: the first to stay
//!             7 ADOPT   the key is empty | varint root page of the tree of records that were loaded
//! CHECKPOINT: varint generation    the checkpoint of this generation is durable
//! ABORTED:    zeros                a place that was reserved and not used, or used by a commit to tables without a log
//! ```
//!
//! Tables begin at 0 and rise; entries are in order of table and key. Varints are those of `aquifer_codec`: the shortest
//! form is the only one.
//!
//! # Invariants
//!
//! - **R1** Decoding is total: any bytes give entries or an error, in time and memory linear in their length.
//! - **R2** No field that a reader can derive is stored.
//! - **R3** A PATCH applies to a value of the length that it had: replay begins at an exact state and applies every record
//!   once, in order per key. One that does not fit is corruption.
//! - **R4** A record says in its first byte whether it attaches pages: recovery reserves them before it replays anything, and
//!   so looks at no more than that of the others.

use aquifer_codec::varint;

const COMMIT: u8 = 1;
const CHECKPOINT: u8 = 2;
const ABORTED: u8 = 3;
const ATTACHING_COMMIT: u8 = 4;

/// The record of a commit that logs nothing: it has a place in the order all the same.
pub(crate) const NOTHING: &[u8] = &[ABORTED];

const PUT: u64 = 0;
const PATCH: u64 = 1;
const DELETE: u64 = 2;
const CREATE: u64 = 3;
const DROP: u64 = 4;
const ATTACH: u64 = 5;
const RANGE_DELETE: u64 = 6;
const ADOPT: u64 = 7;
const OP_BITS: u32 = 3;

/// No key of any page size is longer.
const KEY_BYTES_MAX: usize = 64 << 10;

/// Writes the entries of one commit.
#[derive(Debug)]
pub(crate) struct CommitWriter<'o, 'k> {
    out: &'o mut Vec<u8>,
    /// Where the record begins.
    start: usize,
    table: u32,
    previous: &'k [u8],
    left: usize,
}

impl<'o, 'k> CommitWriter<'o, 'k> {
    /// Begins a commit of so many entries, appended to `out`.
    pub(crate) fn new(out: &'o mut Vec<u8>, entries: usize) -> Self {
        let start = out.len();
        out.push(COMMIT);
        varint::put(out, entries as u64);
        CommitWriter { out, start, table: 0, previous: &[], left: entries }
    }

    /// A key gets this value.
    pub(crate) fn put(&mut self, table: u32, key: &'k [u8], value: &[u8]) {
        self.head(PUT, table, key);
        if self.left > 0 {
            varint::put(self.out, value.len() as u64);
        }
        self.out.extend_from_slice(value);
    }

    /// A key's value changes to `value` in `ranges`.
    pub(crate) fn patch(&mut self, table: u32, key: &'k [u8], ranges: &Ranges, value: &[u8]) {
        self.head(PATCH, table, key);
        varint::put(self.out, ranges.as_slice().len() as u64);
        let mut end = 0;
        for range in ranges.as_slice() {
            varint::put(self.out, (range.start - end) as u64);
            varint::put(self.out, (range.end - range.start) as u64);
            self.out.extend_from_slice(&value[range.start..range.end]);
            end = range.end;
        }
    }

    /// A key gets a large value.
    pub(crate) fn attach(&mut self, table: u32, key: &'k [u8], descriptor: &[u8], manifest: &[u8]) {
        self.head(ATTACH, table, key);
        self.out[self.start] = ATTACHING_COMMIT; // R4
        for bytes in [descriptor, manifest] {
            varint::put(self.out, bytes.len() as u64);
            self.out.extend_from_slice(bytes);
        }
    }

    /// A key goes.
    pub(crate) fn delete(&mut self, table: u32, key: &'k [u8]) {
        self.head(DELETE, table, key);
    }

    /// A table is made. The last entry of its commit.
    pub(crate) fn create(mut self, table: u32, name: &'k str, row: &[u8]) {
        self.head(CREATE, table, name.as_bytes());
        assert_eq!(self.left, 0, "a table's row runs to the end of the record");
        self.out.extend_from_slice(row);
    }

    /// A table goes.
    pub(crate) fn drop_table(mut self, table: u32) {
        self.head(DROP, table, &[]);
    }

    /// All keys from `low` on go, those below `high` if there is one.
    pub(crate) fn range_delete(&mut self, table: u32, low: &'k [u8], high: Option<&[u8]>) {
        self.head(RANGE_DELETE, table, low);
        varint::put(self.out, high.map_or(0, |high| 1 + high.len() as u64));
        self.out.extend_from_slice(high.unwrap_or_default());
    }

    /// The tree at this root takes the place of a table's.
    pub(crate) fn adopt(mut self, table: u32, root: u32) {
        self.head(ADOPT, table, &[]);
        varint::put(self.out, u64::from(root));
    }

    fn head(&mut self, op: u64, table: u32, key: &'k [u8]) {
        debug_assert!(table >= self.table && self.left > 0);
        varint::put(self.out, u64::from(table - self.table) << OP_BITS | op);
        let shared = self.previous.iter().zip(key).take_while(|(a, b)| a == b).count();
        if !self.previous.is_empty() {
            varint::put(self.out, shared as u64);
        }
        varint::put(self.out, (key.len() - shared) as u64);
        self.out.extend_from_slice(&key[shared..]);
        self.table = table;
        self.previous = key;
        self.left -= 1;
    }
}

/// The record that says that the checkpoint of this generation is durable.
pub(crate) fn checkpoint(generation: u64) -> Vec<u8> {
    let mut out = vec![CHECKPOINT];
    varint::put(&mut out, generation);
    out
}

/// What fills a place of `len` bytes that was reserved and not used.
pub(crate) fn aborted(len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    out[0] = ABORTED;
    out
}

/// A stretch of a value that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ChangedRange {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

const RANGES_MAX: usize = 8;

/// Where two values of one length differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ranges {
    ranges: [ChangedRange; RANGES_MAX],
    count: usize,
}

impl Ranges {
    pub(crate) fn as_slice(&self) -> &[ChangedRange] {
        &self.ranges[..self.count]
    }
}

/// Values below this are logged whole: the ranges would cost as much as they save.
pub(crate) const PATCHED_VALUE_BYTES_MIN: usize = 32;

/// What changed from `old` to `new`, if that is worth a PATCH: equal lengths, few ranges, at most half of the bytes.
/// O(length).
pub(crate) fn changed_ranges(old: &[u8], new: &[u8]) -> Option<Ranges> {
    // Two ranges nearer than this are cheaper as one.
    const GAP: usize = 4;
    let len = new.len();
    if old.len() != len || len < PATCHED_VALUE_BYTES_MIN {
        return None;
    }
    // Most overwrites change everything: find that out by words, before looking at bytes.
    let words =
        |bytes: &'_ [u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let word_starts = || (0..len / 8).map(|word| word * 8);
    let differing = word_starts().filter(|&at| words(old, at) != words(new, at)).count();
    if differing * 8 * 2 > len {
        return None;
    }
    let mut found = Ranges::default();
    let mut at = 0;
    while let Some(start) = first_difference(old, new, at) {
        let mut end = start + 1;
        let mut look = end;
        while look < len && look - end < GAP {
            if old[look] != new[look] {
                end = look + 1;
            }
            look += 1;
        }
        if found.count == RANGES_MAX {
            return None;
        }
        found.ranges[found.count] = ChangedRange { start, end };
        found.count += 1;
        at = end;
    }
    Some(found)
}

fn first_difference(old: &[u8], new: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while at + 8 <= new.len() && old[at..at + 8] == new[at..at + 8] {
        at += 8;
    }
    (at..new.len()).find(|&at| old[at] != new[at])
}

/// Does this record attach pages (R4)?
pub(crate) fn attaches(record: &[u8]) -> bool {
    record.first() == Some(&ATTACHING_COMMIT)
}

/// A record, read.
#[derive(Debug)]
pub(crate) enum Record<'r> {
    Commit(Entries<'r>),
    Checkpoint { generation: u64 },
    Aborted,
}

/// Bytes that are no record: what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// The entries of a commit, read one after the other.
#[derive(Debug)]
pub(crate) struct Entries<'r> {
    rest: &'r [u8],
    left: u64,
    table: u32,
    key: Vec<u8>,
    attaching: bool,
}

/// One change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<'e> {
    pub(crate) table: u32,
    pub(crate) key: &'e [u8],
    pub(crate) op: Op<'e>,
}

/// What happens to the key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Op<'e> {
    Put(&'e [u8]),
    Patch(Patch<'e>),
    Delete,
    /// The key gets a large value.
    Attach {
        descriptor: &'e [u8],
        manifest: &'e [u8],
    },
    /// A table of this name is made.
    Create {
        row: &'e [u8],
    },
    Drop,
    /// The keys from this one on, and below `high`, go.
    RangeDelete {
        high: Option<&'e [u8]>,
    },
    /// The tree of loaded records at this root takes the place of the table's.
    Adopt {
        root: u32,
    },
}

/// The ranges of a PATCH, checked to be whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patch<'e> {
    ranges: &'e [u8],
    count: u64,
}

impl Record<'_> {
    /// Reads a record's first byte, and all of one that is no commit (R1).
    pub(crate) fn decode(bytes: &[u8]) -> Result<Record<'_>, Malformed> {
        let (&kind, mut rest) = bytes.split_first().ok_or(Malformed("the record is empty"))?;
        match kind {
            COMMIT | ATTACHING_COMMIT => {
                let (left, attaching) = (number(&mut rest)?, kind == ATTACHING_COMMIT);
                Ok(Record::Commit(Entries { rest, left, table: 0, key: Vec::new(), attaching }))
            }
            CHECKPOINT => Ok(Record::Checkpoint { generation: only_number(rest)? }),
            ABORTED => Ok(Record::Aborted),
            _ => Err(Malformed("the record's kind is unknown; a newer version may have written it")),
        }
    }
}

impl Entries<'_> {
    /// The next entry.
    pub(crate) fn next(&mut self) -> Result<Option<Entry<'_>>, Malformed> {
        if self.left == 0 {
            return if self.rest.is_empty() {
                Ok(None)
            } else {
                Err(Malformed("bytes follow the last entry"))
            };
        }
        self.left -= 1;
        let head = number(&mut self.rest)?;
        let table = u32::try_from(head >> OP_BITS).ok().and_then(|delta| self.table.checked_add(delta));
        self.table = table.ok_or(Malformed("a table id is beyond 32 bits"))?;
        let shared = if self.key.is_empty() { 0 } else { length(&mut self.rest)? };
        if shared > self.key.len() {
            return Err(Malformed("a key shares more with the previous one than that has"));
        }
        let suffix = with_length(&mut self.rest)?;
        if shared + suffix.len() > KEY_BYTES_MAX {
            return Err(Malformed("a key is longer than any page allows"));
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(suffix);
        let op = match head & ((1 << OP_BITS) - 1) {
            PUT if self.left == 0 => Op::Put(std::mem::take(&mut self.rest)),
            PUT => Op::Put(with_length(&mut self.rest)?),
            PATCH => Op::Patch(Patch::split(&mut self.rest)?),
            DELETE => Op::Delete,
            CREATE if self.left == 0 => Op::Create { row: std::mem::take(&mut self.rest) },
            CREATE => return Err(Malformed("a table is made before the last entry")),
            DROP => Op::Drop,
            ATTACH if !self.attaching => {
                return Err(Malformed("pages are attached by a record that does not say so"));
            }
            ATTACH => Op::Attach {
                descriptor: with_length(&mut self.rest)?,
                manifest: with_length(&mut self.rest)?,
            },
            RANGE_DELETE => Op::RangeDelete { high: optional_key(&mut self.rest)? },
            ADOPT => {
                let root = u32::try_from(number(&mut self.rest)?);
                Op::Adopt { root: root.map_err(|_| Malformed("a page id is beyond 32 bits"))? }
            }
            _ => return Err(Malformed("an entry's operation is unknown")),
        };
        Ok(Some(Entry { table: self.table, key: &self.key, op }))
    }
}

impl<'e> Patch<'e> {
    fn split(rest: &mut &'e [u8]) -> Result<Patch<'e>, Malformed> {
        let count = number(rest)?;
        let all = *rest;
        for _ in 0..count {
            length(rest)?;
            with_length(rest)?;
        }
        Ok(Patch { ranges: &all[..all.len() - rest.len()], count })
    }

    /// Where each range begins, and its bytes.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (usize, &'e [u8])> + use<'e> {
        let mut rest = self.ranges;
        let mut at = 0usize;
        (0..self.count).map_while(move |_| {
            let gap = length(&mut rest).ok()?;
            let bytes = with_length(&mut rest).ok()?;
            let start = at.saturating_add(gap);
            at = start.saturating_add(bytes.len());
            Some((start, bytes))
        })
    }

    /// Changes the value; `false`, and nothing more is changed, where a range does not fit (R3).
    pub(crate) fn apply(&self, value: &mut [u8]) -> bool {
        self.ranges().all(|(start, bytes)| {
            let end = start.saturating_add(bytes.len());
            value.get_mut(start..end).map(|range| range.copy_from_slice(bytes)).is_some()
        })
    }
}

fn number(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let (number, len) = varint::get(rest).ok_or(Malformed("a number is cut short or malformed"))?;
    *rest = &rest[len..];
    Ok(number)
}

fn only_number(mut rest: &[u8]) -> Result<u64, Malformed> {
    let number = number(&mut rest)?;
    if rest.is_empty() { Ok(number) } else { Err(Malformed("bytes follow the record's number")) }
}

fn length(rest: &mut &[u8]) -> Result<usize, Malformed> {
    usize::try_from(number(rest)?).map_err(|_| Malformed("a length is beyond the address space"))
}

/// A key, or none: one more than its length, or 0.
fn optional_key<'e>(rest: &mut &'e [u8]) -> Result<Option<&'e [u8]>, Malformed> {
    let Some(len) = length(rest)?.checked_sub(1) else { return Ok(None) };
    if len > KEY_BYTES_MAX {
        return Err(Malformed("a key is longer than any page allows"));
    }
    let (key, after) = rest.split_at_checked(len).ok_or(Malformed("a length is beyond the record's end"))?;
    *rest = after;
    Ok(Some(key))
}

fn with_length<'e>(rest: &mut &'e [u8]) -> Result<&'e [u8], Malformed> {
    let len = length(rest)?;
    let (bytes, after) =
        rest.split_at_checked(len).ok_or(Malformed("a length is beyond the record's end"))?;
    *rest = after;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
