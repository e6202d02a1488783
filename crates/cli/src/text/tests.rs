//! What is printed, and that it is read back.

use super::{Form, HexError, parse};
use proptest::prelude::*;

fn check(form: Form, bytes: &[u8], printed: &str) {
    assert_eq!(form.print(bytes), printed);
    assert_eq!(parse(printed.as_bytes()).unwrap(), bytes);
}

#[test]
fn text_stays_text() {
    check(Form::Key, b"/usr/bin/env", "/usr/bin/env");
    check(Form::Key, "grün €".as_bytes(), "grün €");
    check(Form::Key, b"", "");
}

#[test]
fn other_bytes_become_digits() {
    check(Form::Key, &[0xff, 0x00, 0x1b], "0xff001b");
    check(Form::Key, b"\x1b[31m", "0x1b5b33316d");
    check(Form::Value, b"a\nb", "0x610a62");
}

#[test]
fn tabs_stay_in_values_only() {
    check(Form::Value, b"12\t644", "12\t644");
    check(Form::Key, b"12\t644", "0x313209363434");
}

#[test]
fn whole_texts_keep_their_lines() {
    check(Form::Whole, b"a\r\n\tb\n", "a\r\n\tb\n");
    check(Form::Whole, &[0xc3], "0xc3");
}

#[test]
fn text_that_looks_like_digits_is_printed_as_digits() {
    check(Form::Key, b"0xff", "0x30786666");
    check(Form::Key, b"0x", "0x3078");
    check(Form::Key, b"0Xff", "0Xff");
}

#[test]
fn digits_of_either_case_are_read() {
    assert_eq!(parse(b"0xAbcD").unwrap(), [0xab, 0xcd]);
    assert_eq!(parse(b"0x").unwrap(), b"");
}

#[test]
fn bad_digits_are_refused() {
    assert_eq!(parse(b"0xabc"), Err(HexError::OddDigits { digits: 3 }));
    assert_eq!(parse(b"0xzz"), Err(HexError::NotADigit { found: 'z' }));
    assert_eq!(parse("0x1é".as_bytes()), Err(HexError::NotADigit { found: 'é' }));
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(bytes: Vec<u8>) {
        for form in [Form::Key, Form::Value, Form::Whole] {
            prop_assert_eq!(&parse(form.print(&bytes).as_bytes()).unwrap(), &bytes);
        }
    }

    #[test]
    fn printed_texts_are_read_back(text in ".{0,12}") {
        for form in [Form::Key, Form::Value, Form::Whole] {
            prop_assert_eq!(&parse(form.print(text.as_bytes()).as_bytes()).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn a_printed_line_comes_apart_at_its_first_tab(key: Vec<u8>, value in ".{0,12}") {
        let line = format!("{}\t{}", Form::Key.print(&key), Form::Value.print(value.as_bytes()));
        prop_assert_eq!(line.lines().count(), 1);
        let (left, right) = line.split_once('\t').unwrap();
        prop_assert_eq!(&parse(left.as_bytes()).unwrap(), &key);
        prop_assert_eq!(&parse(right.as_bytes()).unwrap(), value.as_bytes());
    }
}
