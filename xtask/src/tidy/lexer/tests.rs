//! What is code and what is not.

use super::{has_word, lines};

#[track_caller]
fn check(source: &str, code: &[&str], comments: &[&str]) {
    let lines = lines(source);
    let seen: Vec<&str> = lines.iter().map(|l| l.code.trim_end()).collect();
    assert_eq!(seen, code, "code of {source:?}");
    let seen: Vec<&str> = lines.iter().map(|l| l.comment.as_str()).collect();
    assert_eq!(seen, comments, "comments of {source:?}");
}

#[test]
fn comments_are_not_code() {
    check("let a = 1; // unsafe", &["let a = 1;"], &["// unsafe"]);
    check("a /* b\n /* c */ d */ e", &["a", " e"], &["/* b", " /* c */ d */"]);
}

#[test]
fn literals_are_blank() {
    check(r#"f("// { \" }", 1)"#, &[r#"f("         ", 1)"#], &[""]);
    check("f(r#\"a\"b\"#, b\"x\", '{', '\\'')", &["f(\"   \", b\" \", ' ', '  ')"], &[""]);
}

#[test]
fn a_string_may_span_lines() {
    check("f(\"a\n// b\n\")", &["f(\"", "", "\")"], &["", "", ""]);
}

#[test]
fn lifetimes_are_code() {
    check("fn f<'a>(x: &'a str) {}", &["fn f<'a>(x: &'a str) {}"], &[""]);
}

#[test]
fn words_are_whole() {
    assert!(has_word("unsafe {", "unsafe"));
    assert!(!has_word("#![forbid(unsafe_code)]", "unsafe"));
    assert!(!has_word("unsafely", "unsafe"));
}
