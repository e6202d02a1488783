//! The offsets of the tables in the module's head.

use super::*;

#[test]
fn offsets_are_those_of_the_tables() {
    let offsets = [
        (KIND, 0),
        (FLAGS, 1),
        (LEVEL, 2),
        (PREFIX_BITS, 3),
        (COUNT, 4),
        (HEAP_BYTES, 8),
        (LIVE_BYTES, 10),
        (OWNER, 12),
        (CHANGED_AT, 16),
        (OWN_ID, 24),
        (NEXT, 28),
        (FIRST, 32),
        (LAST, 40),
        (SEED, 48),
        (HEADER_BYTES, 56),
        (BOUNDS, 56),
        (ENTRIES, 56),
    ];
    for (offset, expected) in offsets {
        assert_eq!(offset, expected);
    }
    assert_eq!((SLOT_BYTES, LENGTHS_BYTES, ENTRY_BYTES), (3, 4, 8));
    assert_eq!((KIND_BUCKET, KIND_DIRECTORY, KIND_OVERFLOW), (3, 4, 5));
    assert_eq!((FLAG_DISMANTLED, FLAG_LARGE), (2, 8));
    assert_eq!((sub_buckets(4096), runs_at(4096), entries_max(4096)), (16, 90, 505));
    assert_eq!((sub_buckets(65536), runs_at(65536)), (256, 570));
}

#[test]
fn every_part_of_a_hash_has_its_use() {
    let hash = 0xFEDC_BA98_7654_32A7;
    assert_eq!(sub_bucket(hash, 4096), 0x7);
    assert_eq!(sub_bucket(hash, 65536), 0xA7);
    assert_eq!(fingerprint(hash), 0x32);
}

#[test]
fn a_page_of_4_kib_holds_32_records_of_116_bytes() {
    assert_eq!(record_room(4096) / record_bytes(16, 100), 32);
}

#[test]
fn two_of_the_largest_records_fit_in_a_page() {
    for page_bytes in [4096, 8192, 16384, 32768, 65536] {
        let largest = record_bytes(key_bytes_max(page_bytes), value_bytes_max(page_bytes));
        assert!(2 * largest <= record_room(page_bytes));
    }
}

#[test]
fn the_first_word_of_a_header_says_what_a_search_needs() {
    let mut page = [0u8; 4096];
    (page[KIND], page[FLAGS], page[LEVEL], page[PREFIX_BITS]) = (4, 2, 3, 63);
    set_u16(&mut page, COUNT, 505);
    let summary = Summary::of(&page[..]);
    assert_eq!((summary.kind(), summary.flags(), summary.level()), (4, 2, 3));
    assert_eq!((summary.prefix_bits(), summary.count()), (63, 505));
}
