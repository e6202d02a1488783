//! Comma-separated values.

use crate::input::{Fault, Format, LINE_BYTES_MAX, Record, Records, Shape, records};
use std::io::Cursor;

fn reader(text: &[u8], key: Option<&str>, from_line: u64) -> Box<dyn Records> {
    let key = key.map(str::to_owned);
    let shape = Shape { format: Format::Csv, key, null_terminated: false, keys_only: false, from_line };
    records(Box::new(Cursor::new(text.to_vec())), &shape).unwrap()
}

fn check(text: &[u8], key: Option<&str>, from_line: u64, expected: &[Result<(u64, &str, &str), &str>]) {
    let mut reader = reader(text, key, from_line);
    let mut record = Record::default();
    for expected in expected {
        match (reader.next(&mut record), expected) {
            (Ok(true), Ok((line, key, value))) => {
                assert_eq!((record.line, record.key.as_slice()), (*line, key.as_bytes()));
                assert_eq!(String::from_utf8(record.value.clone()).unwrap(), *value);
            }
            (Err(error), Err(message)) => assert_eq!(error.to_string(), *message),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }
    assert!(!reader.next(&mut record).unwrap());
}

#[test]
fn the_first_column_is_the_key() {
    check(b"id,name,n\n1,ada,36\n2,bob,4", None, 1, &[Ok((2, "1", "ada,36")), Ok((3, "2", "bob,4"))]);
}

#[test]
fn a_column_is_named_or_numbered() {
    let text = b"id,name,n\r\n1,ada,36\r\n";
    check(text, Some("name"), 1, &[Ok((2, "ada", "1,36"))]);
    check(text, Some("3"), 1, &[Ok((2, "36", "1,ada"))]);
    let message = "line 1: the header has no column `age`; it names id, name, n";
    let mut bad = reader(text, Some("age"), 1);
    let error = bad.next(&mut Record::default()).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert!(error.is_final());
    assert!(reader(text, Some("4"), 1).next(&mut Record::default()).is_err());
}

#[test]
fn a_name_goes_before_a_number() {
    check(b"a,1\nx,y\n", Some("1"), 1, &[Ok((2, "y", "x"))]);
}

#[test]
fn quotes_are_kept_where_they_are_needed() {
    let text = b"id,a,b,c\n\"1\",\"plain\",\"x,y\",\"say \"\"hi\"\"\nthere\"\n2,,,\n";
    check(text, None, 1, &[Ok((2, "1", "plain,\"x,y\",\"say \"\"hi\"\"\nthere\"")), Ok((4, "2", ",,"))]);
}

#[test]
fn another_number_of_fields_is_told_and_the_next_is_read() {
    let message = "line 3: there are 3 fields, and the header names 2 columns";
    check(b"k,v\na,1\nb,2,3\nc,4\n", None, 1, &[Ok((2, "a", "1")), Err(message), Ok((4, "c", "4"))]);
}

#[test]
fn empty_lines_and_a_byte_order_mark_are_dropped() {
    check(b"\xef\xbb\xbfk,v\n\na,1\n\n\nb,2\n", Some("k"), 1, &[Ok((3, "a", "1")), Ok((6, "b", "2"))]);
    check(b"", None, 1, &[]);
    check(b"k,v\n", None, 1, &[]);
    check(b"k,v\r\n\r\na,1\r\nb,2\r\n\r\n", None, 1, &[Ok((3, "a", "1")), Ok((4, "b", "2"))]);
}

#[test]
fn reading_begins_at_the_wanted_line() {
    check(b"k,v\na,1,bad\nb,2\nc,3\n", None, 3, &[Ok((3, "b", "2")), Ok((4, "c", "3"))]);
}

#[test]
fn records_of_any_size_and_number_of_fields_are_read() {
    let columns = 1000;
    let header = (0..columns).map(|n| format!("c{n}")).collect::<Vec<_>>().join(",");
    let row = (0..columns).map(|n| n.to_string().repeat(20)).collect::<Vec<_>>().join(",");
    let text = format!("{header}\n{row}\n{row}");
    let value = row.split_once(',').unwrap().1;
    check(text.as_bytes(), None, 1, &[Ok((2, &"0".repeat(20), value)), Ok((3, &"0".repeat(20), value))]);
}

#[test]
fn a_quote_that_never_ends_stays_out_of_memory() {
    let mut text = b"k,v\na,1\nb,\"".to_vec();
    text.resize(2 * LINE_BYTES_MAX + 100, b'x');
    let mut reader = reader(&text, None, 1);
    let mut record = Record::default();
    assert!(reader.next(&mut record).unwrap());
    let error = reader.next(&mut record).unwrap_err();
    assert!(matches!(error.fault, Fault::RecordTooLong), "{error}");
    assert_eq!(error.line, 3);
    assert!(error.is_final());
}

#[test]
fn a_byte_order_mark_may_come_in_pieces() {
    let text = b"\xef\xbb\xbfid,n\n1,2\n";
    for at_once in 1..text.len() {
        let source = std::io::BufReader::with_capacity(at_once, Cursor::new(text.to_vec()));
        let shape = Shape {
            format: Format::Csv,
            key: Some("id".into()),
            null_terminated: false,
            keys_only: false,
            from_line: 1,
        };
        let mut reader = records(Box::new(source), &shape).unwrap();
        let mut record = Record::default();
        assert!(reader.next(&mut record).unwrap(), "by {at_once} bytes");
        assert_eq!((record.key.as_slice(), record.value.as_slice()), (&b"1"[..], &b"2"[..]));
    }
    check(b"\xef\xbb,n\n1,2\n", None, 1, &[Ok((2, "1", "2"))]);
}
