//! The offsets of the table in the module's head, and the order of slots.

use super::*;

#[test]
fn offsets_are_those_of_the_table() {
    let offsets = [
        (KIND, 0),
        (FLAGS, 1),
        (LEVEL, 2),
        (RUN, 3),
        (COUNT, 4),
        (PREFIX_LEN, 6),
        (HEAP_BYTES, 8),
        (LIVE_BYTES, 10),
        (OWNER, 12),
        (CHANGED_AT, 16),
        (OWN_ID, 24),
        (RIGHT, 28),
        (LOWER_LEN, 32),
        (UPPER_LEN, 34),
        (RUN_POSITION, 38),
        (LEFTMOST, 40),
        (HEADER_BYTES, 48),
        (HINTS, 48),
        (FINGERPRINTS, 48),
        (SLOTS, 112),
    ];
    for (offset, expected) in offsets {
        assert_eq!(offset, expected);
    }
    assert_eq!(SLOTS % 8, 0);
    assert_eq!((KIND_LEAF, KIND_INNER, KIND_DENSE, KIND_FINGERPRINTS), (1, 2, 6, 7));
    assert_eq!((FLAG_UNBOUNDED, FLAG_DISMANTLED, FLAG_DETACHED, FLAG_LARGE), (1, 2, 4, 8));
}

#[test]
fn a_slot_is_one_word_with_the_head_on_top() {
    let slot = Slot::new(0x6162_6364, 0xFFFE, 0x2000);
    assert_eq!(slot.0, 0x6162_6364_FFFE_2000);
    assert_eq!(
        (slot.head(), slot.offset(), slot.suffix_len(), slot.rest_len()),
        (0x6162_6364, 0xFFFE, 0x2000, 0x1FFC)
    );
}

#[test]
fn a_suffix_has_a_padded_head_and_a_rest() {
    let check = |key: &[u8], prefix_len: usize, head: u32, rest: &[u8], len: usize| {
        let suffix = Suffix::of(key, prefix_len);
        assert_eq!((suffix.head, suffix.rest, suffix.len), (head, rest, len));
    };
    check(b"prefixabcdef", 6, 0x6162_6364, b"ef", 6);
    check(b"prefixabcd", 6, 0x6162_6364, b"", 4);
    check(b"prefixab", 6, 0x6162_0000, b"", 2);
    check(b"prefix", 6, 0, b"", 0);
    check(b"pre", 6, 0, b"", 0); // only on a damaged page
}

#[test]
fn a_separator_is_the_shortest_key_in_between() {
    let check = |low: &[u8], high: &[u8], expected: &[u8]| {
        let separator = separator(low, high);
        assert_eq!(separator, expected);
        assert!(low < separator && separator <= high);
    };
    check(b"", b"\0", b"\0");
    check(b"", b"abc", b"a");
    check(b"abc", b"abcd", b"abcd");
    check(b"abc", b"abd", b"abd");
    check(b"abcdefghijk", b"abcdefghizz", b"abcdefghiz");
    check(b"az", b"b", b"b");
    check(b"a\xFF\xFF", b"b12345", b"b");
}

#[test]
fn limits_are_an_eighth_and_a_quarter_of_a_page() {
    assert_eq!((key_bytes_max(4096), value_bytes_max(4096)), (512, 1024));
    assert_eq!((key_bytes_max(65536), value_bytes_max(65536)), (8192, 16384));
}
