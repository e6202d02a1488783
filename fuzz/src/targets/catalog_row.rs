//! Rows of the catalog, one by itself and several as a whole.
//!
//! ```text
//! input:  row (piece) | (key | value)* (pieces)
//! ```

use super::{Seeds, Target, pages};
use crate::source::{Source, put_piece};
use aquifer::ErrorKind;
use aquifer::fuzzing::{Row, load_catalog, read_row, write_row};
use aquifer_index::btree::BTree;
use std::collections::BTreeSet;

/// A row is read as exactly what writes the same bytes again, or is an error; a catalog is refused as corrupt, or every
/// table in it has an id and a name of its own.
pub const TARGET: Target = Target { name: "catalog_row", run, input_bytes_max: 4096, seeds };

fn run(input: &[u8]) {
    let mut source = Source::new(input);
    let row = source.piece();
    if let Ok(read) = read_row(row) {
        assert_eq!(write_row(&read), row);
    }
    let pager = pages::in_memory(4096);
    let tree = pages::change(&pager, |m| BTree::create(m, 0)).expect("memory for a page");
    while !source.is_empty() {
        let (key, value) = (source.piece(), source.piece());
        if key.len() <= 512 && value.len() <= 1024 {
            pages::change(&pager, |m| {
                tree.place(m, &pager, key, value.len()).map(|place| place.put(value, 1))
            })
            .expect("memory for some pages");
        }
    }
    match load_catalog(&pager) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
        Ok((live, dropping)) => {
            let names: BTreeSet<&str> = live.iter().map(|(_, name)| name.as_str()).collect();
            let ids: BTreeSet<u32> = live.iter().map(|(id, _)| *id).chain(dropping.iter().copied()).collect();
            assert_eq!((names.len(), ids.len()), (live.len(), live.len() + dropping.len()));
        }
    }
}

fn seeds() -> Seeds {
    let row = |state: u8, root: u32, name: &str, logged: bool, key_type: &str| {
        let (name, key_type, value_type) = (name.to_owned(), key_type.to_owned(), "bytes".to_owned());
        let hash_seed = name.starts_with('h').then_some(77);
        let lifetime_ms = name.ends_with('e').then_some(3_600_000);
        write_row(&Row { state, root, name, hash_seed, logged, key_type, value_type, lifetime_ms })
    };
    let build = |first: &[u8], rows: &[(u32, &[u8])], next: u32| {
        let mut input = Vec::new();
        put_piece(&mut input, first);
        put_piece(&mut input, &[0]);
        put_piece(&mut input, &next.to_le_bytes());
        for (id, row) in rows {
            put_piece(&mut input, &[&[1][..], &id.to_be_bytes()].concat());
            put_piece(&mut input, row);
        }
        input
    };
    let (a, b) = (row(0, 2, "a", true, "bytes"), row(1, 9, "", false, "(u32, str)"));
    vec![
        ("empty".into(), build(&a, &[], 1)),
        ("one".into(), build(&a, &[(1, &a)], 2)),
        ("two".into(), build(&b, &[(1, &a), (5, &b)], 6)),
        ("twins".into(), build(&b, &[(1, &a), (2, &a)], 3)),
        ("never-given-out".into(), build(&a, &[(7, &a)], 7)),
        ("long-name".into(), build(&row(0, 1, &"n".repeat(128), true, "option<[u8; 4]>"), &[], u32::MAX)),
    ]
}
