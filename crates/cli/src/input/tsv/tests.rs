//! Tab-separated lines.

use crate::input::{Format, Record, Shape, records};
use std::io::Cursor;

/// A key and a value, or a message.
type Expected<'e> = Result<(&'e [u8], &'e [u8]), &'e str>;

fn check(text: &[u8], key: Option<&str>, keys_only: bool, expected: &[Expected]) {
    let key = key.map(str::to_owned);
    let shape = Shape { format: Format::Tsv, key, null_terminated: false, keys_only, from_line: 1 };
    let mut reader = records(Box::new(Cursor::new(text.to_vec())), &shape).unwrap();
    let mut record = Record::default();
    for expected in expected {
        match (reader.next(&mut record), expected) {
            (Ok(true), Ok((key, value))) => {
                assert_eq!((record.key.as_slice(), record.value.as_slice()), (*key, *value));
            }
            (Err(error), Err(message)) => assert_eq!(error.to_string(), *message),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }
    assert!(!reader.next(&mut record).unwrap());
}

#[test]
fn the_value_is_the_rest_of_the_line() {
    check(
        b"k\tv\nl\t1\t2\t\nm\t\n",
        None,
        false,
        &[Ok((b"k", b"v")), Ok((b"l", b"1\t2\t")), Ok((b"m", b""))],
    );
}

#[test]
fn any_bytes_are_a_field() {
    check(b"\xff\x01\t\xfe\xfd\r\n", None, false, &[Ok((b"\xff\x01", b"\xfe\xfd"))]);
}

#[test]
fn another_column_can_be_the_key() {
    check(b"a\tb\tc\n", Some("2"), false, &[Ok((b"b", b"a\tc"))]);
    check(b"a\tb\tc\n", Some("3"), false, &[Ok((b"c", b"a\tb"))]);
    check(b"a\tb\n", Some("1"), false, &[Ok((b"a", b"b"))]);
}

#[test]
fn a_bad_line_is_told_and_the_next_is_read() {
    let message =
        "line 1: there is no tab: a line is KEY<TAB>VALUE (--keys-only reads lines that are keys alone)";
    check(b"bad\ngood\tv\n", None, false, &[Err(message), Ok((b"good", b"v"))]);
    let message = "line 2: there are 2 columns and the key should be column 3";
    check(b"a\tb\tc\na\tb\n", Some("3"), false, &[Ok((b"c", b"a\tb")), Err(message)]);
}

#[test]
fn whole_lines_can_be_keys() {
    check(b"a\tb\nc\n", None, true, &[Ok((b"a\tb", b"")), Ok((b"c", b""))]);
}

#[test]
fn columns_are_numbers_from_one() {
    for key in ["0", "name", "-1", ""] {
        let shape = Shape {
            format: Format::Tsv,
            key: Some(key.into()),
            null_terminated: false,
            keys_only: false,
            from_line: 1,
        };
        assert!(records(Box::new(Cursor::new(Vec::new())), &shape).is_err(), "{key}");
    }
}
