//! Tests of `record`.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Owned {
    Put(Vec<u8>),
    Patch(Vec<(usize, Vec<u8>)>),
    Delete,
    Attach(Vec<u8>, Vec<u8>),
    Create(Vec<u8>),
    Drop,
    RangeDelete(Option<Vec<u8>>),
    Adopt(u32),
}

fn decode(bytes: &[u8]) -> Result<Vec<(u32, Vec<u8>, Owned)>, Malformed> {
    let Record::Commit(mut entries) = Record::decode(bytes)? else { return Err(Malformed("no commit")) };
    let mut all = Vec::new();
    while let Some(Entry { table, key, op }) = entries.next()? {
        let op = match op {
            Op::Put(value) => Owned::Put(value.to_vec()),
            Op::Patch(patch) => Owned::Patch(patch.ranges().map(|(at, b)| (at, b.to_vec())).collect()),
            Op::Delete => Owned::Delete,
            Op::Attach { descriptor, manifest } => Owned::Attach(descriptor.to_vec(), manifest.to_vec()),
            Op::Create { row } => Owned::Create(row.to_vec()),
            Op::Drop => Owned::Drop,
            Op::RangeDelete { high } => Owned::RangeDelete(high.map(<[u8]>::to_vec)),
            Op::Adopt { root } => Owned::Adopt(root),
        };
        all.push((table, key.to_vec(), op));
    }
    Ok(all)
}

#[test]
fn a_single_put_is_its_key_its_value_and_four_bytes() {
    let mut out = Vec::new();
    CommitWriter::new(&mut out, 1).put(2, b"key", b"value");
    assert_eq!(out, b"\x01\x01\x10\x03keyvalue");
    assert_eq!(decode(&out), Ok(vec![(2, b"key".to_vec(), Owned::Put(b"value".to_vec()))]));
}

#[test]
fn a_range_delete_is_its_ends_and_an_adoption_its_root() {
    let mut out = Vec::new();
    CommitWriter::new(&mut out, 1).range_delete(2, b"from", Some(b"to"));
    assert_eq!(out, b"\x01\x01\x16\x04from\x03to");
    let entry = |op| Ok(vec![(2, b"from".to_vec(), op)]);
    assert_eq!(decode(&out), entry(Owned::RangeDelete(Some(b"to".to_vec()))));
    out.truncate(out.len() - 1);
    assert_eq!(decode(&out), Err(Malformed("a length is beyond the record's end")));
    out.clear();
    CommitWriter::new(&mut out, 1).range_delete(2, b"from", None);
    assert_eq!(out, b"\x01\x01\x16\x04from\x00");
    assert_eq!(decode(&out), entry(Owned::RangeDelete(None)));
    out.clear();
    CommitWriter::new(&mut out, 1).adopt(2, 300);
    assert_eq!(out, b"\x01\x01\x17\x00\xac\x02");
    assert_eq!(decode(&out), Ok(vec![(2, Vec::new(), Owned::Adopt(300))]));
}

#[test]
fn entries_share_prefixes_and_count_tables_up() {
    let mut out = Vec::new();
    let mut writer = CommitWriter::new(&mut out, 4);
    writer.put(1, b"apple", b"1");
    writer.delete(1, b"apply");
    writer.put(3, b"apply", b"");
    writer.put(20, b"", b"22");
    assert_eq!(out, b"\x01\x04\x08\x05apple\x011\x02\x04\x01y\x10\x05\x00\x00\x88\x01\x00\x0022");
    let put = |value: &[u8]| Owned::Put(value.to_vec());
    assert_eq!(
        decode(&out).unwrap(),
        [
            (1, b"apple".to_vec(), put(b"1")),
            (1, b"apply".to_vec(), Owned::Delete),
            (3, b"apply".to_vec(), put(b"")),
            (20, b"".to_vec(), put(b"22")),
        ]
    );
}

#[test]
fn a_record_that_attaches_says_so_first() {
    let mut out = Vec::new();
    let mut writer = CommitWriter::new(&mut out, 3);
    writer.put(1, b"a", b"1");
    writer.attach(1, b"b", b"dd", b"mmm");
    writer.delete(1, b"c");
    assert_eq!(out, b"\x04\x03\x08\x01a\x011\x05\x00\x01b\x02dd\x03mmm\x02\x00\x01c");
    assert!(attaches(&out));
    let attached = (1, b"b".to_vec(), Owned::Attach(b"dd".to_vec(), b"mmm".to_vec()));
    assert_eq!(decode(&out).unwrap()[1], attached);
    let mut silent = out.clone();
    silent[0] = COMMIT;
    assert!(decode(&silent).is_err(), "R4");
    assert!(!attaches(&aborted(9)) && !attaches(&checkpoint(1)) && !attaches(&[]));
    for cut in 0..out.len() {
        assert!(decode(&out[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn tables_are_made_and_dropped() {
    let mut out = Vec::new();
    CommitWriter::new(&mut out, 1).create(5, "users", b"row");
    assert_eq!(decode(&out), Ok(vec![(5, b"users".to_vec(), Owned::Create(b"row".to_vec()))]));
    out.clear();
    CommitWriter::new(&mut out, 1).drop_table(5);
    assert_eq!(decode(&out), Ok(vec![(5, Vec::new(), Owned::Drop)]));
}

#[test]
fn marks_are_read_back() {
    assert!(matches!(Record::decode(&checkpoint(300)), Ok(Record::Checkpoint { generation: 300 })));
    assert!(matches!(Record::decode(&aborted(9)), Ok(Record::Aborted)));
    assert_eq!(aborted(9).len(), 9);
}

#[test]
fn zeros_and_nothing_are_no_record() {
    assert!(Record::decode(&[]).is_err());
    assert!(Record::decode(&[0; 16]).is_err());
}

#[test]
fn eight_bytes_of_a_thousand_take_few_bytes() {
    let old = vec![7u8; 1000];
    let mut new = old.clone();
    new[500..508].copy_from_slice(b"ABCDEFGH");
    let ranges = changed_ranges(&old, &new).unwrap();
    assert_eq!(ranges.as_slice(), [ChangedRange { start: 500, end: 508 }]);
    let mut out = Vec::new();
    CommitWriter::new(&mut out, 1).patch(1, &[1; 16], &ranges, &new);
    assert_eq!(out.len(), 32);
    assert_eq!(decode(&out).unwrap()[0].2, Owned::Patch(vec![(500, b"ABCDEFGH".to_vec())]));
}

#[test]
fn a_patch_is_refused_where_it_does_not_pay() {
    assert_eq!(changed_ranges(&[0; 100], &[1; 100]), None, "everything changed");
    assert_eq!(changed_ranges(&[0; 100], &[0; 101]), None, "the length changed");
    assert_eq!(changed_ranges(&[0; 16], &[0; 16]), None, "too short");
    assert_eq!(changed_ranges(&[3; 64], &[3; 64]).unwrap().as_slice(), [], "nothing changed");
    let scattered: Vec<u8> = (0..512).map(|at| u8::from(at % 32 == 0)).collect();
    assert_eq!(changed_ranges(&[0; 512], &scattered), None, "too many ranges");
}

#[test]
fn a_patch_that_does_not_fit_says_so() {
    let old = [0u8; 64];
    let mut new = old;
    new[60..].fill(9);
    let mut out = Vec::new();
    CommitWriter::new(&mut out, 1).patch(1, b"k", &changed_ranges(&old, &new).unwrap(), &new);
    let Ok(Record::Commit(mut entries)) = Record::decode(&out) else { panic!("a commit") };
    let Ok(Some(Entry { op: Op::Patch(patch), .. })) = entries.next() else { panic!("a patch") };
    assert!(!patch.apply(&mut [0; 63]));
    let mut value = old;
    assert!(patch.apply(&mut value));
    assert_eq!(value, new);
}

#[test]
fn every_cut_of_a_record_is_an_error_or_a_shorter_value() {
    let mut out = Vec::new();
    let mut writer = CommitWriter::new(&mut out, 3);
    writer.put(1, b"one", b"value");
    writer.delete(1, b"two");
    writer.put(2, b"two", b"end");
    let whole = decode(&out).unwrap();
    for cut in 0..out.len() {
        if let Ok(entries) = decode(&out[..cut]) {
            assert!(
                cut >= out.len() - 3,
                "only the last value may be cut unseen (the log's frame has its length)"
            );
            assert_eq!(entries[..2], whole[..2]);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(Record::Commit(mut entries)) = Record::decode(&bytes) {
            while let Ok(Some(entry)) = entries.next() {
                if let Op::Patch(patch) = entry.op {
                    patch.apply(&mut [0; 64]);
                }
            }
        }
    }

    #[test]
    fn what_is_written_is_read(
        mut changes in proptest::collection::btree_map(
            (1u32..40, proptest::collection::vec(0u8..4, 0..6)),
            proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)), 1..20),
    ) {
        let mut out = Vec::new();
        let mut writer = CommitWriter::new(&mut out, changes.len());
        for ((table, key), value) in &changes {
            match value {
                Some(value) => writer.put(*table, key, value),
                None => writer.delete(*table, key),
            }
        }
        for (table, key, op) in decode(&out).unwrap() {
            let expected = changes.remove(&(table, key)).unwrap();
            prop_assert_eq!(op, expected.map_or(Owned::Delete, Owned::Put));
        }
        prop_assert!(changes.is_empty());
    }

    #[test]
    fn changed_ranges_turn_old_into_new(
        old in proptest::collection::vec(any::<u8>(), 32..300),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
    ) {
        let mut new = old.clone();
        for (at, byte) in edits {
            new[at.index(old.len())] = byte;
        }
        if let Some(ranges) = changed_ranges(&old, &new) {
            let mut out = Vec::new();
            CommitWriter::new(&mut out, 1).patch(1, b"k", &ranges, &new);
            let Ok(Record::Commit(mut entries)) = Record::decode(&out) else { panic!("a commit") };
            let Ok(Some(Entry { op: Op::Patch(patch), .. })) = entries.next() else { panic!("a patch") };
            let mut value = old.clone();
            prop_assert!(patch.apply(&mut value));
            prop_assert_eq!(value, new);
        }
    }
}
