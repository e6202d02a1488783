//! Type names, and both ways between text and stored bytes.

use super::{Number, Role, Type};
use crate::text::Form;
use aquifer_codec::{Key, Value};
use serde_json::json;

/// The name gives the type, and the type its name.
fn check_name(name: &str, expected: &Type) {
    assert_eq!(&Type::named(name), expected, "{name}");
    assert_eq!(expected.to_string(), name);
}

/// `text` is stored as the codec stores `value`, in both roles, and is printed again from those bytes.
#[track_caller]
fn check<T: Key + Value + ?Sized>(value: &T, text: &str) {
    let ty = Type::named(&<T as Key>::type_name());
    let mut key = Vec::new();
    Key::encode(value, &mut key);
    assert_eq!(ty.encode(Role::Key, text.as_bytes(), false).unwrap(), key);
    assert_eq!(printed(&ty, Role::Key, &key), text);
    let mut stored = Vec::new();
    Value::encode(value, &mut stored).unwrap();
    assert_eq!(ty.encode(Role::Value, text.as_bytes(), false).unwrap(), stored);
    assert_eq!(printed(&ty, Role::Value, &stored), text);
}

fn printed(ty: &Type, role: Role, bytes: &[u8]) -> String {
    let mut out = String::new();
    ty.print(role, bytes, Form::Key, &mut out).unwrap();
    out
}

#[track_caller]
fn check_misfit(type_name: &str, text: &str, reason: &str) {
    let error = Type::named(type_name).encode(Role::Key, text.as_bytes(), false).unwrap_err();
    assert_eq!(error.to_string(), format!("`{text}` is no key of type {type_name}: {reason}"));
}

#[test]
fn names_are_understood() {
    check_name("bytes", &Type::Bytes);
    check_name("()", &Type::Unit);
    check_name("u8", &Type::Number(Number::U8));
    check_name("[u8; 16]", &Type::ByteArray(16));
    check_name("(str,)", &Type::Tuple(vec![Type::Str]));
    check_name(
        "(i128, [option<char>; 3], (bool, f32))",
        &Type::Tuple(vec![
            Type::Number(Number::I128),
            Type::Array(Box::new(Type::Optional(Box::new(Type::Char))), 3),
            Type::Tuple(vec![Type::Bool, Type::Number(Number::F32)]),
        ]),
    );
}

#[test]
fn other_names_stay_opaque() {
    let deep = format!("{}u8{}", "option<".repeat(40), ">".repeat(40));
    let huge = "[[[(); 60000]; 60000]; 60000]";
    for name in [
        "",
        "postcard<User>",
        "(u8)",
        "(u8, )",
        "u8 ",
        "[u8; -1]",
        "[u8;3]",
        "[u8; +3]",
        "[u8; 03]",
        "option<u8",
        "u7",
        &deep,
        huge,
    ] {
        check_name(name, &Type::Opaque(name.into()));
    }
}

#[test]
fn simple_types_are_written_and_read() {
    check(&42u64, "42");
    check(&-7i16, "-7");
    check(&u128::MAX, "340282366920938463463374607431768211455");
    check(&1.5f32, "1.5");
    check(&0.1f32, "0.1");
    check(&-0.0f64, "-0.0");
    check(&f64::NEG_INFINITY, "-inf");
    check("grün", "grün");
    check(&b"plain"[..], "plain");
    check(&[0xffu8, 0][..], "0xff00");
    check(&true, "true");
    check(&'é', "é");
    check(&(), "null");
}

#[test]
fn compound_types_are_json() {
    check(&(7u32, "a\0b"), r#"[7,"a\u0000b"]"#);
    check(&("x", 0xffu8), r#"["x",255]"#);
    check(&(Some(3i64), None::<u8>), "[3,null]");
    check(&[1u16, 2, 3], "[1,2,3]");
    check(&[1u8, 2, 0xfe], "0x0102fe");
    check(&(*b"abc", vec![0u8, 0xff]), r#"["abc","0x00ff"]"#);
    check(&("a", "0xtext"), r#"["a","0xtext"]"#);
    check(&Some(("a", 1u8)), r#"["a",1]"#);
}

#[test]
fn stored_bytes_can_be_given_for_every_type() {
    let number = Type::Number(Number::U16);
    assert_eq!(number.encode(Role::Key, b"0x0102", false).unwrap(), [1, 2]);
    check_misfit(
        "u16",
        "0x010203",
        "1 bytes follow a complete `u16`; open the table with the type it was written with",
    );
    let opaque = Type::named("postcard<User>");
    assert_eq!(opaque.encode(Role::Value, b"0x07", false).unwrap(), [7]);
    assert_eq!(opaque.decode(Role::Value, &[7]).unwrap(), json!("0x07"));
    check_misfit("postcard<User>", "7", "write it as bytes, 0x…");
}

#[test]
fn literal_text_is_not_looked_into() {
    assert_eq!(Type::Bytes.encode(Role::Key, b"0xff", true).unwrap(), b"0xff");
    assert_eq!(Type::Str.encode(Role::Key, b"0xff", true).unwrap(), b"0xff");
}

#[test]
fn what_does_not_fit_is_refused() {
    check_misfit("u8", "256", "256: number too large to fit in target type");
    check_misfit("u64", "x", "x: invalid digit found in string");
    check_misfit("(u8, str)", "[1]", "[1] is no (u8, str)");
    check_misfit("[u8; 4]", "abc", "there are 3 bytes");
    check_misfit("char", "ab", "it is one character");
    assert!(Type::Str.encode(Role::Key, &[0xff], false).is_err());
}

#[test]
fn some_of_what_may_be_null_is_an_array_of_one() {
    let nested = Type::named("option<option<u8>>");
    for (text, bytes) in [("null", &[0][..]), ("[null]", &[1, 0]), ("[7]", &[1, 1, 7])] {
        assert_eq!(nested.encode(Role::Value, text.as_bytes(), false).unwrap(), bytes);
        let mut printed = String::new();
        nested.print(Role::Value, bytes, Form::Whole, &mut printed).unwrap();
        assert_eq!(printed, text);
    }
    check_misfit("option<option<u8>>", "7", "7 is no option<option<u8>>");
    check_misfit("option<()>", "[null,null]", "[null,null] is no option<()>");
}

#[test]
fn bytes_of_another_type_are_an_error() {
    assert!(Type::named("u32").decode(Role::Key, &[1, 2]).is_err());
    assert!(Type::named("option<u8>").decode(Role::Value, &[2, 1]).is_err());
    assert!(Type::named("(str, u8)").decode(Role::Key, b"abc").is_err());
    assert!(Type::named("[u8; 4]").decode(Role::Key, b"abc").is_err());
}

#[test]
fn prefixes_are_first_characters_or_first_elements() {
    assert_eq!(Type::Str.encode_prefix(b"/usr", false).unwrap(), b"/usr");
    assert_eq!(Type::Bytes.encode_prefix(b"0xff", false).unwrap(), [0xff]);
    assert_eq!(Type::Bytes.encode_prefix(b"0xff", true).unwrap(), b"0xff");
    let tuple = Type::named("(str, u16, u8)");
    let mut whole = Vec::new();
    Key::encode(&("a", 258u16, 9u8), &mut whole);
    let prefix = tuple.encode_prefix(br#"["a",258]"#, false).unwrap();
    assert_eq!(prefix, whole[..whole.len() - 1]);
    assert!(tuple.encode_prefix(br#"["a",258,9]"#, false).is_err());
    assert!(Type::named("u64").encode_prefix(b"1", false).is_err());
}
