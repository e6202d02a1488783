//! Golden bytes of every type, order against `Ord`, round trips, refusals.

use std::cmp::Ordering;
use std::fmt::Debug;

use proptest::prelude::*;

use super::Key;
use crate::DecodeError;

fn encoded<K: Key + ?Sized>(key: &K) -> Vec<u8> {
    let mut out = Vec::new();
    key.encode(&mut out);
    out
}

fn encoded_inner<K: Key + ?Sized>(key: &K) -> Vec<u8> {
    let mut out = Vec::new();
    key.encode_inner(&mut out);
    out
}

/// Literal bytes, and the way back.
#[track_caller]
fn golden<K: Key + ?Sized>(key: &K, bytes: &[u8])
where
    K::Owned: Key + Debug,
{
    assert_eq!(encoded(key), bytes);
    let back = K::decode(bytes).expect("golden bytes decode");
    assert_eq!(encoded(&back), bytes, "{back:?}");
}

#[test]
fn golden_unsigned() {
    golden(&0x12u8, &[0x12]);
    golden(&0x1234u16, &[0x12, 0x34]);
    golden(&0x1234_5678u32, &[0x12, 0x34, 0x56, 0x78]);
    golden(&0x0102_0304_0506_0708u64, &[1, 2, 3, 4, 5, 6, 7, 8]);
    golden(&1u128, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
}

#[test]
fn golden_signed() {
    golden(&-1i8, &[0x7F]);
    golden(&i8::MIN, &[0x00]);
    golden(&0i16, &[0x80, 0x00]);
    golden(&-2i32, &[0x7F, 0xFF, 0xFF, 0xFE]);
    golden(&1i64, &[0x80, 0, 0, 0, 0, 0, 0, 1]);
    golden(&i128::MAX, &[0xFF; 16]);
}

#[test]
fn golden_float() {
    golden(&1.0f32, &[0xBF, 0x80, 0x00, 0x00]);
    golden(&-1.0f32, &[0x40, 0x7F, 0xFF, 0xFF]);
    golden(&0.0f64, &[0x80, 0, 0, 0, 0, 0, 0, 0]);
    golden(&-0.0f64, &[0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    golden(&f64::INFINITY, &[0xFF, 0xF0, 0, 0, 0, 0, 0, 0]);
    golden(&f64::NEG_INFINITY, &[0x00, 0x0F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
}

#[test]
fn golden_others() {
    golden(&false, &[0]);
    golden(&true, &[1]);
    golden(&'é', &[0, 0, 0, 0xE9]);
    golden(&(), &[]);
    golden("a\0b", b"a\0b");
    golden(&"a\0b".to_string(), b"a\0b");
    golden(&b"\x00\xFF"[..], b"\x00\xFF");
    golden(&vec![0u8, 1], &[0, 1]);
}

#[test]
fn golden_compound() {
    golden(&None::<u16>, &[0]);
    golden(&Some(258u16), &[1, 1, 2]);
    golden(&Some("a\0b"), b"\x01a\0\xFFb\0\0");
    golden(&[1u16, 2], &[0, 1, 0, 2]);
    golden(&[1u8, 2, 0], &[1, 2, 0]);
    golden(&["a", ""], b"a\0\0\0\0");
    golden(&("a\0b", "c\0d"), b"a\0\xFFb\0\0c\0d");
    golden(&("ab",), b"ab");
    golden(&("a", ("b", "c")), b"a\0\0b\0\0c");
    golden(&(("a", "b"), "c"), b"a\0\0b\0\0c");
    golden(&(1u8, -1i16, "x", None::<u8>), &[1, 0x7F, 0xFF, b'x', 0, 0, 0]);
    golden(&(1u8, 2u8, 3u8, 4u8, 5u8), &[1, 2, 3, 4, 5]);
    golden(&(1u8, 2u8, 3u8, 4u8, 5u8, 6u8), &[1, 2, 3, 4, 5, 6]);
    golden(&(1u8, 2u8, 3u8, 4u8, 5u8, 6u8, 7u8), &[1, 2, 3, 4, 5, 6, 7]);
    golden(&(1u8, 2u8, 3u8, 4u8, 5u8, 6u8, 7u8, "8"), &[1, 2, 3, 4, 5, 6, 7, b'8']);
}

#[test]
fn golden_type_names() {
    let names = [
        <u8 as Key>::type_name(),
        <i128 as Key>::type_name(),
        <f32 as Key>::type_name(),
        <bool as Key>::type_name(),
        <char as Key>::type_name(),
        <() as Key>::type_name(),
        <str as Key>::type_name(),
        <String as Key>::type_name(),
        <&[u8] as Key>::type_name(),
        <Vec<u8> as Key>::type_name(),
        <[u8; 16] as Key>::type_name(),
        <Option<&str> as Key>::type_name(),
        <(u32,) as Key>::type_name(),
        <(u32, (String, [Option<i8>; 2])) as Key>::type_name(),
    ];
    assert_eq!(
        names,
        [
            "u8",
            "i128",
            "f32",
            "bool",
            "char",
            "()",
            "str",
            "str",
            "bytes",
            "bytes",
            "[u8; 16]",
            "option<str>",
            "(u32,)",
            "(u32, (str, [option<i8>; 2]))"
        ]
    );
}

#[track_caller]
fn refused<K: Key + ?Sized>(bytes: &[u8], message: &str)
where
    K::Owned: Debug,
{
    let error = K::decode(bytes).expect_err("these bytes are no key");
    let what = "; open the table with the type it was written with";
    assert_eq!(error.to_string(), format!("{message}{what}"));
}

#[test]
fn what_encoding_never_writes_is_refused() {
    refused::<u32>(&[1, 2, 3], "a `u32` needs 4 bytes but 3 are there");
    refused::<u32>(&[1, 2, 3, 4, 5], "1 bytes follow a complete `u32`");
    refused::<()>(&[1], "1 bytes follow a complete `()`");
    refused::<bool>(&[2], "these bytes are no `bool`: byte 0x02 is neither 0 nor 1");
    refused::<char>(&[0, 0, 0xD8, 0], "these bytes are no `char`: 0xd800 is no Unicode scalar value");
    refused::<str>(b"a\xFF", "these bytes are no `str`: invalid utf-8 sequence of 1 bytes from index 1");
    refused::<Option<u8>>(&[], "a `option<u8>` needs 1 bytes but 0 are there");
    refused::<Option<u8>>(&[2], "these bytes are no `option<u8>`: its first byte is 0x02, neither 0 nor 1");
    refused::<Option<u8>>(&[0, 0], "1 bytes follow a complete `option<u8>`");
    refused::<[u16; 2]>(&[0, 1, 0], "a `u16` needs 2 bytes but 1 are there");
    refused::<[u8; 2]>(&[0], "a `[u8; 2]` needs 2 bytes but 1 are there");
    refused::<(u8, u16)>(&[0, 1], "a `u16` needs 2 bytes but 1 are there");
    refused::<(String, u8)>(b"ab", "a `str` needs 4 bytes but 2 are there");
    refused::<(String, u8)>(b"ab\0", "a `str` needs 4 bytes but 3 are there");
    refused::<(Vec<u8>, u8)>(
        b"ab\0\xFF\0\x01",
        "these bytes are no `bytes`: byte 5 after a zero is 0x01, neither 0x00 nor 0xff",
    );
}

/// Rules 1 to 3, for a pair of values and each alone, as whole keys and with something after them.
fn check<K>(a: K, b: K, order: Ordering) -> Result<(), TestCaseError>
where
    K: Key<Owned = K> + Debug,
{
    let (whole_a, whole_b) = (encoded(&a), encoded(&b));
    prop_assert_eq!(whole_a.cmp(&whole_b), order, "{:?} against {:?}", a, b);

    let (inner_a, inner_b) = (encoded_inner(&a), encoded_inner(&b));
    prop_assert_eq!(inner_a.cmp(&inner_b), order, "inner {:?} against {:?}", a, b);
    if order != Ordering::Equal {
        // Rule 2: whatever follows leaves the order as it is.
        let low_then = [&inner_a[..], &[0xFF; 4]].concat();
        let high_then = [&inner_b[..], &[0x00; 4]].concat();
        prop_assert_eq!(low_then.cmp(&high_then), order);
        prop_assert!(!inner_a.starts_with(&inner_b) && !inner_b.starts_with(&inner_a));
    }

    let back = K::decode(&whole_a);
    prop_assert!(back.is_ok(), "{:?} does not come back: {:?}", a, back);
    prop_assert_eq!(encoded(&back.expect("just checked")), whole_a);

    let followed = [&inner_a[..], b"tail"].concat();
    let mut rest = &followed[..];
    let back = K::decode_inner(&mut rest);
    prop_assert_eq!(back.map(|key| encoded_inner(&key)), Ok(inner_a));
    prop_assert_eq!(rest, b"tail");
    Ok(())
}

/// Property tests that hold a type to [`check`], with pairs from `$strategy` compared by `$cmp`.
macro_rules! ordered {
    ($($name:ident: $type:ty = $strategy:expr, $cmp:expr;)*) => {
        proptest! {$(
            #[test]
            fn $name(a in $strategy, b in $strategy) {
                let cmp: fn(&$type, &$type) -> Ordering = $cmp;
                let order = cmp(&a, &b);
                check::<$type>(a.clone(), b, order)?;
                check::<$type>(a.clone(), a, Ordering::Equal)?;
            }
        )*}
    };
}

/// Bytes that are often 0, 1 or 255, and often share a prefix.
fn bytes() -> impl Strategy<Value = Vec<u8>> + Clone {
    prop::collection::vec(prop_oneof![3 => Just(0u8), 2 => Just(0xFF), 1 => Just(1), 1 => any::<u8>()], 0..6)
}

fn text() -> impl Strategy<Value = String> + Clone {
    "[\0\u{1}ab\u{ff}\u{10ffff}]{0,5}"
}

/// Every kind of number, the rare ones often.
fn float() -> impl Strategy<Value = f64> + Clone {
    use prop::num::f64::{INFINITE, NEGATIVE, NORMAL, POSITIVE, QUIET_NAN, SUBNORMAL, ZERO};
    prop_oneof![
        NORMAL | POSITIVE | NEGATIVE,
        INFINITE | ZERO | SUBNORMAL | QUIET_NAN | POSITIVE | NEGATIVE,
        any::<u64>().prop_map(f64::from_bits),
    ]
}

ordered! {
    u8_order: u8 = any::<u8>(), Ord::cmp;
    u16_order: u16 = any::<u16>(), Ord::cmp;
    u32_order: u32 = any::<u32>(), Ord::cmp;
    u64_order: u64 = any::<u64>(), Ord::cmp;
    u128_order: u128 = any::<u128>(), Ord::cmp;
    i8_order: i8 = any::<i8>(), Ord::cmp;
    i16_order: i16 = any::<i16>(), Ord::cmp;
    i32_order: i32 = any::<i32>(), Ord::cmp;
    i64_order: i64 = any::<i64>(), Ord::cmp;
    i128_order: i128 = any::<i128>(), Ord::cmp;
    f32_order: f32 = any::<u32>().prop_map(f32::from_bits), f32::total_cmp;
    f64_order: f64 = float(), f64::total_cmp;
    bool_order: bool = any::<bool>(), Ord::cmp;
    char_order: char = any::<char>(), Ord::cmp;
    unit_order: () = Just(()), Ord::cmp;
    bytes_order: Vec<u8> = bytes(), Ord::cmp;
    text_order: String = text(), Ord::cmp;
    option_number_order: Option<i16> = prop::option::of(any::<i16>()), Ord::cmp;
    option_text_order: Option<String> = prop::option::of(text()), Ord::cmp;
    option_option_order: Option<Option<u8>> = prop::option::of(prop::option::of(any::<u8>())), Ord::cmp;
    option_float_order: Option<f64> = prop::option::of(float()), |a, b| match (a, b) {
        (Some(a), Some(b)) => a.total_cmp(b),
        _ => a.is_some().cmp(&b.is_some()),
    };
    byte_array_order: [u8; 3] = prop::array::uniform3(any::<u8>()), Ord::cmp;
    number_array_order: [i32; 2] = prop::array::uniform2(-2..2), Ord::cmp;
    text_array_order: [String; 3] = prop::array::uniform3(text()), Ord::cmp;
    empty_array_order: [u64; 0] = Just([]), Ord::cmp;
    one_order: (Vec<u8>,) = (bytes(),), Ord::cmp;
    pair_order: (Vec<u8>, Vec<u8>) = (bytes(), bytes()), Ord::cmp;
    text_number_order: (String, i8) = (text(), any::<i8>()), Ord::cmp;
    nested_order: ((Vec<u8>, Option<Vec<u8>>), Vec<u8>) =
        ((bytes(), prop::option::of(bytes())), bytes()), Ord::cmp;
    nested_last_order: (u8, (Option<Vec<u8>>, Vec<u8>)) =
        (0u8..2, (prop::option::of(bytes()), bytes())), Ord::cmp;
    eight_order: (u8, bool, Vec<u8>, i64, String, [u8; 2], Option<String>, Vec<u8>) =
        (0u8..2, any::<bool>(), bytes(), -1i64..2, text(), prop::array::uniform2(0u8..2),
        prop::option::of(text()), bytes()), Ord::cmp;
}

#[test]
fn floats_rise_through_every_kind() {
    let rising = [
        -f64::NAN,
        f64::NEG_INFINITY,
        f64::MIN,
        -1.0,
        -f64::MIN_POSITIVE,
        -0.0,
        0.0,
        f64::from_bits(1),
        f64::MIN_POSITIVE,
        1.0,
        f64::MAX,
        f64::INFINITY,
        f64::NAN,
    ];
    assert!(rising.map(|number| encoded(&number)).is_sorted_by(|a, b| a < b));
}

#[test]
fn leading_elements_are_a_prefix_of_the_tuple() {
    let mut prefix = Vec::new();
    ("town", 7u16).encode_inner(&mut prefix);
    assert!(encoded(&("town", 7u16, "street")).starts_with(&prefix));
    assert!(!encoded(&("towns", 7u16, "street")).starts_with(&prefix));
}

/// A program's own type that overrides nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Plain(Vec<u8>);

impl Key for Plain {
    type Owned = Plain;

    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<Plain, DecodeError> {
        <[u8] as Key>::decode(bytes).map(Plain)
    }

    fn type_name() -> String {
        "plain".into()
    }
}

proptest! {
    #[test]
    fn the_provided_inner_form_keeps_order(a in bytes(), b in bytes(), n in 0u8..3, m in 0u8..3) {
        let (a, b) = ((Plain(a), n), (Plain(b), m));
        let order = a.cmp(&b);
        check(a, b, order)?;
    }

    #[test]
    fn any_bytes_decode_to_what_encodes_to_them_or_to_an_error(bytes in bytes()) {
        type Everything = (Option<bool>, [Vec<u8>; 1], Plain, Option<String>);
        if let Ok(key) = <Everything as Key>::decode(&bytes) {
            prop_assert_eq!(encoded(&key), bytes);
        }
    }
}
