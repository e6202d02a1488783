//! Reading: ranges, prefixes, types.

use crate::{contents, key, table};
use aquifer::{Database, Error, TableDef, TableOptions};

#[test]
fn ranges_have_btreemaps_meaning() {
    let db = Database::in_memory(8 << 20).unwrap();
    let t = table(&db);
    for n in 0..1000u64 {
        t.put(&key(n), n.to_string().as_bytes()).unwrap();
    }
    let found = |range: Vec<aquifer::Result<(Vec<u8>, Vec<u8>)>>| {
        range
            .into_iter()
            .map(|record| u64::from_be_bytes(record.unwrap().0.try_into().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(found(t.range(&key(3)[..]..&key(6)[..]).collect()), [3, 4, 5]);
    assert_eq!(found(t.range(&key(3)[..]..=&key(6)[..]).rev().collect()), [6, 5, 4, 3]);
    assert_eq!(found(t.range(&key(997)[..]..).collect()), [997, 998, 999]);
    assert_eq!(found(t.range(..&key(2)[..]).collect()), [0, 1]);
    assert_eq!(t.first().unwrap().unwrap().0, key(0));
    assert_eq!(t.last().unwrap().unwrap().0, key(999));
    assert_eq!(contents(&t).len(), 1000);
    let estimate = t.len_estimate().unwrap();
    assert!((500..2000).contains(&estimate), "{estimate}");
    let both = t.multi_get([&key(5)[..], b"nothing", &key(7)[..]]).unwrap();
    assert_eq!(both, [Some(b"5".to_vec()), None, Some(b"7".to_vec())]);
    let mut ends = t.range(&key(10)[..]..&key(13)[..]);
    assert_eq!(ends.next().unwrap().unwrap().0, key(10));
    assert_eq!(ends.next_back().unwrap().unwrap().0, key(12));
    assert_eq!(ends.next().unwrap().unwrap().0, key(11));
    assert!(ends.next_back().is_none() && ends.next().is_none());
}

#[test]
fn prefixes_end_where_they_should() {
    let db = Database::in_memory(4 << 20).unwrap();
    let t = table(&db);
    for name in ["/usr", "/usr/bin", "/usr/lib", "/usr0", "/var", "\u{ff}"] {
        t.put(name.as_bytes(), b"").unwrap();
    }
    let names: Vec<_> =
        t.prefix("/usr/").map(|record| String::from_utf8(record.unwrap().0).unwrap()).collect();
    assert_eq!(names, ["/usr/bin", "/usr/lib"]);
}

#[test]
fn types_are_kept_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let db = crate::open(dir.path());
    const AGES: TableDef<i32, String> = TableDef::new("ages");
    let ages = AGES.create(&db, TableOptions::default()).unwrap();
    for age in [5, -3, 0, i32::MIN, i32::MAX] {
        ages.put(&age, &age.to_string()).unwrap();
    }
    let order: Vec<i32> = ages.iter().map(|record| record.unwrap().0).collect();
    assert_eq!(order, [i32::MIN, -3, 0, 5, i32::MAX]);
    assert_eq!(ages.range(-3..5).count(), 2);
    const WRONG: TableDef<u32, String> = TableDef::new("ages");
    drop(ages);
    drop(db);
    let db = crate::open(dir.path());
    assert!(matches!(WRONG.open(&db), Err(Error::TypeMismatch { .. })));
    assert_eq!(AGES.open(&db).unwrap().get(&-3).unwrap().as_deref(), Some("-3"));
    assert_eq!(db.table("ages").unwrap().info().key_type, "i32");
}
