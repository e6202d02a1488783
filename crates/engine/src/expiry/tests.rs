//! Stamps: which moments they are, and what is one.

use super::*;
use crate::{Database, ErrorKind, TableOptions};
use std::time::UNIX_EPOCH;

fn at(nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}

#[test]
fn a_record_is_there_before_its_stamp_and_not_from_it_on() {
    let stamp = Stamp::of(at(5_000_000).into());
    assert_eq!(stamp, Stamp(5));
    assert!(stamp.is_alive(Moment(4)));
    assert!(!stamp.is_alive(Moment(5)));
    assert!(!stamp.is_alive(Moment(u64::MAX)));
    assert!(Stamp::NEVER.is_alive(Moment(u64::MAX)));
}

#[test]
fn begun_milliseconds_count_whole_and_the_beginning_of_time_is_not_never() {
    assert_eq!(Stamp::of(at(5_000_001).into()), Stamp(6));
    assert_eq!(Stamp::of(at(0).into()), Stamp(1));
    assert_eq!(Stamp::of((UNIX_EPOCH - Duration::from_secs(1)).into()), Stamp(1));
    assert_eq!(Stamp::after(Moment(10), Duration::from_nanos(1)), Stamp(11));
    assert_eq!(Stamp::after(Moment(10), Duration::ZERO), Stamp(10));
    assert_eq!(Stamp::after(Moment(10), Duration::MAX), Stamp(u64::MAX));
    assert_eq!(Stamp::of(Expiry::Never).expiry(), Expiry::Never);
    assert_eq!(Stamp(7).expiry(), Expiry::At(at(7_000_000)));
}

#[test]
fn a_value_without_its_stamp_is_corrupt_whoever_reads_it() {
    let db = Database::options().memory_budget(4 << 20).background(false).in_memory().unwrap();
    let table = db.create_table("t", TableOptions::expiring()).unwrap();
    table.of_stored_values().put(b"k", b"1234567").unwrap();
    let check = |error: Error| assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    check(table.get(b"k").unwrap_err());
    check(table.contains(b"k").unwrap_err());
    check(table.multi_get([b"k".to_vec()]).unwrap_err());
    check(table.expiry(b"k").unwrap_err());
    check(table.first().unwrap_err());
    check(table.count(..).unwrap_err());
    check(table.open_large(b"k").map(drop).unwrap_err());
    check(table.append(b"k", b"8").unwrap_err());
    check(table.compare_and_swap(b"k", None, None).map(drop).unwrap_err());
    check(db.snapshot().unwrap().get(&table, b"k").unwrap_err());
    check(db.step().unwrap_err());
    assert!(!db.step().unwrap(), "a damaged table is left alone for a while");
    table.put(b"k", b"whole again").unwrap();
    assert_eq!(table.get(b"k").unwrap().unwrap(), b"whole again");
}

#[test]
fn a_table_whose_records_do_not_expire_refuses_an_expiry() {
    let db = Database::in_memory(4 << 20).unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    let check = |error: Error| {
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("table t do not expire"), "{error}");
    };
    check(table.put_for(b"k", b"v", Duration::from_secs(1)).unwrap_err());
    check(table.put_until(b"k", b"v", Expiry::Never).unwrap_err());
    check(table.write_large_until(b"k", Expiry::Never).map(drop).unwrap_err());
    check(db.begin().unwrap().put_for(&table, b"k", b"v", Duration::from_secs(1)).unwrap_err());
    let mut batch = crate::WriteBatch::new();
    batch.put_until(&table, b"k", b"v", SystemTime::now());
    check(db.write(&mut batch, Default::default()).unwrap_err());
    table.put(b"k", b"v").unwrap();
    assert_eq!(table.expiry(b"k").unwrap(), Some(Expiry::Never));
    assert_eq!(table.expiry(b"absent").unwrap(), None);
}
