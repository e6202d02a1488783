//! What the targets about the pages of an index have in common, whichever index it is.
//!
//! ```text
//! input:  flags u8: bit 0 pages of 64 KiB | pages u8 | page* | operation*
//! page:   first bytes | last bytes (pieces; zeros between them)
//! operation:  kind u8 | length of the key u8 | key | length of the value u16
//! ```
//!
//! Page n of the input is page n of the pager, page 1 is the root. Kind 0 gets, 1 removes, the last one puts; those between are the
//! index's own.

use super::pages;
use crate::source::Source;
use aquifer_buffer::{Mutation, Pager, Result, Retry};
use aquifer_index::PointReads;
use std::collections::BTreeMap;

pub(super) const TABLE: u32 = 7;
/// More records than slots or places on all pages.
pub(super) const STEPS_MAX: usize = 400_000;
const PAGES_MAX: usize = 6;
const OPERATIONS_MAX: usize = 40;

pub(super) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// An index whose pages may be anything.
pub(super) trait IndexPages: PointReads {
    /// Kinds of operations.
    const KINDS: usize;

    /// The index of [`TABLE`] at page 1.
    fn at_first() -> Self;

    /// Longest key and value.
    fn limits(page_bytes: usize) -> (usize, usize);

    /// The records, if the check finds nothing wrong.
    fn check(&self, pager: &Pager) -> Option<Records>;

    /// Reads all records, in every way that there is; nothing if one of them is an error.
    fn read_all(&self, pager: &Pager) -> Option<Records>;

    /// Puts a value.
    fn put(
        &self,
        m: &Mutation<'_>,
        pager: &Pager,
        key: &[u8],
        value: &[u8],
    ) -> std::result::Result<(), Retry>;

    /// Removes a record, if it is there.
    fn remove(&self, m: &Mutation<'_>, pager: &Pager, key: &[u8]) -> std::result::Result<(), Retry>;

    /// Estimates how many records there are.
    fn len_estimate(&self, pager: &Pager) -> Result<u64>;

    /// Loads the pages of some keys.
    fn load(&self, pager: &Pager, keys: &[&[u8]]) -> Result<()>;

    /// A step of taking it apart; whether it is gone.
    fn dismantle(&self, m: &Mutation<'_>, pager: &Pager) -> std::result::Result<bool, Retry>;

    /// An operation of its own, compared with the records of an index that is whole.
    fn operate(&self, _pager: &Pager, _key: &[u8], _whole: Option<&Records>) -> Result<()> {
        unreachable!("it has none")
    }
}

/// Reads, changes and dismantles the index of an input.
pub(super) fn run<I: IndexPages>(input: &[u8]) {
    let mut source = Source::new(input);
    let pager = pages::from_input(&mut source, PAGES_MAX);
    let index = I::at_first();
    let mut model = index.check(&pager);
    read(&index, &pager, model.as_ref());
    let mut operations = 0;
    while !source.is_empty() && operations < OPERATIONS_MAX {
        operate(&index, &pager, &mut source, model.as_mut());
        operations += 1;
    }
    if model.is_some() {
        let after = index.check(&pager).expect("changes of a whole index leave a whole index");
        assert_eq!(Some(&after), model.as_ref());
        read(&index, &pager, Some(&after));
    }
    for _ in 0..1000 {
        match index.dismantle(&pager.enter(), &pager) {
            Ok(false) => {}
            Ok(true) | Err(_) => break,
        }
    }
}

fn read<I: IndexPages>(index: &I, pager: &Pager, model: Option<&Records>) {
    let mut out = Vec::new();
    let found = index.read_all(pager);
    for (key, value) in found.iter().flatten().take(100) {
        let there = index.get_into(pager, key, &mut out);
        if model.is_some() {
            assert!(there.expect("a whole index") && out == *value, "{key:02x?}");
        }
    }
    let estimate = index.len_estimate(pager);
    assert!(model.is_none() || estimate.is_ok());
    let keys: Vec<&[u8]> = found.iter().flatten().map(|(key, _)| key.as_slice()).take(20).collect();
    let _ = index.load(pager, &keys);
}

fn operate<I: IndexPages>(index: &I, pager: &Pager, source: &mut Source<'_>, model: Option<&mut Records>) {
    let (key_max, value_max) = I::limits(pager.page_bytes());
    let kind = source.below(I::KINDS);
    let len = usize::from(source.u8());
    let key = source.take(len.min(key_max));
    let value = vec![len as u8; usize::from(source.u16()) % (value_max + 1)];
    let whole = model.is_some();
    let mut nothing = Records::new();
    let model = model.unwrap_or(&mut nothing);
    let done = match kind {
        0 => {
            let mut out = Vec::new();
            let found = index.get_into(pager, key, &mut out);
            if whole {
                assert_eq!(found.as_ref().ok(), Some(&model.contains_key(key)));
                assert!(model.get(key).is_none_or(|value| *value == out));
            }
            found.map(|_| ())
        }
        1 => pages::change(pager, |m| index.remove(m, pager, key)).inspect(|()| drop(model.remove(key))),
        kind if kind + 1 < I::KINDS => index.operate(pager, key, whole.then_some(&*model)),
        _ => pages::change(pager, |m| index.put(m, pager, key, &value))
            .inspect(|()| drop(model.insert(key.to_vec(), value.clone()))),
    };
    assert!(!whole || done.is_ok(), "a whole index: {done:?}");
}

/// An input with the pages of an index of these keys and lengths of values, and some operations.
pub(super) fn input<I: IndexPages>(
    page_bytes: usize,
    create: impl Fn(&Mutation<'_>) -> std::result::Result<I, Retry>,
    records: &[(Vec<u8>, usize)],
    operations: &[(u8, &[u8], u16)],
) -> Vec<u8> {
    let pager = pages::in_memory(page_bytes);
    let index = pages::change(&pager, create).expect("memory for its first pages");
    for (key, len) in records {
        pages::change(&pager, |m| index.put(m, &pager, key, &vec![0xAB; *len]))
            .expect("memory for some pages");
    }
    let mut input = pages::to_input(&pager);
    for (kind, key, len) in operations {
        input.extend([*kind, key.len() as u8]);
        input.extend_from_slice(key);
        input.extend_from_slice(&len.to_le_bytes());
    }
    input
}

/// So many records of values of this length.
pub(super) fn some(count: u32, len: usize) -> Vec<(Vec<u8>, usize)> {
    (0..count).map(|n| (format!("key {n}").into_bytes(), len)).collect()
}
