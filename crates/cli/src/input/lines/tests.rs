//! Line ends, counting, and lines too long.

use super::Lines;
use crate::input::{Fault, LINE_BYTES_MAX};
use std::io::Cursor;

fn lines(text: impl Into<Vec<u8>>, end: u8, from_line: u64) -> Lines {
    Lines::new(Box::new(Cursor::new(text.into())), end, from_line)
}

fn check(text: &str, end: u8, from_line: u64, expected: &[(u64, &str)]) {
    let mut lines = lines(text, end, from_line);
    let mut found = Vec::new();
    while let Some((number, line)) = lines.next().unwrap() {
        found.push((number, String::from_utf8(line.to_vec()).unwrap()));
    }
    let found: Vec<_> = found.iter().map(|(number, line)| (*number, line.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn either_line_end_is_dropped() {
    check("a\nb\r\nc\n", b'\n', 1, &[(1, "a"), (2, "b"), (3, "c")]);
}

#[test]
fn a_return_within_a_line_stays() {
    check("a\rb\r\r\n", b'\n', 1, &[(1, "a\rb\r")]);
}

#[test]
fn the_last_line_may_lack_its_end() {
    check("a\nb", b'\n', 1, &[(1, "a"), (2, "b")]);
    check("", b'\n', 1, &[]);
}

#[test]
fn empty_lines_count_but_are_not_given() {
    check("\n\r\na\n\nb\n\n", b'\n', 1, &[(3, "a"), (5, "b")]);
}

#[test]
fn reading_begins_at_the_wanted_line() {
    check("a\nb\nc", b'\n', 3, &[(3, "c")]);
    check("a\nb\nc", b'\n', 4, &[]);
    check("a\n", b'\n', 9, &[]);
}

#[test]
fn lines_may_end_with_zero() {
    check("a\nb\r\0c\0", 0, 1, &[(1, "a\nb\r"), (2, "c")]);
}

#[test]
fn a_line_too_long_is_passed_over() {
    let mut text = b"first\n".to_vec();
    text.resize(text.len() + LINE_BYTES_MAX + 5, b'x');
    text.extend_from_slice(b"\nlast\n");
    let mut lines = lines(text, b'\n', 1);
    assert_eq!(lines.next().unwrap(), Some((1, &b"first"[..])));
    let error = lines.next().unwrap_err();
    assert!(matches!(error.fault, Fault::LineTooLong), "{error}");
    assert_eq!(error.line, 2);
    assert_eq!(lines.next().unwrap(), Some((3, &b"last"[..])));
    assert_eq!(lines.next().unwrap(), None);
}

#[test]
fn the_longest_line_is_read_with_either_end() {
    for end in ["\n", "\r\n", ""] {
        let mut text = vec![b'x'; LINE_BYTES_MAX];
        text.extend_from_slice(end.as_bytes());
        let mut lines = lines(text, b'\n', 1);
        assert_eq!(lines.next().unwrap().unwrap().1.len(), LINE_BYTES_MAX);
        assert_eq!(lines.next().unwrap(), None);
    }
}

#[test]
fn one_byte_more_is_too_long_with_either_end() {
    for end in ["\n", "\r\n", ""] {
        let mut text = vec![b'x'; LINE_BYTES_MAX + 1];
        text.extend_from_slice(end.as_bytes());
        text.extend_from_slice(if end.is_empty() { b"" } else { b"y" });
        let mut lines = lines(text, b'\n', 1);
        assert_eq!(lines.next().unwrap_err().line, 1);
        let after = lines.next().unwrap().map(|(number, line)| (number, line.to_vec()));
        assert_eq!(after, (!end.is_empty()).then(|| (2, b"y".to_vec())));
    }
}
