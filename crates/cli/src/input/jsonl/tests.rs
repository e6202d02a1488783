//! JSON lines.

use crate::input::{Format, Record, Shape, records};
use std::io::Cursor;

fn check(text: &[u8], field: &str, expected: &[Result<(&str, &str), &str>]) {
    let key = Some(field.to_owned());
    let shape = Shape { format: Format::Jsonl, key, null_terminated: false, keys_only: false, from_line: 1 };
    let mut reader = records(Box::new(Cursor::new(text.to_vec())), &shape).unwrap();
    let mut record = Record::default();
    for expected in expected {
        match (reader.next(&mut record), expected) {
            (Ok(true), Ok((key, value))) => {
                assert_eq!(std::str::from_utf8(&record.key).unwrap(), *key);
                assert_eq!(std::str::from_utf8(&record.value).unwrap(), *value);
            }
            (Err(error), Err(message)) => assert_eq!(error.to_string(), *message),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }
    assert!(!reader.next(&mut record).unwrap());
}

#[test]
fn the_value_is_the_whole_object() {
    check(
        b"{\"id\": \"a\", \"n\": [1, 2]}\r\n  {\"n\":{},\"id\":\"b\"}  \n",
        "id",
        &[Ok(("a", "{\"id\": \"a\", \"n\": [1, 2]}")), Ok(("b", "{\"n\":{},\"id\":\"b\"}"))],
    );
}

#[test]
fn strings_give_their_characters_and_numbers_their_digits() {
    let expected = ["a/\"\u{fc}\n", "1.10", "-7", "123456789012345678901234567890"];
    let text = [
        r#"{"k":"a\/\"\u00fc\n"}"#,
        r#"{"k":1.10}"#,
        r#"{"k":-7}"#,
        r#"{"k":123456789012345678901234567890}"#,
    ];
    for (text, key) in text.iter().zip(expected) {
        check(text.as_bytes(), "k", &[Ok((key, text))]);
    }
}

#[test]
fn the_last_of_two_fields_counts() {
    check(br#"{"k":"a","k":"b"}"#, "k", &[Ok(("b", r#"{"k":"a","k":"b"}"#))]);
}

#[test]
fn the_field_may_have_an_escaped_name() {
    check(br#"{"\u006b":"a"}"#, "k", &[Ok(("a", r#"{"\u006b":"a"}"#))]);
}

#[test]
fn a_byte_order_mark_and_empty_lines_are_dropped() {
    check(b"\xef\xbb\xbf{\"k\":1}\n\n   \n{\"k\":2}", "k", &[Ok(("1", "{\"k\":1}")), Ok(("2", "{\"k\":2}"))]);
}

#[test]
fn what_is_no_object_with_the_key_is_told() {
    check(
        b"{\"k\":1}\n{\"j\":1}\n[1]\n{\"k\":null}\n{\"k\":[1]}\n{\"k\":{}}\n{\"k\":true}\n",
        "k",
        &[
            Ok(("1", "{\"k\":1}")),
            Err("line 2: the object has no field `k`"),
            Err("line 3: not a JSON object: invalid type: sequence, expected an object"),
            Err("line 4: the field `k` is null; a key is a string or a number"),
            Err("line 5: the field `k` is an array; a key is a string or a number"),
            Err("line 6: the field `k` is an object; a key is a string or a number"),
            Err("line 7: the field `k` is true or false; a key is a string or a number"),
        ],
    );
}

#[test]
fn broken_json_is_told_with_its_column() {
    check(b"{\"k\":1", "k", &[Err("line 1: not a JSON object: EOF while parsing an object, at column 6")]);
    check(b"{\"k\":1} x", "k", &[Err("line 1: not a JSON object: trailing characters, at column 9")]);
    check(
        b"{\"k\":1,\"x\":\"\xff\"}",
        "k",
        &[Err("line 1: not a JSON object: invalid utf-8 sequence of 1 bytes from index 12")],
    );
}
