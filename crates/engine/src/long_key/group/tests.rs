//! What bytes of groups mean, and that bad ones mean an error.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn group_of(rows: &Rows) -> Option<Vec<u8>> {
    let mut builder = Builder::default();
    rows.iter().for_each(|(suffix, value)| builder.push(suffix, value));
    builder.finish()
}

fn rows_of(bytes: &[u8]) -> Result<Rows, Malformed> {
    let group = Group::new(bytes)?;
    group.check(usize::MAX)?;
    let pairs = (0..group.count()).map(|index| group.pair(index));
    pairs.map(|pair| pair.map(|(suffix, value)| (suffix.to_vec(), value.to_vec()))).collect()
}

#[test]
fn the_bytes_are_those_of_the_format() {
    let rows = Rows::from([(b"a".to_vec(), b"one".to_vec()), (b"bc".to_vec(), Vec::new())]);
    let bytes = group_of(&rows).unwrap();
    assert_eq!(bytes, *b"\x02\0\0\0\x06\0\0\0\x0a\0\0\0\x01\0aone\x02\0bc"); // FROZEN
    assert_eq!(bytes.len() as u64, single_bytes(1, 3) + single_bytes(2, 0) - 4);
    assert_eq!(rows_of(&bytes), Ok(rows));
    assert_eq!(group_of(&Rows::new()), None);
}

#[test]
fn what_is_no_group_is_an_error() {
    let check = |bytes: &[u8], what: &str| assert_eq!(rows_of(bytes), Err(what), "{bytes:?}");
    check(b"", "it is cut short");
    check(b"\0\0\0\0", "it has no member");
    check(b"\xff\xff\xff\xff", "it is cut short");
    check(b"\x01\0\0\0\x03\0\0\0\x01\0", "it is not as long as its members");
    check(b"\x01\0\0\0\x03\0\0\0\x02\0a", "a member lies beyond it");
    check(b"\x01\0\0\0\x02\0\0\0\0\0", "its members are not in order");
    check(b"\x02\0\0\0\x03\0\0\0\x06\0\0\0\x01\0b\x01\0a", "its members are not in order");
    check(b"\x02\0\0\0\x07\0\0\0\x06\0\0\0\x01\0a\x01\0b", "a member lies beyond it");
    assert_eq!(
        Group::new(b"\x01\0\0\0\x04\0\0\0\x02\0ab").unwrap().check(1),
        Err("a key in it is longer than any may be")
    );
}

#[test]
fn a_group_that_becomes_too_long_is_refused() {
    let rows = Rows::from([(b"a".to_vec(), vec![0; GROUP_BYTES_MAX - 11])]);
    let bytes = group_of(&rows).unwrap();
    assert_eq!(bytes.len(), GROUP_BYTES_MAX);
    let group = Some(Group::new(&bytes).unwrap());
    assert_eq!(merge(group, &[(b"b", Some(b""))]), Ok(Outcome::TooLong(GROUP_BYTES_MAX as u64 + 7)));
    assert_eq!(merge(group, &[(b"b", None)]), Ok(Outcome::Same));
    assert_eq!(
        merge(group, &[(b"a", Some(b"")), (b"b", None)]),
        Ok(Outcome::Changed(group_of(&Rows::from([(b"a".to_vec(), Vec::new())])).unwrap()))
    );
    assert_eq!(merge(group, &[(b"a", None)]), Ok(Outcome::Gone));
}

fn suffixes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0..3u8, 1..4)
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..4)
}

proptest! {
    #[test]
    fn merging_is_as_in_a_map(
        rows in proptest::collection::btree_map(suffixes(), values(), 0..12),
        changes in proptest::collection::btree_map(suffixes(), proptest::option::of(values()), 0..12),
    ) {
        let bytes = group_of(&rows);
        let group = bytes.as_deref().map(|bytes| Group::new(bytes).unwrap());
        let given: Vec<Change<'_>> =
            changes.iter().map(|(suffix, value)| (suffix.as_slice(), value.as_deref())).collect();
        let mut expected = rows.clone();
        for (suffix, value) in &changes {
            match value {
                Some(value) => drop(expected.insert(suffix.clone(), value.clone())),
                None => drop(expected.remove(suffix)),
            }
        }
        let merged = merge(group, &given).unwrap();
        match group_of(&expected) {
            _ if rows == expected => prop_assert_eq!(merged, Outcome::Same),
            None => prop_assert_eq!(merged, Outcome::Gone),
            Some(expected) => prop_assert_eq!(merged, Outcome::Changed(expected)),
        }
    }

    #[test]
    fn searches_and_ranges_are_as_in_a_map(
        rows in proptest::collection::btree_map(suffixes(), values(), 1..12),
        low in suffixes(),
        high in suffixes(),
        ends in 0..9u8,
    ) {
        let bytes = group_of(&rows).unwrap();
        let group = Group::new(&bytes).unwrap();
        let found = group.find(&low).unwrap().map(|member| &bytes[member.value]);
        prop_assert_eq!(found, rows.get(&low).map(Vec::as_slice));
        let bound = |kind, key: &'_ [u8]| -> Bound<Vec<u8>> {
            [Bound::Unbounded, Bound::Included(key.to_vec()), Bound::Excluded(key.to_vec())][usize::from(kind)].clone()
        };
        let (from, to) = (bound(ends % 3, &low), bound(ends / 3, &high));
        let inside = |key: &Vec<u8>| std::ops::RangeBounds::contains(&(from.clone(), to.clone()), key);
        let expected: Vec<&Vec<u8>> = rows.keys().filter(|key| inside(key)).collect();
        let range = group.range((from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice))).unwrap();
        let found: Vec<&[u8]> = range.clone().map(|index| group.pair(index).unwrap().0).collect();
        prop_assert_eq!(&found, &expected);
        let left: Rows = rows.iter().filter(|(key, _)| !inside(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
        prop_assert_eq!(group.without(range).unwrap(), group_of(&left));
    }

    /// GR2.
    #[test]
    fn any_bytes_give_members_or_an_error(
        rows in proptest::collection::btree_map(suffixes(), values(), 1..6),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = group_of(&rows).unwrap();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len() - cut.index(bytes.len()) % 3);
        if let Ok(read) = rows_of(&bytes) {
            prop_assert_eq!(group_of(&read), Some(bytes.clone())); // each group has one form
        }
        if let Ok(group) = Group::new(&bytes) {
            let _ = group.find(b"\x01");
            let _ = merge(Some(group), &[(b"\x01", Some(b"x"))]);
        }
    }
}
