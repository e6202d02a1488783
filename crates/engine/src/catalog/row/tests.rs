//! Rows: their bytes, and what is refused.

use super::*;

fn description() -> Description {
    Description {
        name: "users".into(),
        kind: IndexKind::Sorted,
        logged: true,
        key_type: "str".into(),
        value_type: "u64".into(),
        lifetime: None,
    }
}

#[test]
fn a_row_has_its_fields_at_their_places() {
    let row = encode_row(DROPPING, PageId(0x0403_0201), &description());
    assert_eq!(row, b"\x01\x01\x01\x02\x03\x04\x05users\x01\x03stru64");
    assert_eq!(decode_row(&row), Ok((DROPPING, PageId(0x0403_0201), description())));
    assert_eq!(row_key(0x0102_0304), [1, 1, 2, 3, 4]);
}

#[test]
fn a_hashed_table_has_its_seed_in_its_options() {
    let hashed = Description { kind: IndexKind::Hashed { seed: 0x0807_0605_0403_0201 }, ..description() };
    let row = encode_row(LIVE, PageId(9), &hashed);
    assert_eq!(row, b"\x01\x00\x09\x00\x00\x00\x05users\x03\x01\x02\x03\x04\x05\x06\x07\x08\x03stru64");
    assert_eq!(decode_row(&row), Ok((LIVE, PageId(9), hashed)));
    let mut unknown = row;
    unknown[12] = 8;
    assert_eq!(decode_row(&unknown), Err("its options are of a newer version"));
}

#[test]
fn a_table_whose_records_expire_has_their_lifetime_in_its_options() {
    let lifetime = Some(crate::expiry::Lifetime { ms: 300 });
    let kind = IndexKind::Hashed { seed: 0x0807_0605_0403_0201 };
    let sorted = Description { lifetime, ..description() };
    let row = encode_row(LIVE, PageId(9), &sorted);
    assert_eq!(row, b"\x01\x00\x09\x00\x00\x00\x05users\x05\xac\x02\x03stru64");
    assert_eq!(decode_row(&row), Ok((LIVE, PageId(9), sorted)));
    let hashed = Description { lifetime, kind, ..description() };
    let row = encode_row(LIVE, PageId(9), &hashed);
    let expected = b"\x01\x00\x09\x00\x00\x00\x05users\x07\x01\x02\x03\x04\x05\x06\x07\x08\xac\x02\x03stru64";
    assert_eq!(row, expected);
    assert_eq!(decode_row(&row), Ok((LIVE, PageId(9), hashed)));
    for len in 13..15 {
        assert!(
            decode_row(&encode_row(LIVE, PageId(9), &Description { lifetime, ..description() })[..len])
                .is_err()
        );
    }
}

#[test]
fn the_root_is_set_in_place() {
    let mut row = encode_row(LIVE, PageId::NONE, &description());
    set_row_root(&mut row, PageId(9));
    assert_eq!(row, encode_row(LIVE, PageId(9), &description()));
}

#[test]
fn rows_that_nobody_wrote_are_refused() {
    let row = encode_row(LIVE, PageId(9), &description());
    for cut in 0..row.len() - "u64".len() {
        assert!(decode_row(&row[..cut]).is_err(), "cut at {cut}");
    }
    let mut newer = row.clone();
    newer[0] = 2;
    assert_eq!(decode_row(&newer), Err("a row is of a newer version"));
    let mut not_text = row.clone();
    not_text[8] = 0xFF;
    assert!(decode_row(&not_text).is_err());
    let mut far = row;
    far[6] = 0x7F;
    assert!(decode_row(&far).is_err());
}

#[test]
fn names_have_bounds() {
    assert!(Description { name: String::new(), ..description() }.check().is_err());
    assert!(Description { name: "n".repeat(129), ..description() }.check().is_err());
    assert!(Description { key_type: "k".repeat(257), ..description() }.check().is_err());
    assert!(Description { name: "n".repeat(128), ..description() }.check().is_ok());
}
