//! Pages of a hashed index, any bytes each, read and changed.
//!
//! ```text
//! input:  flags u8: bit 0 pages of 64 KiB | pages u8 | page* | operation*
//! page:   first bytes | last bytes (pieces; zeros between them)
//! operation:  kind u8 | length of the key u8 | key | length of the value u16
//! ```
//!
//! Page n of the input is page n of the pager, page 1 is the root.

use super::{Seeds, Target, pages};
use crate::source::Source;
use aquifer_buffer::{PageId, Pager};
use aquifer_index::hash::HashIndex;
use std::collections::BTreeMap;

/// Reading, walking, checking, changing and dismantling end, with an answer or an error. Where the check finds nothing wrong,
/// the index is a map: a walk gives each key once, agrees with the count of the check and with every get, and it stays so
/// under changes.
pub const TARGET: Target = Target { name: "hash_page", run, input_bytes_max: 16 << 10, seeds };

const TABLE: u32 = 7;
const SEED: u64 = 0x5EED;
/// The flag of a root some of whose entries may name no page.
const DISMANTLED: u8 = 2;
const PAGES_MAX: usize = 6;
const OPERATIONS_MAX: usize = 40;
/// More records than slots on all pages.
const STEPS_MAX: usize = 200_000;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

fn run(input: &[u8]) {
    let mut source = Source::new(input);
    let pager = pages::from_input(&mut source, PAGES_MAX);
    let index = HashIndex::at(PageId::FIRST, TABLE, SEED);
    let mut model = check(&index, &pager);
    read(&index, &pager, model.as_ref());
    let mut operations = 0;
    while !source.is_empty() && operations < OPERATIONS_MAX {
        operate(&index, &pager, &mut source, model.as_mut());
        operations += 1;
    }
    if model.is_some() {
        let after = check(&index, &pager).expect("changes of a whole index leave a whole index");
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

/// The records, if the check finds nothing wrong, and nobody has begun to take the index apart.
fn check(index: &HashIndex, pager: &Pager) -> Option<Records> {
    let report = index.check(pager, &mut |_| ()).expect("nothing but damage goes wrong in memory");
    let flags = pages::read(pager, PageId::FIRST).expect("there is a page")[1];
    if !report.faults.is_empty() || flags & DISMANTLED != 0 {
        return None;
    }
    let (records, once) = walk(index, pager).expect("a whole index");
    assert!(once, "a key came twice");
    assert_eq!(records.len() as u64, report.records);
    Some(records)
}

/// All records, if none of them is an error, and whether each key came once.
fn walk(index: &HashIndex, pager: &Pager) -> Option<(Records, bool)> {
    let mut cursor = index.cursor(pager);
    let mut records = Records::new();
    let mut once = true;
    for _ in 0..STEPS_MAX {
        match cursor.next() {
            Err(_) => return None,
            Ok(None) => return Some((records, once)),
            Ok(Some((key, value))) => once &= records.insert(key.to_vec(), value.to_vec()).is_none(),
        }
    }
    panic!("CS3: {STEPS_MAX} records, and no end");
}

fn read(index: &HashIndex, pager: &Pager, model: Option<&Records>) {
    let mut out = Vec::new();
    let found = walk(index, pager).map(|(records, _)| records);
    for (key, value) in found.iter().flatten().take(100) {
        let there = index.get_into(pager, key, &mut out);
        if model.is_some() {
            assert!(there.expect("a whole index") && out == *value, "{key:02x?}");
        }
    }
    let estimate = index.len_estimate(pager);
    assert!(model.is_none() || estimate.is_ok());
    let keys: Vec<&[u8]> = found.iter().flatten().map(|(key, _)| key.as_slice()).take(20).collect();
    let _ = index.load_buckets(pager, &keys);
}

fn operate(index: &HashIndex, pager: &Pager, source: &mut Source<'_>, model: Option<&mut Records>) {
    let (key_max, value_max) = HashIndex::limits(pager.page_bytes());
    let kind = source.below(3);
    let len = usize::from(source.u8());
    let key = source.take(len.min(key_max));
    let value = vec![len as u8; usize::from(source.u16()) % (value_max + 1)];
    let whole = model.is_some();
    let mut nothing = Records::new();
    let model = model.unwrap_or(&mut nothing);
    let mut out = Vec::new();
    let done = match kind {
        0 => {
            let found = index.get_into(pager, key, &mut out);
            if whole {
                assert_eq!(found.as_ref().ok(), Some(&model.contains_key(key)));
                assert!(model.get(key).is_none_or(|value| *value == out));
            }
            found.map(|_| ())
        }
        1 => pages::change(pager, |m| {
            if let Some(place) = index.place_existing(m, pager, key)? {
                place.remove(1);
            }
            Ok(())
        })
        .inspect(|()| drop(model.remove(key))),
        _ => pages::change(pager, |m| {
            let place = index.place(m, pager, key, value.len())?;
            let _ = (place.old(), place.changed_at());
            place.put(&value, 1);
            Ok(())
        })
        .inspect(|()| drop(model.insert(key.to_vec(), value.clone()))),
    };
    assert!(!whole || done.is_ok(), "a whole index: {done:?}");
}

/// The pages of an index as an input has them.
fn input(page_bytes: usize, records: &[(Vec<u8>, usize)]) -> Vec<u8> {
    let pager = pages::in_memory(page_bytes);
    let index = pages::change(&pager, |m| HashIndex::create(m, TABLE, SEED)).expect("memory for two pages");
    for (key, len) in records {
        pages::change(&pager, |m| {
            index.place(m, &pager, key, *len).map(|place| place.put(&vec![0xAB; *len], 1))
        })
        .expect("memory for some pages");
    }
    let mut input = pages::to_input(&pager);
    for (kind, key, len) in
        [(0, &b"key 3"[..], 0u16), (2, b"key 35", 40), (1, b"key 5", 0), (2, b"k", 0), (2, b"", 900)]
    {
        input.extend([kind, key.len() as u8]);
        input.extend_from_slice(key);
        input.extend_from_slice(&len.to_le_bytes());
    }
    input
}

fn seeds() -> Seeds {
    let some = |count: u32, len: usize| -> Vec<(Vec<u8>, usize)> {
        (0..count).map(|n| (format!("key {n}").into_bytes(), len)).collect()
    };
    vec![
        ("empty".into(), input(4096, &[])),
        ("one".into(), input(4096, &some(1, 5))),
        ("bucket".into(), input(4096, &some(60, 8))),
        ("two-buckets".into(), input(4096, &some(14, 400))),
        ("shared-buckets".into(), input(4096, &some(18, 500))),
        ("large-page".into(), input(65536, &some(30, 8))),
        ("empty-values".into(), input(4096, &some(25, 0))),
    ]
}
